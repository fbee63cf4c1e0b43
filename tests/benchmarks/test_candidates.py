"""What can be timed: read from the command line, opened, and taken through its stages."""

import importlib.util

import numpy as np
import pytest
import torch

from benchmarks.candidates import Candidate, config_at, open_candidate, parse_candidate, time_candidates
from benchmarks.harness import load_image, load_images
from bisenet_plugins import load_pretrained, pretrained_names

NAME = pretrained_names()[0]

KINDS = ['torch', 'mmseg', pytest.param('openvino', marks=pytest.mark.skipif(
    importlib.util.find_spec('openvino') is None, reason='openvino is not installed'))]


def test_candidates_are_read_from_the_command_line(config, tmp_path):
    assert parse_candidate(f'a=mmseg:{config},w.pth') == dict(name='a', kind='mmseg', path=config, checkpoint='w.pth')
    assert parse_candidate(f'openvino:{config}') == dict(
        name='openvino: small', kind='openvino', path=config, checkpoint=None)
    assert (parse_candidate(config)['name'], parse_candidate(config)['kind']) == ('small', 'torch')
    found = parse_candidate(f'auto-int8:{NAME}')
    assert (found['name'], found['kind'], found['path']) == (f'auto-int8: {NAME}', 'auto-int8', NAME)
    assert parse_candidate('bisenetv2')['kind'] == 'auto'
    (tmp_path / 'artifact.json').touch()
    assert parse_candidate(str(tmp_path))['kind'] == 'auto'
    with pytest.raises(ValueError, match=r'expected a config \(.py\), a network in the package .*, got none.py'):
        parse_candidate('none.py')
    with pytest.raises(ValueError, match="expected kind out of 'mmseg', 'torch', .*; got 'other'"):
        open_candidate('x', 'other', config)


@pytest.mark.parametrize('kind', ['mmseg', pytest.param('auto', marks=pytest.mark.slow)])
def test_a_network_of_the_package_is_timed_beside_mmsegs_own_api(kind):
    candidate, image = open_candidate('x', kind, NAME), load_image(None, (360, 480))
    assert candidate.gmacs > 1 and candidate.num_classes == 11
    assert (candidate.whole(image) == load_pretrained(NAME, backend='torch')(image)).mean() > 0.99


def test_the_pair_is_made_where_it_is_asked_for(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    image = load_image(None, (64, 128))
    masks = [open_candidate('x', kind, 'bisenetv2', size=(32, 64)).whole(image) for kind in ('mmseg', 'torch')]
    assert (masks[0] == masks[1]).mean() > 0.95


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
    images = load_images(None, (48, 96))
    assert len(images) >= 8 and len({image.tobytes() for image in images}) == len(images)
    seen, whole = [], Candidate.__init__

    def watched(self, name, call, *rest, **settings):
        whole(self, name, lambda image: seen.append(image.tobytes()) or call(image), *rest, **settings)

    monkeypatch.setattr(Candidate, '__init__', watched)
    labels = [np.zeros((48, 96), np.uint8)] * len(images)
    report = time_candidates(specs, images, 2, labels=labels)
    assert {image.tobytes() for image in images} <= set(seen)
    assert sum(one == other for one, other in zip(seen, seen[2:])) < len(seen) / 4  # the two take turns, as images do
    assert [row['name'] for row in report.rows] == ['theirs', 'ours']
    for row in report.rows:
        assert list(row['stages_ms']) == ['decode', 'preprocess', 'network', 'mask', 'overlay']
        assert row['ms']['rounds'] == 2 and row['peak_memory_mb'] >= row['loaded_memory_mb'] > 10
        assert 0 <= row['miou'] <= 100 and 0 < row['agreement'] <= 1
    assert report.rows[0]['agreement'] == 1 and report.settings['scenario'] == 'single stream'
    assert [(row['of'], row['over']) for row in report.ratios] == [('theirs', 'ours')]
    with pytest.raises(ValueError, match='expected candidates with different names'):
        time_candidates([specs[0]] * 2, images, 1)
