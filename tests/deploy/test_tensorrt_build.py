"""Engines: TensorRT-RTX builds without a GPU, TensorRT says at once that it cannot."""

import os
import sys
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType

import pytest

from bisenet_plugins.deploy.backend_file import build_backend_file
from bisenet_plugins.deploy.graph import attribute
from bisenet_plugins.deploy.tensorrt_build import build_engine, check_backend
from bisenet_plugins.errors import DeployError, InputError, MissingPackageError, NoGpuError, UnsupportedOperatorError
from tests.deploy.conftest import make, needs
from tests.deploy.test_quantize import tiny_calibration

SHAPES = dict.fromkeys(('min_shape', 'opt_shape', 'max_shape'), (1, 3, 64, 128))


@needs('onnx', 'tensorrt_rtx')
def test_node_and_module_of_an_unknown_operator_are_named(tmp_path):
    import onnx
    from onnx import TensorProto, helper
    node = helper.make_node('Unique', ['x'], ['y'], '/backbone/odd/Unique')
    graph = helper.make_graph([node], 'g', [helper.make_tensor_value_info('x', TensorProto.FLOAT, [4])],
                              [helper.make_tensor_value_info('y', TensorProto.FLOAT, None)])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid('', 17)], ir_version=8), tmp_path / 'm.onnx')
    with pytest.raises(UnsupportedOperatorError, match=r'node /backbone/odd/Unique .*of module backbone\.odd'):
        build_engine(str(tmp_path / 'm.onnx'), str(tmp_path / 'm.engine'))


@needs('tensorrt_rtx')
def test_unknown_gpus_and_missing_shapes_are_refused(tiny, tmp_path):
    with pytest.raises(InputError, match=r"compute_capabilities: expected some of .*, got \('1.0',\)"):
        build_engine(tiny[0].path, str(tmp_path / 'e'), shapes=SHAPES, compute_capabilities=('1.0',))
    with pytest.raises(InputError, match='shapes: expected min_shape, opt_shape and max_shape of input input'):
        build_engine(tiny[0].path, str(tmp_path / 'e'))


@needs('tensorrt_rtx')
def test_a_damaged_graph_is_refused(tiny, tmp_path):
    with open(tiny[0].path, 'rb') as file:
        (tmp_path / 'm.onnx').write_bytes(file.read()[:-100])
    with pytest.raises(UnsupportedOperatorError, match='cannot take m.onnx'):
        build_engine(str(tmp_path / 'm.onnx'), str(tmp_path / 'e'))


@needs('onnx', 'tensorrt_rtx')
def test_quantised_graph_is_taken(tiny, tmp_path):
    import onnx
    engine = build_backend_file(tiny[0].path, str(tmp_path), 'tensorrt-rtx', 'int8', tiny_calibration(tiny), SHAPES,
                                ('8.6', '8.9'))
    content = Path(engine).read_bytes()
    assert len(content) > 10_000
    assert bytes(100_000) not in content  # what INT8 depthwise convolutions would be padded with
    graph = onnx.load(tmp_path / 'end2end_int8.onnx').graph
    weights = {entry.name for entry in graph.initializer}
    kinds = {(attribute(node, 'group', 1) > 1, node.input[1] in weights) for node in graph.node
             if node.op_type == 'Conv'}
    assert {(False, False), (True, True)} <= kinds  # quantized; depthwise, with weights as they were
    assert (True, False) not in kinds


def test_without_a_gpu_tensorrt_says_so_at_once(tiny, tmp_path, monkeypatch):
    monkeypatch.setattr('bisenet_plugins.deploy.tensorrt_build.has_gpu', lambda: False)
    with pytest.raises(NoGpuError, match='--format tensorrt-rtx.*--format onnx'):
        make(tiny, tmp_path / 'a', backend='tensorrt', precision='fp16')
    assert os.listdir(tmp_path) == []


def test_an_old_tensorrt_is_told_apart(tiny, tmp_path, monkeypatch):
    old = ModuleType('tensorrt')
    old.__version__, old.__spec__ = '8.6.1', ModuleSpec('tensorrt', None)
    monkeypatch.setitem(sys.modules, 'tensorrt', old)
    monkeypatch.setattr('bisenet_plugins.deploy.tensorrt_build.has_gpu', lambda: True)
    with pytest.raises(DeployError, match=r'expected version 10 or later \(JetPack 6.1 .*got 8.6.1; .*trtexec'):
        build_engine(tiny[0].path, str(tmp_path / 'e'), 'tensorrt')


def test_a_jetson_is_told_where_its_tensorrt_comes_from(tmp_path, monkeypatch):
    monkeypatch.setattr('bisenet_plugins.deploy.tensorrt_build.has_gpu', lambda: True)
    monkeypatch.setattr('bisenet_plugins.deploy.tensorrt_build.JETSON', str(tmp_path))
    monkeypatch.setattr('importlib.util.find_spec', lambda name: None)
    with pytest.raises(MissingPackageError, match='tensorrt: expected the one that comes with JetPack'):
        check_backend('tensorrt')
