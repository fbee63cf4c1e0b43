"""Half precision in the graph itself."""

import numpy as np
import pytest

onnx = pytest.importorskip('onnx', reason='onnx is not installed; see docs/deploy.md')
pytest.importorskip('onnxruntime', reason='onnxruntime is not installed; see docs/deploy.md')

from onnx import TensorProto, numpy_helper  # noqa: E402

from bisenet_plugins.deploy.graph import fold_batch_norms  # noqa: E402
from bisenet_plugins.deploy.half import to_float16  # noqa: E402
from bisenet_plugins.errors import DeployError  # noqa: E402
from tests.deploy.test_graph import norm_graph, run  # noqa: E402


def test_half_precision_refuses_what_it_cannot_hold(tmp_path):
    model = norm_graph()
    fold_batch_norms(model.graph)
    weight = next(tensor for tensor in model.graph.initializer if tensor.name.endswith('folded_weight'))
    weight.CopyFrom(numpy_helper.from_array(np.full((4, 3, 1, 1), 1e6, np.float32), weight.name))
    onnx.save(model, tmp_path / 'm.onnx')
    with pytest.raises(DeployError, match='expected at most 65504 in half precision, got 1e.06'):
        to_float16(str(tmp_path / 'm.onnx'), str(tmp_path / 'h.onnx'))


def test_half_precision_needs_a_convolution(tmp_path):
    onnx.save(norm_graph(tail='Sigmoid'), tmp_path / 'm.onnx')
    with pytest.raises(DeployError, match='expected a graph with convolutions, got one without'):
        to_float16(str(tmp_path / 'm.onnx'), str(tmp_path / 'h.onnx'))


def test_half_precision_computes_in_half(tmp_path):
    model = norm_graph()
    fold_batch_norms(model.graph)
    onnx.save(model, tmp_path / 'm.onnx')
    to_float16(str(tmp_path / 'm.onnx'), str(tmp_path / 'h.onnx'))
    half = onnx.load(tmp_path / 'h.onnx')
    assert {tensor.data_type for tensor in half.graph.initializer} == {TensorProto.FLOAT16}
    assert half.graph.output[0].type.tensor_type.elem_type == TensorProto.FLOAT
    x = np.random.default_rng(1).normal(size=(1, 3, 4, 5)).astype(np.float32)
    np.testing.assert_allclose(run(str(tmp_path / 'h.onnx'), x), run(str(tmp_path / 'm.onnx'), x), atol=2e-2)
