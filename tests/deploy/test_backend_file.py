"""From an ONNX file to every backend's own, through mmdeploy's API."""

from pathlib import Path

import pytest

from bisenet_plugins.datasets.samples import synthetic_samples
from bisenet_plugins.deploy.backend_file import build_backend_file
from bisenet_plugins.deploy.verify import compare, judge
from bisenet_plugins.errors import InputError
from tests.deploy.conftest import make, needs, other_backend

pytestmark = needs('mmdeploy', 'onnx', 'onnxruntime')


@needs('openvino')
@pytest.mark.parametrize('precision', ['fp32', 'fp16'])
def test_openvino_agrees(tiny, tmp_path, precision):
    artifact = other_backend(tiny[0], tmp_path / precision, 'openvino', precision)
    report = compare(artifact.folder, tiny[3], synthetic_samples(2, (63, 127)), threads=1)
    assert judge(report) == []
    assert report['ran'] == 'end2end.xml'
    assert ' sort="index"' in Path(artifact.path).read_text()  # the argmax, which is slow by value


@needs('tensorrt_rtx')
@pytest.mark.parametrize('precision', [pytest.param('fp32', marks=pytest.mark.slow), 'fp16'])
def test_tensorrt_rtx_takes_bytes_and_dynamic_shapes(tiny, tmp_path, precision):
    dynamic = other_backend(tiny[0], tmp_path / 'dynamic', 'tensorrt-rtx', precision)
    assert Path(dynamic.path).stat().st_size > 10_000
    contained = make(tiny, tmp_path / 'bytes', backend='tensorrt-rtx', precision=precision, shape=(64, 128),
                     channel_order='bgr', network_size=(64, 64))
    assert contained.file == 'end2end.engine'
    assert 'end2end.engine was only built' in contained.checks['ran']  # the engine's own graph is compared


@pytest.mark.parametrize('backend', ['onnxruntime', 'openvino', 'tensorrt-rtx'])
def test_int8_needs_images(tiny, tmp_path, backend):
    pytest.importorskip(backend.replace('-', '_'))
    with pytest.raises(InputError, match='calibration: expected images, as the precision is int8, got None'):
        build_backend_file(tiny[0].path, str(tmp_path), backend, 'int8')
