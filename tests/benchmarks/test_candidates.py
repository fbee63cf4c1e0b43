"""What can be timed: read from the command line, opened, and taken through its stages."""

import importlib.util

import pytest
import torch

from benchmarks.candidates import config_at, open_candidate, parse_candidate, time_candidates
from benchmarks.harness import load_image

KINDS = ['torch', 'mmseg', pytest.param('openvino', marks=pytest.mark.skipif(
    importlib.util.find_spec('openvino') is None, reason='openvino is not installed'))]


def test_candidates_are_read_from_the_command_line(config, tmp_path):
    assert parse_candidate(f'a=mmseg:{config},w.pth') == dict(name='a', kind='mmseg', path=config, checkpoint='w.pth')
    assert parse_candidate(f'openvino:{config}') == dict(
        name='openvino: small', kind='openvino', path=config, checkpoint=None)
    assert parse_candidate(config)['name'] == 'small'
    (tmp_path / 'artifact.json').touch()
    assert parse_candidate(str(tmp_path))['kind'] == 'folder'
    with pytest.raises(ValueError, match=r'expected a config \(.py\) or the folder of a deployed model, got none.py'):
        parse_candidate('none.py')
    with pytest.raises(ValueError, match="expected kind out of 'mmseg', 'folder', 'torch', .*; got 'other'"):
        open_candidate('x', 'other', config)


def test_size_of_a_config_can_be_changed(config):
    steps = config_at(config, (16, 48)).test_pipeline
    assert [step['type'] for step in steps] == ['LoadImageFromNDArray', 'Resize', 'PackSegInputs']
    assert tuple(steps[1]['scale']) == (48, 16)
    assert len(config_at(config, None, native=True).test_pipeline) == 2


@pytest.mark.parametrize('kind', KINDS)
def test_stages_and_whole_return_the_same_mask(config, kind):
    torch.manual_seed(0)
    candidate = open_candidate('x', kind, config)
    value = image = load_image(None, (48, 96))
    with torch.inference_mode():
        for stage in candidate.stages.values():
            value = stage(value)
    least = 0.99 if kind == 'mmseg' else 1.0  # mmseg's stages resize twice, this segmentor as a whole once
    assert (value == candidate.whole(image)).mean() >= least
    assert value.shape == (48, 96) and candidate.gmacs > 0


def test_candidates_are_timed_whole_and_by_stages(config, monkeypatch):
    monkeypatch.setattr('benchmarks.candidates.apart', lambda function, *args: function(*args))
    specs = [dict(name='theirs', kind='mmseg', path=config), dict(name='ours', kind='torch', path=config)]
    report, found = time_candidates('speed', specs, load_image(None, (48, 96)), 2)
    assert list(found) == [row['name'] for row in report.rows] == ['theirs', 'ours']
    for row in report.rows:
        assert list(row['stages_ms']) == ['decode', 'preprocess', 'network', 'mask', 'overlay']
        assert row['ms']['rounds'] == 2 and row['peak_memory_mb'] >= row['loaded_memory_mb'] > 10
    assert [(row['of'], row['over']) for row in report.ratios] == [('theirs', 'ours')]
    with pytest.raises(ValueError, match='expected candidates with different names'):
        time_candidates('speed', [specs[0]] * 2, load_image(None, (48, 96)), 1)
