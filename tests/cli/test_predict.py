"""What stands behind tools/predict.py: which network is taken."""

import runpy
import sys
from argparse import Namespace
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from bisenet_plugins.cli import predict as commandline
from bisenet_plugins.cli.predict import run_predict
from bisenet_plugins.deploy import artifact

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


@pytest.mark.parametrize('many, runtime, wanted', [
    (1, 'auto', 'fastest'), (2, 'auto', 'pytorch'), (1, 'pytorch', 'pytorch'), (2, 'openvino', 'openvino')])
def test_a_long_run_takes_the_fastest_runtime(arguments, tmp_path, monkeypatch, many, runtime, wanted):
    taken = []

    class Network:
        palette = np.zeros((3, 3), np.uint8)

        def __init__(self, runtime):
            self.runtime = runtime

        @property
        def network(self):
            taken.append(f'makes {self.runtime} ready')

        def __call__(self, images):
            taken.append(f'predicts with {self.runtime}')
            return [image[..., 0] for image in images]

    monkeypatch.setattr(commandline, 'load_pretrained', lambda name, device, runtime: Network(runtime))
    monkeypatch.setattr(commandline, 'MANY', many)
    options = Namespace(**{**vars(arguments), 'model': None, 'pretrained': 'some', 'runtime': runtime})
    assert run_predict(options, tmp_path / 'demo') == 0
    ready = [] if wanted == 'fastest' else [f'makes {wanted} ready']
    assert taken == [*ready, f'predicts with {wanted}'], 'what is wrong is found out before the first picture'


def test_a_deployed_models_runtime_is_its_own(arguments, tmp_path, capsys):
    arguments.runtime = 'openvino'
    assert run_predict(arguments, tmp_path / 'demo') == 1
    assert '--model has a runtime of its own, --runtime openvino cannot change it' in capsys.readouterr().err
