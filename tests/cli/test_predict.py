"""The predict command: which backend computes, and what is refused before the first image."""

import os
import re
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from bisenet_plugins.cli import predict
from bisenet_plugins.runtime import Predictor, load_pretrained
from bisenet_plugins.runtime.backends import GRAPH_BACKENDS, installed
from bisenet_plugins.runtime.segmentation import SUFFIXES
from bisenet_plugins.weights import pretrained_names
from tests.runtime.fakes import segmented

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def image(tmp_path):
    values = np.random.default_rng(0).integers(0, 256, (40, 60, 3), np.uint8)
    cv2.imwrite(str(tmp_path / 'a.png'), values)
    return values


class Network:
    """Stands for a network: the mask is the image's first channel."""

    segment = staticmethod(segmented(lambda images: [image[..., 0] for image in images], num_classes=256))
    share_cores = staticmethod(lambda: 2)


@pytest.mark.parametrize('backend', ['auto', 'torch', 'openvino'])
def test_the_backend_that_is_asked_for_computes(bisenet, image, monkeypatch, tmp_path, backend):
    taken = []
    monkeypatch.setattr(predict, 'open_network', lambda args, backend: taken.append(backend) or Network())
    status, told, _ = bisenet('predict', 'a.png', '--backend', backend, '--save', 'ids')
    assert (status, taken) == (0, [backend]) and '1 done (1 images), 0 skipped, 0 failed; results in outputs' in told
    assert (cv2.imread(str(tmp_path / 'outputs' / 'ids' / 'a.png'))[..., 0] == image[..., 0]).all()


def test_a_graph_loads_neither_pytorch_nor_mmsegmentation(image, tmp_path, small_config, write_graph):
    predictor = Predictor(small_config, backend='onnxruntime')
    write_graph(predictor, tmp_path / 'net.onnx')
    code = ("import sys\nfrom bisenet_cli import main\nstatus = main('predict', sys.argv[1:])\n"
            "print(status, [name for name in ('torch', 'mmseg', 'mmengine', 'mmcv') if name in sys.modules])")
    for backend in installed(GRAPH_BACKENDS):
        words = ['a.png', '--model', 'net.onnx', '--backend', backend, '--save', 'ids', '--out-dir', backend]
        done = subprocess.run([sys.executable, '-c', code, *words], cwd=tmp_path, capture_output=True, text=True,
                              env={**os.environ, 'PYTHONPATH': str(ROOT)}, check=False)
        assert done.stdout.splitlines()[-1:] == ['0 []'], done.stderr
        ids = cv2.imread(str(tmp_path / backend / 'ids' / 'a.png'), cv2.IMREAD_UNCHANGED)
        np.testing.assert_array_equal(ids, predictor(image))


def test_the_first_network_of_the_package_is_the_default(bisenet, image, tmp_path):
    assert bisenet('predict', 'a.png', '--save', 'ids', 'palette')[0] == 0
    ids = cv2.imread(str(tmp_path / 'outputs' / 'ids' / 'a.png'), cv2.IMREAD_UNCHANGED)
    np.testing.assert_array_equal(ids, load_pretrained(pretrained_names()[0])(image))


def test_an_unreadable_image_is_named_and_the_others_are_segmented(bisenet, image, monkeypatch, tmp_path):
    monkeypatch.setattr(predict, 'open_network', lambda args, backend: Network())
    (tmp_path / 'b.png').write_bytes(b'not an image')
    status, told, failures = bisenet('predict', 'a.png', 'b.png', '--save', 'ids')
    assert status == 1 and '1 done (1 images), 0 skipped, 1 failed' in told
    assert 'failed: ' in failures and 'b.png' in failures
    status, told, _ = bisenet('predict', 'a.png', 'b.png', '--save', 'ids', '--skip-existing')
    assert status == 1 and '0 done (0 images), 1 skipped, 1 failed' in told


def test_results_of_an_earlier_run_are_images_if_they_are_named(bisenet, image, monkeypatch, tmp_path):
    monkeypatch.setattr(predict, 'open_network', lambda args, backend: Network())
    (tmp_path / 'proj' / 'ids').mkdir(parents=True)
    (tmp_path / 'a.png').rename(tmp_path / 'proj' / 'ids' / 'a.png')
    assert bisenet('predict', 'proj', '--recursive', '--out-dir', 'proj', '--save', 'json')[0] == 1
    assert bisenet('predict', 'proj/ids', '--out-dir', 'proj', '--save', 'ids')[0] == 1
    assert bisenet('predict', 'proj/ids', '--out-dir', 'proj', '--save', 'json')[0] == 0
    assert (tmp_path / 'proj' / 'json' / 'a.json').is_file()


@pytest.mark.parametrize('words, status, sentence', [
    (['--model', '.', '--backend', 'torch'], 1, 'error: --backend: expected none with --model and an exported folder'),
    (['--precision', 'int8', '--backend', 'torch'], 1, "error: precision: expected 'fp32' for a network without"),
    (['--config', __file__], 1, 'error: expected --config and --checkpoint together'),
    (['--out-dir', ''], 1, "error: --out-dir: expected a folder that can be written to, got '': Not a directory"),
    (['--out-dir', 'a.png'], 1, "--out-dir: expected a folder that can be written to, got 'a.png': Not a directory"),
    (['--device', 'foo'], 1, "error: device: expected one that this machine and this PyTorch have, got 'foo' ("),
    (['--max-frames', '0'], 2, "--max-frames: expected a whole number of at least 1, got '0'"),
    (['--opacity', '2'], 2, "--opacity: expected a number from 0 to 1, got '2'"),
])
def test_what_does_not_fit_is_one_sentence(bisenet, image, words, status, sentence):
    got, told, failure = bisenet('predict', 'a.png', *words)
    assert (got, told) == (status, '') and sentence in failure


def test_every_kind_is_written_and_the_speed_is_said(bisenet, image, monkeypatch, tmp_path):
    monkeypatch.setattr(predict, 'open_network', lambda args, backend: Network())
    for name in 'bc':
        cv2.imwrite(str(tmp_path / f'{name}.png'), image)
    status, told, _ = bisenet('predict', 'a.png', 'b.png', 'c.png', '--save', *predict.KINDS)
    assert status == 0
    assert re.search(r'results in outputs; [\d.]+ images/s\n$', told)
    assert predict.KINDS == tuple(SUFFIXES)
    assert {path.relative_to(tmp_path / 'outputs').as_posix() for path in (tmp_path / 'outputs').rglob('*.*')} == {
        f'{kind}/{name}{suffix}' for kind, suffix in SUFFIXES.items() for name in 'abc'}


def test_the_help_says_what_the_networks_know(bisenet):
    assert 'streets as seen from a car, by day' in bisenet('predict', '--help')[1]
