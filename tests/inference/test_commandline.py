"""What stands behind tools/predict.py: which network is taken."""

import importlib.util
import runpy
import sys
from argparse import Namespace
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from bisenet_plugins.deploy import artifact
from bisenet_plugins.inference import commandline
from bisenet_plugins.inference.commandline import run_predict

TOOL = Path(__file__).resolve().parents[2] / 'tools' / 'predict.py'


@pytest.fixture
def arguments(tmp_path, monkeypatch):
    """Options as the tool reads them."""
    cv2.imwrite(str(tmp_path / 'a.png'), np.full((6, 8, 3), 2, np.uint8))
    monkeypatch.setattr(sys, 'path', list(sys.path))
    monkeypatch.setattr(sys, 'argv', ['predict.py', str(tmp_path / 'a.png'), '--model', str(tmp_path / 'model'),
                                      '--out-dir', str(tmp_path / 'out'), '--save', 'ids'])
    return runpy.run_path(str(TOOL))['parse_args']()


class Deployed:
    """Stands for a deployed folder: the map is the picture's first channel."""

    palette = np.zeros((3, 3), np.uint8)
    artifact = SimpleNamespace(num_classes=3)

    def __init__(self, folder):
        assert folder.endswith('model')

    def __call__(self, images):
        return [image[..., 0] for image in images]


def test_a_deployed_model_takes_the_networks_place(arguments, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(artifact, 'ArtifactPredictor', Deployed)
    assert run_predict(arguments, tmp_path / 'demo') == 0
    assert '1 done (1 pictures), 0 skipped, 0 failed' in capsys.readouterr().out
    assert (cv2.imread(str(tmp_path / 'out' / 'ids' / 'a.png')) == 2).all()


@pytest.mark.parametrize('options, sentence', [
    (dict(config='a.py'), '--model takes the place of --config and --checkpoint'),
    (dict(), 'holds no artifact.json')])
def test_what_does_not_fit_is_one_sentence(arguments, tmp_path, capsys, options, sentence):
    assert run_predict(Namespace(**{**vars(arguments), **options}), tmp_path / 'demo') == 1
    assert sentence in capsys.readouterr().err


@pytest.fixture
def long_runs(arguments, tmp_path, monkeypatch):
    """A network in the package, OpenVINO as good as installed, and the runtimes that were taken."""
    taken = []

    class Network:
        palette, runtime = np.zeros((3, 3), np.uint8), 'pytorch'
        convertible = True

        @property
        def network(self):
            taken.append(self.runtime)
            if not self.convertible:
                raise ValueError('OpenVINO cannot convert it')

        def __call__(self, images):
            taken.append(f'predicts with {self.runtime}')
            return [image[..., 0] for image in images]

    def load(name, device, runtime):
        network = Network()
        network.runtime = runtime
        return network

    monkeypatch.setattr(commandline, 'load_pretrained', load)
    monkeypatch.setattr(importlib.util, 'find_spec', lambda name, *args: object())
    options = Namespace(**{**vars(arguments), 'model': None, 'pretrained': 'some'})
    return SimpleNamespace(options=options, taken=taken, network=Network)


@pytest.mark.parametrize('many, runtime, device, wanted', [
    (1, 'auto', 'cpu', 'openvino'), (2, 'auto', 'cpu', 'pytorch'), (1, 'auto', 'cuda', 'pytorch'),
    (1, 'pytorch', 'cpu', 'pytorch'), (2, 'openvino', 'cpu', 'openvino')])
def test_a_long_run_on_a_cpu_takes_openvino(long_runs, tmp_path, monkeypatch, many, runtime, device, wanted):
    monkeypatch.setattr(commandline, 'MANY', many)
    long_runs.options.runtime, long_runs.options.device = runtime, device
    assert run_predict(long_runs.options, tmp_path / 'demo') == 0
    assert long_runs.taken == [wanted, f'predicts with {wanted}']


def test_what_openvino_cannot_convert_pytorch_computes(long_runs, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(commandline, 'MANY', 1)
    monkeypatch.setattr(long_runs.network, 'convertible', False)
    assert run_predict(long_runs.options, tmp_path / 'demo') == 0
    assert long_runs.taken[-1] == 'predicts with pytorch'
    assert 'note: OpenVINO cannot convert it; PyTorch computes it' in capsys.readouterr().err


def test_a_deployed_models_runtime_is_its_own(arguments, tmp_path, capsys):
    arguments.runtime = 'openvino'
    assert run_predict(arguments, tmp_path / 'demo') == 1
    assert '--model has a runtime of its own, --runtime openvino cannot change it' in capsys.readouterr().err
