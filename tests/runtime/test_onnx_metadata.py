"""The metadata of an ONNX file, against the package onnx."""

import numpy as np
import pytest

from bisenet_plugins.errors import DeployError
from bisenet_plugins.runtime.onnx_metadata import read_metadata

onnx = pytest.importorskip('onnx')
TEXTS = {'one': 'two', 'empty': '', 'long': 'x' * 300, 'name': 'Straße'}


@pytest.fixture
def path(tmp_path):
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node('Identity', ['x'], ['y'])], 'g',
        [onnx.helper.make_tensor_value_info('x', 1, [1])], [onnx.helper.make_tensor_value_info('y', 1, [1])],
        [onnx.numpy_helper.from_array(np.zeros(2**19, np.float32), 'large')])
    model = onnx.helper.make_model(graph, producer_name='test', model_version=1 << 40)
    onnx.helper.set_model_props(model, TEXTS)
    onnx.save(model, tmp_path / 'm.onnx')
    return tmp_path / 'm.onnx'


def test_equals_onnx(path):
    read = {entry.key: entry.value for entry in onnx.load(path).metadata_props}
    assert read_metadata(path) == read == TEXTS


@pytest.mark.parametrize('cut', [0, 1, 20, 1000, -1, -20])
def test_a_truncated_file_is_refused(path, cut):
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(DeployError, match='m.onnx: expected an ONNX file'):
        read_metadata(path)


def test_something_else_is_refused(path):
    path.write_bytes(b'\x89PNG' * 100)
    with pytest.raises(DeployError, match='m.onnx: expected an ONNX file'):
        read_metadata(path)


def test_a_number_without_an_end_is_refused_at_once(path):
    path.write_bytes(b'\xff' * 10_000_000)
    with pytest.raises(DeployError, match='m.onnx: expected an ONNX file'):
        read_metadata(path)
