"""TensorRT engines: what is missing is named, and a built engine computes what PyTorch does."""

import importlib.util

import numpy as np
import pytest
import torch
from torch import nn

from bisenet_plugins.errors import DeployError, MissingPackageError, NoGpuError
from bisenet_plugins.runtime.backends import open_backend, runtime_module, tensorrt
from bisenet_plugins.runtime.backends.tensorrt import TensorRTBackend
from tests.deploy.conftest import needs

gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason='there is no NVIDIA GPU')


@pytest.mark.parametrize('backend', ['tensorrt', 'tensorrt-rtx'])
def test_a_missing_package_names_its_extra(backend, monkeypatch, tmp_path):
    monkeypatch.setattr(importlib.util, 'find_spec', lambda name, *args: None)
    with pytest.raises(MissingPackageError, match=f"^{runtime_module(backend)} is not installed; .* extra '{backend}'"):
        open_backend(backend, tmp_path / 'model.engine')


@pytest.mark.parametrize('module', ['tensorrt', 'tensorrt_rtx'])
def test_a_machine_without_a_gpu_is_told_what_runs(module, monkeypatch, tmp_path):
    monkeypatch.setattr(tensorrt, 'require', lambda *modules: None)
    monkeypatch.setattr(tensorrt, 'has_gpu', lambda: False)
    with pytest.raises(NoGpuError, match=r'^model\.engine: expected an NVIDIA GPU, found none; run the ONNX file'):
        TensorRTBackend(str(tmp_path / 'model.engine'), module)


@gpu
@needs('tensorrt_rtx')
def test_an_engine_of_another_version_is_refused(tmp_path):
    (tmp_path / 'model.engine').write_bytes(b'no engine')
    with pytest.raises(DeployError, match=r'model\.engine cannot be loaded by tensorrt_rtx'):
        open_backend('tensorrt-rtx', tmp_path / 'model.engine')


@gpu
@needs('onnx', 'onnxruntime', 'tensorrt_rtx')
def test_an_engine_computes_what_pytorch_does(tmp_path):
    from bisenet_plugins.deploy.tensorrt_build import build_engine
    from bisenet_plugins.runtime.backends.onnxruntime import to_onnxruntime
    network = nn.Conv2d(3, 4, 3, padding=1)
    x = np.random.default_rng(0).random((1, 3, 64, 128), np.float32)
    (tmp_path / 'model.onnx').write_bytes(to_onnxruntime(network, x).model)
    build_engine(str(tmp_path / 'model.onnx'), str(tmp_path / 'model.engine'),
                 shapes=dict.fromkeys(('min_shape', 'opt_shape', 'max_shape'), x.shape))
    backend = open_backend('tensorrt-rtx', tmp_path / 'model.engine')
    torch.testing.assert_close(torch.from_numpy(backend(x)), network(torch.from_numpy(x)).detach(), rtol=1e-2,
                               atol=1e-2)
    assert backend.scores(x) is None
