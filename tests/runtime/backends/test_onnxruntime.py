"""ONNX Runtime computes what PyTorch does, from memory and from a file."""

import time

import numpy as np
import pytest
import torch
from torch import nn

from bisenet_plugins.errors import DeployError
from bisenet_plugins.runtime.backends import open_backend
from bisenet_plugins.runtime.backends.onnxruntime import OnnxRuntimeBackend, to_onnxruntime
from bisenet_plugins.runtime.backends.torch import Logits
from tests.deploy.conftest import needs
from tests.runtime.backends.conftest import SHAPES

pytestmark = needs('onnx', 'onnxruntime')
EXAMPLE = np.random.default_rng(0).random((1, 3, 64, 96), np.float32)


def test_logits_of_any_size_and_batch_are_the_same(network):
    logits = Logits(network).eval()
    backend = to_onnxruntime(logits, EXAMPLE, threads=1)
    for shape in SHAPES:
        x = torch.randn(shape)
        with torch.no_grad():
            expected = logits(x)
        torch.testing.assert_close(torch.from_numpy(backend(x.numpy())), expected, rtol=1e-4, atol=1e-4)


def test_a_file_is_the_same_graph_and_shows_its_scores(classes, tmp_path):
    memory = to_onnxruntime(classes, EXAMPLE)
    (tmp_path / 'model.onnx').write_bytes(memory.model)
    x = np.random.default_rng(1).random((2, 3, 9, 7), np.float32)
    scores = classes.conv(torch.from_numpy(x)).detach()
    for backend in (memory, open_backend('onnxruntime', tmp_path / 'model.onnx', threads=1)):
        np.testing.assert_array_equal(backend(x), scores.argmax(1, keepdim=True))
        torch.testing.assert_close(torch.from_numpy(backend.scores(x)), scores)


def test_without_argmax_the_scores_are_the_output():
    backend = to_onnxruntime(nn.ReLU(), EXAMPLE)
    np.testing.assert_array_equal(backend.scores(EXAMPLE - 0.5), (EXAMPLE - 0.5).clip(0))


def test_inputs_in_any_memory_layout_are_taken():
    backend = to_onnxruntime(nn.ReLU(), EXAMPLE)
    x = EXAMPLE.transpose(0, 1, 3, 2)
    np.testing.assert_array_equal(backend(x), x)


def test_threads_reach_the_session():
    options = to_onnxruntime(nn.ReLU(), EXAMPLE, threads=2).session.get_session_options()
    assert options.intra_op_num_threads == 2


def test_threads_rest_after_a_run():
    x = np.zeros((1, 16, 128, 128), np.float32)
    backend = to_onnxruntime(nn.Sequential(nn.Conv2d(16, 16, 3), nn.Conv2d(16, 16, 3)), x, threads=2)
    spent = []
    for _ in range(5):
        backend(x)
        start = time.process_time()
        time.sleep(0.03)
        spent.append(time.process_time() - start)
    assert min(spent) < 0.01


def test_products_of_int8_do_not_saturate():
    from onnx import TensorProto, helper, numpy_helper

    values = dict(weight=np.full((32, 32, 1, 1), 127, np.int8), zero_s8=np.int8(0), zero_u8=np.uint8(0),
                  fine=np.float32(1 / 255), coarse=np.float32(0.1))
    nodes = [helper.make_node(kind, inputs, [output]) for kind, inputs, output in (
        ('QuantizeLinear', ['input', 'fine', 'zero_u8'], 'bytes'),
        ('DequantizeLinear', ['bytes', 'fine', 'zero_u8'], 'x'),
        ('DequantizeLinear', ['weight', 'fine', 'zero_s8'], 'w'),
        ('Conv', ['x', 'w'], 'y'),
        ('QuantizeLinear', ['y', 'coarse', 'zero_u8'], 'sums'),
        ('DequantizeLinear', ['sums', 'coarse', 'zero_u8'], 'output'))]
    shape = [1, 32, 8, 8]
    graph = helper.make_graph(
        nodes, 'int8', [helper.make_tensor_value_info('input', TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info('output', TensorProto.FLOAT, shape)],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in values.items()])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid('', 17)], ir_version=8)
    found = OnnxRuntimeBackend(model.SerializeToString())(np.ones(shape, np.float32))
    np.testing.assert_allclose(found, 32 * 127 / 255, atol=0.1)


@pytest.mark.parametrize(('flags', 'slow'), [(['sse4_1 avx2', 'sse4_1 avx2'], '1'), (['avx2 avx512_vnni'], '0'),
                                             (['avx2 avx_vnni'], '0'), ([], '1')])
def test_products_of_int8_are_slow_only_where_fast_ones_saturate(monkeypatch, flags, slow):
    monkeypatch.setattr('bisenet_plugins.runtime.backends.onnxruntime.told_by_cores', lambda name: flags)
    options = to_onnxruntime(nn.ReLU(), EXAMPLE).session.get_session_options()
    assert options.get_session_config_entry('session.x64quantprecision') == slow


def test_what_cannot_be_loaded_is_named(tmp_path):
    (tmp_path / 'bad.onnx').write_bytes(b'no graph')
    with pytest.raises(DeployError, match=r'bad\.onnx cannot be loaded by ONNX Runtime: '):
        OnnxRuntimeBackend(str(tmp_path / 'bad.onnx'))
    with pytest.raises(DeployError, match='^the converted network cannot be loaded by ONNX Runtime: '):
        OnnxRuntimeBackend(b'no graph')


def test_a_converted_network_stays_in_evaluation_mode():
    network = torch.nn.Sequential(torch.nn.Conv2d(3, 2, 1), torch.nn.BatchNorm2d(2))
    network[0].eval(), network[1].eval()  # the outer module alone says training
    to_onnxruntime(network, np.zeros((1, 3, 8, 8), np.float32), threads=1)
    assert not any(module.training for module in network.modules())
