"""Passes over the graph: folding, and what is refused."""

import numpy as np
import pytest

onnx = pytest.importorskip('onnx', reason='onnx is not installed; see docs/deploy.md')
onnxruntime = pytest.importorskip('onnxruntime', reason='onnxruntime is not installed; see docs/deploy.md')

from onnx import TensorProto, helper, numpy_helper  # noqa: E402

from bisenet_plugins.deploy.graph import (  # noqa: E402
    check_graph,
    convolution_span,
    finish_graph,
    fold_batch_norms,
    load_graph,
)
from bisenet_plugins.errors import DeployError, UnsupportedOperatorError  # noqa: E402


def norm_graph(pad=0, tail='Conv', name='/backbone/gap/BatchNormalization'):
    """Batch norm in front of a convolution, or of a sigmoid."""
    rng = np.random.default_rng(0)
    tensors = {'gamma': rng.uniform(0.5, 2, 3), 'beta': rng.normal(size=3), 'mean': rng.normal(size=3),
               'var': rng.uniform(0.5, 2, 3), 'weight': rng.normal(size=(4, 3, 1 + 2 * pad, 1 + 2 * pad))}
    nodes = [helper.make_node('BatchNormalization', ['x', 'gamma', 'beta', 'mean', 'var'], ['normed'], name)]
    if tail == 'Conv':
        nodes.append(helper.make_node('Conv', ['normed', 'weight'], ['y'], '/backbone/conv/Conv', pads=[pad] * 4))
    else:
        nodes.append(helper.make_node('Sigmoid', ['normed'], ['y'], '/backbone/Sigmoid'))
        del tensors['weight']
    graph = helper.make_graph(
        nodes, 'g', [helper.make_tensor_value_info('x', TensorProto.FLOAT, [1, 3, 4, 5])],
        [helper.make_tensor_value_info('y', TensorProto.FLOAT, [1, 4 if tail == 'Conv' else 3, 4, 5])],
        [numpy_helper.from_array(value.astype(np.float32), key) for key, value in tensors.items()])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid('', 17)], ir_version=8)


def run(model, x):
    content = model if isinstance(model, str) else model.SerializeToString()
    return onnxruntime.InferenceSession(content, providers=['CPUExecutionProvider']).run(None, {'x': x})[0]


@pytest.mark.parametrize(('pad', 'tail', 'left'), [(0, 'Conv', ['Conv']), (1, 'Conv', ['Mul', 'Add', 'Conv']),
                                                   (0, 'Sigmoid', ['Mul', 'Add', 'Sigmoid'])])
def test_fold_batch_norms_keeps_the_function(pad, tail, left):
    model = norm_graph(pad, tail)
    x = np.random.default_rng(1).normal(size=(1, 3, 4, 5)).astype(np.float32)
    before = run(model, x)
    assert fold_batch_norms(model.graph) == 1
    assert [node.op_type for node in model.graph.node] == left
    np.testing.assert_allclose(run(model, x), before, rtol=1e-5, atol=1e-5)


def test_check_graph_refuses_a_batch_norm():
    with pytest.raises(DeployError, match='is a batch norm that could not be folded'):
        check_graph(norm_graph())


def test_check_graph_refuses_a_training_head():
    model = norm_graph(tail='Sigmoid')
    fold_batch_norms(model.graph)
    model.graph.node[-1].name = '/auxiliary_head.0/Sigmoid'
    with pytest.raises(DeployError, match='holds an auxiliary head'):
        check_graph(model)


def test_check_graph_names_node_and_module_of_a_foreign_operator():
    model = norm_graph(tail='Sigmoid')
    fold_batch_norms(model.graph)
    model.graph.node[-1].domain = 'mmdeploy'
    with pytest.raises(UnsupportedOperatorError, match=r'/backbone/Sigmoid \(mmdeploy::Sigmoid\) of module backbone'):
        check_graph(model)


def test_check_graph_refuses_an_opset():
    model = norm_graph()
    model.opset_import[0].version = 11
    with pytest.raises(DeployError, match='opset_version: expected 13 to 23, got 11'):
        check_graph(model)


def test_finish_graph_drops_what_nothing_reads(tmp_path):
    model = norm_graph()
    model.graph.node.append(helper.make_node('Relu', ['x'], ['unused'], '/auxiliary_head/Relu'))
    onnx.save(model, tmp_path / 'm.onnx')
    finish_graph(str(tmp_path / 'm.onnx'))
    assert [node.op_type for node in onnx.load(tmp_path / 'm.onnx').graph.node] == ['Conv']


def test_an_unreadable_file_is_refused(tmp_path):
    (tmp_path / 'm.onnx').write_bytes(norm_graph().SerializeToString()[:-40])
    with pytest.raises(DeployError, match='expected an ONNX file, got one that cannot be read'):
        load_graph(str(tmp_path / 'm.onnx'))
    (tmp_path / 'm.onnx').write_bytes(b'')
    with pytest.raises(DeployError, match='expected an ONNX file, got one without a graph'):
        load_graph(str(tmp_path / 'm.onnx'))


def test_convolution_span():
    model = norm_graph()
    assert convolution_span(model.graph, 'm.onnx') == (1, 1)
    with pytest.raises(DeployError, match='m.onnx: expected a graph with convolutions, got one without'):
        convolution_span(norm_graph(tail='Sigmoid').graph, 'm.onnx')
