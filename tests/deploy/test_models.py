"""Every network of the family, on every backend that a CPU can run or build for."""

from pathlib import Path

import numpy as np
import pytest
from mmengine.config import Config

from bisenet_plugins.deploy import DeployOptions, deploy
from bisenet_plugins.runtime.artifact import Artifact
from bisenet_plugins.runtime.predictor import Predictor
from tests.deploy.conftest import ROOT, needs, other_backend

MODELS = {
    'V2': 'bisenetv2/bisenetv2_bga_4xb4-150k_cityscapes-*.py',
    'V2-Large': 'bisenetv2/bisenetv2*large*cityscapes-*.py',
    'V1-X39': 'bisenetv1/bisenetv1_x39_*cityscapes-*.py',
    'V1-R18': 'bisenetv1/bisenetv1_r18_*cityscapes-*.py',
    'STDC1-Seg50': 'stdc/stdc1_seg50_*.py',
    'STDC2-Seg75': 'stdc/stdc2_seg75_*.py',
    'V2-MobileNetV2': 'bisenetv2/bisenetv2_mobilenetv2-bga_*cityscapes-*.py',
}
DYNAMIC = [(name, 'dynamic') for name in MODELS]
STATIC = [(name, 'static') for name in ('V2', 'V1-R18', 'STDC1-Seg50')]  # of each family one
QUICK = [('V2', 'dynamic'), ('V1-R18', 'static'), ('STDC1-Seg50', 'static')]


def params(cases):
    """Mark the cases that the quick suite leaves out."""
    return [pytest.param(case, marks=() if case in QUICK else pytest.mark.slow, id='-'.join(case)) for case in cases]


def config_of(name: str) -> Path:
    found = sorted((ROOT / 'configs').glob(MODELS[name]))
    assert found, f'no config for {name}: configs/{MODELS[name]}'
    return found[0]


@pytest.fixture(scope='module', params=params([*DYNAMIC, *STATIC]))
def network(request, tmp_path_factory):
    """A network, and its artifact for ONNX Runtime."""
    pytest.importorskip('mmdeploy', reason='mmdeploy is not installed; see docs/deploy.md')
    import torch

    name, kind = request.param
    folder = tmp_path_factory.mktemp(name)
    config = Config.fromfile(config_of(name))
    dataset = config.test_dataloader.dataset
    dataset.pipeline = [step for step in dataset.pipeline if step.type != 'Resize']  # small images stay small
    if name == 'V2-Large':  # as deep as it is, but narrow: an exporter does not see the width
        config.merge_from_dict({f'model.backbone.{branch}.width_mult': 0.5
                                for branch in ('detail_branch', 'semantic_branch')})
    torch.manual_seed(0)
    predictor = Predictor(config, backend='torch', threads=1)
    weights = folder / 'weights.pth'
    torch.save(dict(state_dict=predictor.model.state_dict()), weights)
    shape = (64, 128) if kind == 'static' else None
    options = DeployOptions(shape=shape, verify=False, dump_info=False)
    return predictor, deploy(config, str(weights), str(folder / kind), options)


def images(artifact: Artifact):
    from bisenet_plugins.datasets.samples import Sample, synthetic_samples
    image = synthetic_samples(1, (67, 131))[0].image
    return [Sample(image[:64, :128].copy())] + ([] if artifact.shape else [Sample(image)])


@needs('mmdeploy', 'onnxruntime')
@pytest.mark.parametrize('backend', ['onnxruntime', 'openvino'])
def test_equals_pytorch(network, backend, tmp_path):
    from bisenet_plugins.deploy.verify import compare, judge
    if backend == 'openvino':
        pytest.importorskip('openvino', reason='openvino is not installed; see docs/deploy.md')
    predictor, artifact = network
    if backend == 'openvino':
        artifact = other_backend(artifact, tmp_path / 'openvino', 'openvino')
    report = compare(artifact.folder, predictor, images(artifact), threads=1)
    assert judge(report) == []
    assert report['max_logit_difference'] < 1e-2


@needs('mmdeploy', 'tensorrt_rtx')
@pytest.mark.parametrize('network', params(STATIC), indirect=True)
@pytest.mark.parametrize('precision', ['fp32', 'fp16'])
def test_tensorrt_rtx_builds_without_a_gpu(network, precision, tmp_path):
    artifact = other_backend(network[1], tmp_path / 'engine', 'tensorrt-rtx', precision,
                             compute_capabilities=('8.6', '8.9'))
    assert Path(artifact.path).stat().st_size > 100_000


@needs('mmdeploy', 'onnxruntime')
@pytest.mark.parametrize('network', params([*STATIC, ('V2-MobileNetV2', 'dynamic')]), indirect=True)
def test_half_precision_agrees(network, tmp_path):
    from bisenet_plugins.deploy.verify import compare
    predictor, artifact = network
    artifact = other_backend(artifact, tmp_path / 'half', 'onnxruntime', 'fp16')
    report = compare(artifact.folder, predictor, images(artifact), threads=1)
    assert report['agreement'] > 99.0  # the gate; untrained networks tie often
    assert np.isfinite(report['max_logit_difference'])


@needs('mmdeploy', 'onnx')
def test_graph_has_no_training_parts(network):
    import onnx
    graph = onnx.load(network[1].path).graph
    names = ' '.join([node.name for node in graph.node] + [tensor.name for tensor in graph.initializer])
    assert 'auxiliary_head' not in names
    assert {node.domain for node in graph.node} == {''}
    assert not [node.name for node in graph.node if node.op_type in ('BatchNormalization', 'Dropout')]
