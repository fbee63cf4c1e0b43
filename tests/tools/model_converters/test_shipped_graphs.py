"""The graphs that ship beside a network: each is enough alone, and equals the network."""

import json

import cv2
import numpy as np
import pytest
import torch

from bisenet_plugins.cli.main import run_command
from bisenet_plugins.errors import DeployError
from bisenet_plugins.runtime.artifact import Artifact
from bisenet_plugins.runtime.predictor import Predictor
from bisenet_plugins.weights import store
from tests.deploy.conftest import needs
from tests.weights.test_store import scenes, tiny_config
from tools.model_converters.export_shipped_network import export_pretrained

pytestmark = needs('mmdeploy', 'onnx', 'onnxruntime')


@pytest.fixture(scope='module')
def shipped(tmp_path_factory):
    """A network whose classes do not tie, exported with its graphs."""
    folder = tmp_path_factory.mktemp('graphs')
    torch.manual_seed(0)
    predictor = Predictor(tiny_config())
    torch.nn.init.normal_(predictor.model.decode_head.conv_seg.weight, std=5.0)
    torch.save(dict(state_dict=predictor.model.state_dict()), folder / 'weights.pth')
    export_pretrained(tiny_config(), folder / 'weights.pth', 'tiny', folder=folder, evaluate=False, calibration='train')
    return folder


@pytest.mark.slow
def test_each_graph_is_the_network(shipped):
    expected = Predictor(tiny_config(), shipped / 'tiny.safetensors', backend='torch')
    for precision, least in (('fp32', 0.99), ('int8', 0.8)):
        alone = Predictor(store.shipped_graph('tiny', precision, shipped), threads=1)
        assert (alone.artifact.precision, alone.artifact.output) == (precision, 'logits_s8')
        assert alone.classes == expected.classes
        for image in scenes():
            assert (alone(image) == expected(image)).mean() > least


def test_weights_are_stored_in_half_and_small(shipped):
    import onnx
    graph = onnx.load(store.shipped_graph('tiny', 'fp32', shipped)).graph
    assert {tensor.data_type for tensor in graph.initializer if len(tensor.dims) == 4} == {onnx.TensorProto.FLOAT16}
    assert Artifact.load(str(store.shipped_graph('tiny', 'fp32', shipped))).checks['agreement'] > 99.9


def test_index_and_card_name_the_graphs(shipped):
    graphs = json.loads((shipped / 'index.json').read_text())['networks']['tiny']['graphs']
    card = (shipped / 'tiny.md').read_text()
    for entry in graphs.values():
        assert (shipped / entry['file']).stat().st_size == entry['bytes']
        assert entry['sha256'] in card and str(entry['bytes']) in card


def test_predict_uses_the_shipped_int8_graph(shipped, tmp_path, monkeypatch):
    monkeypatch.setattr(store, 'FOLDER', shipped)
    cv2.imwrite(str(tmp_path / 'a.png'), scenes()[0])
    options = ['--out-dir', str(tmp_path / 'out'), '--save', 'ids', '--precision', 'int8']
    assert run_command(argv=['predict', str(tmp_path / 'a.png'), *options]) == 0
    expected = Predictor(store.shipped_graph('tiny', 'int8'))(scenes()[0])
    found, = (tmp_path / 'out').rglob('*.png')
    np.testing.assert_array_equal(cv2.imread(str(found), cv2.IMREAD_UNCHANGED), expected)


@needs('openvino')
def test_openvino_refuses_the_int8_graph(shipped):
    """OpenVINO 2026.4 computed such graphs wrongly: 87 instead of 96 % of an image's pixels were right."""
    path = store.shipped_graph('tiny', 'int8', shipped)
    with pytest.raises(DeployError, match='tiny.int8.onnx: expected a graph in single precision, got INT8'):
        Predictor(path, backend='openvino')(scenes()[0])
    predictor = Predictor(path)
    predictor(scenes()[0])
    assert predictor.backend == 'onnxruntime'
