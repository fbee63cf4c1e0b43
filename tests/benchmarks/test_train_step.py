"""One training step of mmseg's network and of ours."""

import json

import pytest
import torch

from benchmarks.train_step import main, time_train_step, train_steps


@pytest.mark.slow
@pytest.mark.parametrize('ohem', [False, True])
def test_both_networks_start_from_the_same_loss(ohem):
    found = [train_steps(name, 2, (64, 64), 1, 'cpu', False, ohem, 5) for name in ('mmseg', 'ours')]
    assert all(len(one['seconds']) == 1 and one['peak_memory_mb'] > 0 for one in found)
    if not ohem:
        torch.testing.assert_close(found[1]['first_loss'], found[0]['first_loss'], rtol=1e-4, atol=1e-4)


def test_no_step_is_refused():
    with pytest.raises(ValueError, match='expected steps and rounds of at least 1, got 0 and 1'):
        time_train_step(1, (32, 32), 0)
    with pytest.raises(SystemExit, match='error: expected steps and rounds'):
        main(['--steps', '0'])


def test_runs_from_the_command_line(tmp_path, monkeypatch):
    found = dict(seconds=[0.5], peak_memory_mb=100.0, first_loss=2.0)
    monkeypatch.setattr('benchmarks.train_step.apart', lambda *_: found)
    main(['--batch', '1', '--crop', '32', '64', '--steps', '1', '--out', str(tmp_path / 'a.json')])
    report = json.loads((tmp_path / 'a.json').read_text())
    assert [row['name'] for row in report['rows']] == ['mmseg', 'ours'] and report['ratios'][0]['of_medians'] == 1.0
