"""The export command: a network becomes a folder, which predicts."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest


def test_a_folder_is_written_and_predicts(bisenet, network_files, tmp_path):
    for name in ('mmdeploy', 'onnx', 'onnxruntime'):
        pytest.importorskip(name, reason=f'{name} is not installed; see docs/deploy.md')
    words = ['export', *network_files, '--out', 'out', '--shape', '64x96', '--image-count', '1', '--threads', '1']
    status, told, failure = bisenet(*words)
    assert status == 0, failure
    report = json.loads(told)
    assert report['artifact'].startswith('out') and report['checks']
    cv2.imwrite('a.png', np.random.default_rng(0).integers(0, 256, (64, 96, 3), np.uint8))
    assert bisenet('predict', 'a.png', '--model', 'out', '--save', 'ids')[0] == 0
    assert cv2.imread('outputs/ids/a.png').shape == (64, 96, 3)


@pytest.mark.parametrize('words, status, sentence', [
    (['export', 'a.py', 'a.pth'], 2, 'the following arguments are required: --out'),
    (['export', 'a.py', 'a.pth', '--out', 'out', '--batch', '0'], 2, '--batch: expected a whole number of at least 1'),
    (['export', 'a.py', 'a.pth', '--out', 'out', '--shape', '5'], 1, "error: shape: expected HEIGHTxWIDTH"),
    (['export', 'a.py', 'a.pth', '--out', 'out', '--shape', '1x1'], 1, 'error: shape: expected height and width of at'),
    (['export', 'a.py', 'a.pth', '--out', 'out', '--compute-capability', '86'], 1, 'error: compute_capabilities: ex'),
    (['export', 'bisenetv2-camvd', '--out', 'out'], 1, "got bisenetv2-camvd; did you mean 'bisenetv2-camvid'?"),
    (['export', 'a.py', 'b.pth', '--out', 'out'], 1, 'error: no checkpoint at b.pth'),
])
def test_what_does_not_fit_is_one_sentence(bisenet, words, status, sentence):
    Path('a.py').touch()
    Path('a.pth').touch()
    got, told, failure = bisenet(*words)
    assert (got, told) == (status, '') and sentence in failure.splitlines()[-1]
    assert not Path('out').exists()
