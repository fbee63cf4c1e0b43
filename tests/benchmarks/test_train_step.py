"""One training step of mmseg's network and of ours."""

import json
from pathlib import Path

import pytest
import torch

from benchmarks.harness import apart
from benchmarks.train_step import (
    SERIES,
    find_allocator,
    main,
    time_processes,
    time_train_step,
    train_steps,
)


@pytest.mark.parametrize('ohem', [False, pytest.param(True, marks=pytest.mark.slow)])
def test_both_networks_start_from_the_same_loss(ohem):
    found = [train_steps(name, 2, (64, 64), 1, 'cpu', False, ohem, 5) for name in ('mmseg', 'ours')]
    assert all(len(one['seconds']) == 1 and one['peak_memory_mb'] > one['tensor_memory_mb'] > 0 for one in found)
    if not ohem:
        torch.testing.assert_close(found[1]['first_loss'], found[0]['first_loss'], rtol=1e-4, atol=1e-4)


def test_no_step_is_refused():
    with pytest.raises(ValueError, match='expected steps and rounds of at least 1, got 0 and 1'):
        time_train_step(1, (32, 32), 0)
    with pytest.raises(SystemExit, match='error: expected steps and rounds'):
        main(['--steps', '0'])


def test_runs_from_the_command_line(tmp_path, monkeypatch):
    found, told = dict(seconds=[0.5], peak_memory_mb=100.0, tensor_memory_mb=40.0, first_loss=2.0), []
    monkeypatch.setattr('benchmarks.train_step.apart',
                        lambda *given, preload: told.append((given[-1], preload)) or found)
    monkeypatch.setattr('benchmarks.train_step.find_allocator', lambda: 'lib.so')
    main(['--batch', '1', '--crop', '32', '64', '--steps', '1', '--tcmalloc', '--out', str(tmp_path / 'a.json')])
    report = json.loads((tmp_path / 'a.json').read_text())
    names = [f'{name}{how}' for how in ('', ' + kept memory', ' + tcmalloc') for name in ('mmseg', 'ours')]
    assert [row['name'] for row in report['rows']] == names
    assert told == [(False, None)] * 2 + [(True, None)] * 2 + [(False, 'lib.so')] * 2
    assert [row['of_medians'] for row in report['ratios']] == [1.0] * 5 and report['rows'][1]['share_of_tensors'] == 1.0


@pytest.mark.slow
def test_two_processes_learn_the_same():
    report = time_processes(2, 2, (64, 64), 1)
    assert report.checks['weights_equal'] and report.checks['throughput_over_one_process'] > 0
    assert [row['name'] for row in report.rows] == ['1 process', '2 processes']


@pytest.mark.slow
def test_every_series_is_a_step():
    for name in SERIES.keys() - {'mmseg', 'ours'}:  # which are compared above
        if 'bfloat16' in name and not torch.ops.mkldnn._is_mkldnn_bf16_supported():
            with pytest.raises(RuntimeError, match='expected a CPU that computes bfloat16'):
                train_steps(name, 2, (64, 64), 1, 'cpu', False, False, 5)
        else:
            assert train_steps(name, 2, (64, 64), 1, 'cpu', False, False, 5)['first_loss'] > 0


@pytest.mark.slow
@pytest.mark.skipif(find_allocator() is None, reason='tcmalloc is not installed')
def test_the_allocator_is_that_of_the_process():
    maps = Path('/proc/self/maps').read_text
    assert 'tcmalloc' in apart(maps, preload=find_allocator()) and 'tcmalloc' not in maps()
