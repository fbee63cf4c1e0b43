"""Programs without ONNX, and ONNX by way of torch.export: the same network, held to the same gate."""

import numpy as np
import pytest

from bisenet_plugins.datasets.samples import synthetic_samples
from bisenet_plugins.errors import MissingPackageError
from bisenet_plugins.runtime.predictor import Predictor
from tests.deploy.conftest import make, needs


@pytest.mark.parametrize('settings', [
    pytest.param(dict(channel_order='rgb'), marks=pytest.mark.slow), dict(shape=(64, 128), output='logits_s8')])
def test_a_torch_export_program_is_the_network(tiny, tmp_path, settings):
    artifact = make(tiny, tmp_path / 'a', backend='torch-export', **settings)
    assert artifact.checks['agreement'] >= 99.99
    image = synthetic_samples(1, (63, 127))[0].image
    assert Predictor(artifact.folder)(image).shape == (63, 127)
    if 'shape' not in settings:  # other sizes and numbers of images than it was exported with
        inputs = np.random.default_rng(0).integers(256, size=(3, 95, 70, 3), dtype=np.uint8)
        assert artifact.open()(inputs).shape == (3, 95, 70)


@pytest.mark.slow
@needs('mmdeploy', 'onnx', 'onnxruntime', 'onnxscript')
def test_onnx_by_way_of_torch_export_is_the_network(tiny, tmp_path):
    artifact = make(tiny, tmp_path / 'a', exporter='program')
    assert artifact.checks['agreement'] >= 99.99 and artifact.opset == 18
    inputs = np.random.default_rng(0).normal(size=(2, 3, 95, 70)).astype(np.float32)
    output = artifact.open(threads=1)(inputs)
    assert (output.shape, output.dtype) == ((2, 1, 95, 70), np.uint8)


@needs('ncnn', 'pnnx')
def test_ncnn_is_the_network(tiny, tmp_path):
    artifact = make(tiny, tmp_path / 'a', backend='ncnn', shape=(64, 128), output='logits_s8')
    assert artifact.checks['agreement'] >= 99.99


@needs('executorch')
def test_executorch_is_the_network(tiny, tmp_path):
    artifact = make(tiny, tmp_path / 'a', backend='executorch', shape=(64, 128))
    assert artifact.checks['agreement'] >= 99.99


@pytest.mark.parametrize(('backend', 'module', 'extra'), [
    ('ncnn', 'pnnx', 'ncnn'), ('executorch', 'executorch', 'executorch')])
def test_a_format_that_is_not_installed_names_its_extra(tiny, tmp_path, monkeypatch, backend, module, extra):
    from bisenet_plugins import errors
    real = errors.importlib.util.find_spec
    monkeypatch.setattr(errors.importlib.util, 'find_spec', lambda name: None if name == module else real(name))
    with pytest.raises(MissingPackageError, match=rf"{module} is not installed; it comes with the extra '{extra}'"):
        make(tiny, tmp_path / 'a', backend=backend, shape=(64, 128), output='logits_s8')
