"""Networks, preprocessors and pipelines as users have them: exported right, or refused in a sentence."""

import json
import os

import numpy as np
import pytest
import torch
from mmseg.models import FCNHead, SegDataPreProcessor

from bisenet_plugins.deploy import DeployOptions, deploy
from bisenet_plugins.errors import DeployError, InputError, UnsupportedOperatorError
from bisenet_plugins.runtime.artifact import Artifact
from bisenet_plugins.runtime.network import Network
from tests.deploy.conftest import make, needs, tiny_config

pytestmark = needs('mmdeploy', 'onnx', 'onnxruntime')


def export(cfg, folder, **settings):
    """Export a network with random weights, but masks of many classes."""
    network = Network(cfg, device='cpu')
    torch.nn.init.normal_(network.model.decode_head.conv_seg.weight, std=20)
    torch.save(network.checkpoint(), weights := str(folder.with_name('weights.pth')))
    return deploy(network.cfg, weights, str(folder), DeployOptions(**{'image_count': 2, 'threads': 1, **settings}))


def with_head(**head):
    """A ResNet of a few thousand weights with one of mmseg's heads."""
    cfg = tiny_config()
    cfg.model.backbone = dict(type='ResNetV1c', depth=18, base_channels=8, norm_cfg=dict(type='BN'))
    cfg.model.decode_head = dict(channels=8, num_classes=5, norm_cfg=dict(type='BN'), align_corners=False, **head)
    cfg.model.auxiliary_head = None
    return cfg


FPN = dict(type='FPNHead', in_channels=[8, 16, 32, 64], in_index=[0, 1, 2, 3], feature_strides=[4, 8, 16, 32])
PSP = dict(type='PSPHead', in_channels=64, in_index=3)


@pytest.mark.parametrize('backend', ['onnxruntime', 'openvino'])
def test_a_conversion_that_holds_for_one_size_alone_is_refused(backend):
    pytest.importorskip(backend)
    with pytest.raises(DeployError, match=f'{backend}: the converted network (differs from PyTorch|fails) on images'):
        Network(with_head(**FPN)).open(backend)


def test_a_dynamic_graph_that_holds_for_one_size_alone_is_refused(tmp_path):
    with pytest.raises(DeployError, match='differs from the PyTorch model|needs a static shape'):
        export(with_head(**FPN), tmp_path / 'a')
    assert os.listdir(tmp_path) == ['weights.pth']
    assert export(with_head(**FPN), tmp_path / 'a', shape=(64, 96)).checks['agreement'] >= 99.99


def test_a_dynamic_graph_that_takes_one_size_alone_is_refused(tmp_path):
    cfg = tiny_config()
    cfg.model.backbone = dict(type='BilateralNetwork', detail_branch=dict(type='DetailBranch', width_mult=0.25),
                              semantic_branch=dict(type='MobileNetV3', arch='small', out_indices=(0, 1, 12)))
    cfg.model.decode_head = dict(type='BGAHead', channels=8, num_classes=5)
    cfg.model.auxiliary_head = None
    with pytest.raises(DeployError, match=r'end2end.onnx fails on an input of \(\d+, \d+\); .* needs a static shape'):
        export(cfg, tmp_path / 'a')


def test_a_pooling_that_cannot_be_traced_names_what_can_export_it(tmp_path):
    with pytest.raises(UnsupportedOperatorError, match='with --shape and --exporter program it does'):
        export(with_head(**PSP), tmp_path / 'a')
    pytest.importorskip('onnxscript')
    assert export(with_head(**PSP), tmp_path / 'a', shape=(64, 96), exporter='program').checks['agreement'] >= 99.99


@pytest.mark.parametrize('output', ['logits', 'logits_s8', 'mask'])
def test_one_channel_gives_what_is_asked_for(tmp_path, output):
    cfg = tiny_config()
    for head in (cfg.model.decode_head, *cfg.model.auxiliary_head):
        head.update(num_classes=2, out_channels=1, threshold=0.4)
    artifact = export(cfg, tmp_path / 'a', output=output)
    found = artifact.open(1)(np.random.default_rng(0).random((1, 3, 64, 96), np.float32))
    assert found.shape == (1, 1, *((8, 12) if output == 'logits_s8' else (64, 96)))
    assert found.dtype == (np.uint8 if output == 'mask' else np.float32)


@pytest.mark.parametrize('change', ['no mean', 'no preprocessor', 'a factor', 'one side', 'classes'])
def test_configs_of_every_style_are_exported(tmp_path, change):
    cfg = tiny_config()
    resize = dict(type='Resize', scale=128, keep_ratio=True)
    if change == 'no mean':
        cfg.model.data_preprocessor.update(mean=None, std=None)
    elif change == 'no preprocessor':
        del cfg.model['data_preprocessor']
    elif change == 'classes':
        cfg = tiny_config().to_dict()
        cfg['model']['decode_head']['type'] = FCNHead
        cfg['model']['data_preprocessor']['type'] = SegDataPreProcessor
        cfg = type(tiny_config())(cfg)
    else:
        cfg.test_pipeline.insert(1, resize if change == 'one side' else dict(type='Resize', scale_factor=0.5))
    artifact = export(cfg, tmp_path / 'a')
    assert artifact.checks['agreement'] >= 99.99
    # mmdeploy's SDK resizes to a size alone
    assert ('pipeline.json' in os.listdir(tmp_path / 'a')) == (change != 'a factor')


def test_the_sdk_s_files_have_the_pipeline_of_the_dataset(tmp_path):
    cfg = tiny_config()
    steps = [cfg.test_pipeline[0], dict(type='Resize', scale=(96, 64), keep_ratio=True), cfg.pop('test_pipeline')[-1]]
    cfg.test_dataloader = dict(dataset=dict(type='BaseSegDataset', pipeline=steps))
    export(cfg, tmp_path / 'a', verify=False)
    told = json.loads((tmp_path / 'a' / 'pipeline.json').read_text())['pipeline']['tasks'][0]['transforms']
    assert dict(type='Resize', size=[96, 64], keep_ratio=True) in told
    made = next(step for step in told if step['type'] == 'Normalize')
    assert (made['mean'], made['std'], made['to_rgb']) == (
        cfg.model.data_preprocessor.mean, cfg.model.data_preprocessor.std, True)


def test_a_static_graph_has_the_shape_asked_for_whatever_the_pipeline_does(tmp_path):
    cfg = tiny_config()
    cfg.test_pipeline.insert(1, dict(type='ResizeToMultiple', size_divisor=32))
    artifact = export(cfg, tmp_path / 'a', shape=(64, 100))
    assert artifact.open(1)(np.zeros((1, 3, 64, 100), np.float32)).shape == (1, 1, 64, 100)


def test_what_came_into_the_folder_meanwhile_stays(tiny, tmp_path, monkeypatch):
    def compare(*_):
        (tmp_path / 'a').mkdir()
        (tmp_path / 'a' / 'notes.txt').write_text('mine')
        return dict(precision='fp32', agreement=100.0)

    monkeypatch.setattr('bisenet_plugins.deploy.exporter.compare', compare)
    with pytest.raises(InputError, match='out: expected a new folder, got .*, which holds other files'):
        make(tiny, tmp_path / 'a')
    assert os.listdir(tmp_path) == ['a'] and os.listdir(tmp_path / 'a') == ['notes.txt']


def test_int8_beyond_the_limit_is_warned_of(tiny, tmp_path):
    artifact = make(tiny, tmp_path / 'a', precision='int8', shape=(64, 128), calibration='synthetic',
                    calibration_images=1, search='off', max_drop=0.0)
    lost = artifact.quantization['drop']
    assert lost > 0
    assert f'INT8 loses {lost} points of mIoU, and max_drop is 0.0' in Artifact.load(artifact.folder).checks['warnings']


def test_normalization_outside_the_preprocessor_is_refused(tmp_path):
    cfg = tiny_config()
    cfg.test_pipeline.insert(1, dict(type='Normalize', mean=[1.0] * 3, std=[2.0] * 3, to_rgb=True))
    with pytest.raises(InputError, match='test pipeline: expected normalization in data_preprocessor, .* got .*Normal'):
        export(cfg, tmp_path / 'a')
    assert Network(cfg).prepare(np.zeros((8, 8, 3), np.uint8)).inputs.max() < 0, 'PyTorch follows any pipeline'


def test_a_mean_of_more_than_bytes_is_refused():
    cfg = tiny_config()
    cfg.model.data_preprocessor.update(mean=[22000.0] * 3, std=[6000.0] * 3)
    with pytest.raises(InputError, match='data_preprocessor.mean: expected that of images of 8 bits'):
        Network(cfg)


def test_a_threshold_counts_where_int8_is_judged(tiny):
    from bisenet_plugins.datasets.samples import synthetic_samples
    from bisenet_plugins.deploy.quantize import Calibration
    artifact = Artifact('onnxruntime', 'int8', 'a.onnx', 'a.onnx', num_classes=2, threshold=0.1)
    calibration = Calibration(artifact, synthetic_samples(1, (32, 32)), (), 0.5, 'off')
    (mask,) = calibration.masks(lambda batch: np.full((1, 1, 4, 4), -1.0, np.float32))
    assert mask.all() and torch.tensor(-1.0).sigmoid() < 0.5
