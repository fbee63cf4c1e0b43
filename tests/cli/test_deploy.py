"""The commands deploy and verify: a network becomes a folder, which is compared with it and predicts."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from bisenet_plugins.runtime import load_pretrained
from bisenet_plugins.weights import pretrained_names


@pytest.fixture
def files(tmp_path):
    """Config and weights of the first network of the package."""
    predictor = load_pretrained(pretrained_names()[0], backend='torch')
    predictor.cfg.dump(str(tmp_path / 'a.py'))
    torch.save(predictor.model.state_dict(), tmp_path / 'a.pth')
    return 'a.py', 'a.pth'


def test_a_folder_is_written_verified_and_predicts(bisenet, files):
    for name in ('mmdeploy', 'onnx', 'onnxruntime'):
        pytest.importorskip(name, reason=f'{name} is not installed; see docs/deploy.md')
    config, weights = files
    words = ['deploy', config, weights, '--out', 'out', '--shape', '64x96', '--image-count', '1', '--threads', '1']
    status, told, failure = bisenet(*words)
    assert status == 0, failure
    assert json.loads(told[told.index('{\n'):])['artifact'].startswith('out')
    words = ['verify', 'out', '--config', config, '--checkpoint', weights, '--count', '1', '--json', 'figures.json']
    status, told, failure = bisenet(*words)
    assert status == 0, failure
    assert json.loads(Path('figures.json').read_text())['artifacts'].keys() == {'out'}
    cv2.imwrite('a.png', np.random.default_rng(0).integers(0, 256, (64, 96, 3), np.uint8))
    assert bisenet('predict', 'a.png', '--model', 'out', '--save', 'ids')[0] == 0
    assert cv2.imread('outputs/ids/a.png').shape == (64, 96, 3)


@pytest.mark.parametrize('words, status, sentence', [
    (['deploy', 'a.py', 'a.pth'], 2, 'the following arguments are required: --out'),
    (['deploy', 'a.py', 'a.pth', '--out', 'out', '--batch', '0'], 2, '--batch: expected a whole number of at least 1'),
    (['deploy', 'a.py', 'a.pth', '--out', 'out', '--shape', '5'], 1, "error: shape: expected HEIGHTxWIDTH"),
    (['verify', 'none'], 1, 'error: '),
    (['verify', 'none', '--threads', '-1'], 2, '--threads: expected a whole number of at least 0'),
])
def test_what_does_not_fit_is_one_sentence(bisenet, words, status, sentence):
    got, told, failure = bisenet(*words)
    assert (got, told) == (status, '') and sentence in failure.splitlines()[-1]
    assert not Path('out').exists()
