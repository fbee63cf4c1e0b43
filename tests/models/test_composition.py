"""Our parts under mmseg's heads, our heads behind other backbones, and the settings that the segmentor hands on."""

import pytest
import torch
from mmengine.config import ConfigDict
from mmengine.structures import PixelData
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample
from torch import nn

BN = dict(type='BN')
SMALL = dict(
    type='BilateralNetwork',
    detail_branch=dict(type='DetailBranch', width_mult=0.25),
    semantic_branch=dict(type='SemanticBranch', width_mult=0.5, expand_ratio=2))
CHANNELS = (32, 8, 16, 32, 64, 64)
CLASSES = 3


def step_and_predict(model, size=(64, 96)):
    """One training step's gradients, then one prediction."""
    samples = []
    for _ in range(2):
        meta = dict(img_shape=size, ori_shape=size, pad_shape=size)
        samples.append(SegDataSample(gt_sem_seg=PixelData(data=torch.randint(CLASSES, (1, *size))), metainfo=meta))
    images = torch.rand(2, 3, *size)
    losses = model.train().loss(images, samples)
    total = sum(v for k, v in losses.items() if 'loss' in k)
    total.backward()
    assert torch.isfinite(total)
    heads = [n for n, p in model.named_parameters() if p.grad is None and not n.startswith('backbone.')]
    assert heads == []  # a map that no head reads has no gradient, which is right
    with torch.no_grad():
        results = model.eval().predict(images, samples)
    assert [tuple(r.pred_sem_seg.data.shape) for r in results] == [(1, *size)] * 2


@pytest.mark.parametrize('head', [
    dict(type='FCNHead', in_channels=32, in_index=0, channels=8, num_convs=1),
    dict(type='PSPHead', in_channels=64, in_index=-1, channels=8, pool_scales=(1, 2)),
    dict(type='UPerHead', in_channels=CHANNELS[1:5], in_index=[1, 2, 3, 4], channels=8, pool_scales=(1, 2)),
    dict(type='DepthwiseSeparableASPPHead', in_channels=64, in_index=-1, channels=8, dilations=(1, 2),
         c1_in_channels=32, c1_channels=8),
    dict(type='SegformerHead', in_channels=CHANNELS[1:5], in_index=[1, 2, 3, 4], channels=8),
], ids=lambda head: head['type'])
def test_our_backbone_under_mmsegs_heads(head):
    step_and_predict(MODELS.build(dict(
        type='BilateralSegmentor', backbone=SMALL, decode_head=dict(num_classes=CLASSES, norm_cfg=BN, **head))))


@pytest.mark.parametrize('backbone', [
    dict(type='ResNetV1c', depth=18, base_channels=8),
    dict(type='MobileNetV2', widen_factor=0.25),
    dict(type='SemanticBranch', width_mult=0.5, expand_ratio=2),
], ids=lambda backbone: backbone['type'])
@pytest.mark.parametrize('aggregation', ['BilateralGuidedAggregation', 'SumAggregation', 'ConcatAggregation',
                                         'FeatureFusion'])
def test_our_head_behind_any_backbone(backbone, aggregation):
    """The channels are taken from the backbone."""
    step_and_predict(MODELS.build(dict(
        type='BilateralSegmentor', num_classes=CLASSES, norm_cfg=BN, backbone=backbone,
        decode_head=dict(type='BGAHead', in_index=(1, -1), channels=8, aggregation=dict(type=aggregation)))))


def test_our_parts_inside_mmsegs_own_segmentor():
    step_and_predict(MODELS.build(dict(
        type='EncoderDecoder', backbone=SMALL,
        decode_head=dict(type='BGAHead', in_channels=(32, 64), channels=8, num_classes=CLASSES, norm_cfg=BN),
        auxiliary_head=[
            dict(type='BoosterHead', in_channels=8, in_index=1, channels=8, num_classes=CLASSES, norm_cfg=BN)],
        test_cfg=ConfigDict(mode='whole'))))


@pytest.mark.parametrize('branch', [
    dict(type='MobileNetV2', widen_factor=0.25), dict(type='STDCBackbone', channels=(4, 8, 16, 32, 64)),
    dict(type='ResNetV1c', depth=18, base_channels=8), dict(type='Xception39'),
], ids=lambda branch: branch['type'])
@pytest.mark.parametrize('aggregation', ['BilateralGuidedAggregation', 'SumAggregation', 'ConcatAggregation',
                                         'FeatureFusion'])
def test_semantic_branches_by_aggregations(branch, aggregation):
    step_and_predict(MODELS.build(dict(
        type='BilateralSegmentor', num_classes=CLASSES, norm_cfg=BN,
        backbone={**SMALL, 'semantic_branch': branch},
        decode_head=dict(type='BGAHead', channels=8, aggregation=dict(type=aggregation)),
        auxiliary_head=dict(stage3=dict(type='BoosterHead', channels=8, in_index=2)))))


def small(**more):
    return dict(
        type='BilateralSegmentor', num_classes=CLASSES, norm_cfg=BN, backbone=SMALL,
        decode_head=dict(type='BGAHead', channels=8),
        auxiliary_head=dict(stage2=dict(type='BoosterHead', channels=4, in_index=1),
                            stage3=dict(type='BoosterHead', channels=4, in_index=2, num_classes=7)), **more)


def test_the_segmentor_hands_its_settings_on():
    settings = dict(norm_cfg=dict(type='GN', num_groups=2), act_cfg=dict(type='PReLU'), align_corners=True)
    model = MODELS.build({**small(), **settings})
    assert not any(isinstance(m, nn.modules.batchnorm._BatchNorm | nn.ReLU) for m in model.modules())
    assert model.num_classes == model.decode_head.num_classes == CLASSES
    assert model.decode_head.in_channels == (32, 64)
    assert model.decode_head.aggregation.align_corners is True
    assert [head.in_channels for head in model.auxiliary_head] == [8, 16]


def test_what_a_part_says_itself_wins():
    assert [head.num_classes for head in MODELS.build(small()).auxiliary_head] == [CLASSES, 7]


def test_one_auxiliary_head_is_taken_out_by_its_name():
    model = small()
    model['auxiliary_head']['stage2'] = None
    assert [head.in_index for head in MODELS.build(model).auxiliary_head] == [2]


def test_one_auxiliary_head_as_mmseg_writes_it():
    model = small()
    model['auxiliary_head'] = dict(type='BoosterHead', channels=4, in_index=1)
    assert MODELS.build(model).auxiliary_head.in_channels == 8


def test_boosters_do_not_run_at_inference():
    model = MODELS.build(small()).eval()
    for head in model.auxiliary_head:
        head.forward = None
    with torch.no_grad():
        model.predict(torch.rand(1, 3, 64, 64))


@pytest.mark.parametrize('kind', ['Conv2d', 'ConvWS'])
def test_channels_last_is_the_same_network(kind):
    cfg = small(conv_cfg=dict(type=kind))
    model, other = MODELS.build(cfg), MODELS.build(dict(cfg, channels_last=True))
    other.load_state_dict(model.state_dict())
    weight = other.backbone.detail_branch.stages[0][1].conv.weight
    assert weight.is_contiguous(memory_format=torch.channels_last) == (kind == 'Conv2d')  # the other views its weights
    image = torch.rand(1, 3, 65, 97)
    with torch.no_grad():
        torch.testing.assert_close(
            other.eval()(image, mode='tensor'), model.eval()(image, mode='tensor'), rtol=1e-4, atol=1e-5)


TRANSFORMERS = {
    'MiT': dict(type='MixVisionTransformer', embed_dims=8, num_heads=[1, 1, 1, 1], num_layers=[1, 1, 1, 1]),
    'Swin': dict(type='SwinTransformer', embed_dims=12, depths=(1, 1, 1, 1), num_heads=(1, 1, 1, 1), window_size=4),
    'ViT': dict(type='VisionTransformer', img_size=(64, 64), embed_dims=16, num_layers=2, num_heads=2,
                out_indices=(0, 1), interpolate_mode='bilinear'),
}


@pytest.mark.parametrize('name', TRANSFORMERS)
def test_transformers_keep_their_own_norm(name):
    """The segmentor's batch norm reaches every part but them."""
    model = MODELS.build(dict(
        type='BilateralSegmentor', num_classes=3, norm_cfg=dict(type='BN'), act_cfg=dict(type='ReLU'),
        backbone=dict(type='BilateralNetwork', detail_branch=dict(type='DetailBranch', width_mult=0.1),
                      semantic_branch=TRANSFORMERS[name]),
        decode_head=dict(type='BGAHead', channels=8)))
    kinds = {type(module) for module in model.backbone.semantic_branch.modules()}
    assert nn.LayerNorm in kinds and not any(issubclass(kind, nn.modules.batchnorm._BatchNorm) for kind in kinds)
    assert any(isinstance(module, nn.BatchNorm2d) for module in model.decode_head.modules())
    assert model.eval()(torch.rand(1, 3, 64, 64)).shape == (1, 3, 8, 8)


def test_a_head_behind_a_backbone_of_four_channels_that_declares_none():
    model = MODELS.build(dict(
        type='BilateralSegmentor', num_classes=CLASSES, norm_cfg=BN, decode_head=dict(
            type='BGAHead', in_index=(1, -1), channels=8), backbone=dict(
            type='ResNetV1c', depth=18, base_channels=8, in_channels=4)))
    assert tuple(model.decode_head.in_channels) == (16, 64)


def test_a_detail_branch_that_returns_its_map_without_a_tuple():
    net = MODELS.build(dict(SMALL, detail_branch=dict(type='MobileNetV2', widen_factor=0.25, out_indices=(2,))))
    detail, *_ = net(torch.rand(2, 3, 64, 64))
    assert detail.shape == (2, 8, 8, 8) and net.out_channels[0] == 8


@pytest.mark.parametrize(('head', 'loss', 'expected'), [
    (dict(type='BGAHead', in_channels=(32, 64), out_channels=1), dict(type='OhemCrossEntropyLoss'),
     'loss_decode: expected a loss of 1 channels, such as CrossEntropyLoss.use_sigmoid=True., got .OhemCrossEntropy'),
    (dict(type='BoosterHead', in_channels=8), dict(type='DetailLoss'),
     'expected a loss of 2 channels, such as OhemCrossEntropyLoss, got .DetailLoss'),
    (dict(type='DetailGuidanceHead', in_channels=8), dict(type='CrossEntropyLoss'), 'expected a DetailLoss, got .Cros'),
])
def test_a_loss_that_does_not_fit_its_head_is_refused_when_it_is_built(head, loss, expected):
    with pytest.raises(ValueError, match=expected):
        MODELS.build(dict(head, channels=8, num_classes=2, loss_decode=loss))
