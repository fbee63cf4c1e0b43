import pytest
import torch
import torch.nn.functional as F
from mmseg.registry import MODELS
from torch import nn

from bisenet_plugins.models import BilateralNetwork, ContextPath

XCEPTION = dict(type='Xception39', depths=(1, 1, 1))


@pytest.mark.parametrize('size', [(64, 128), (63, 127)])
@pytest.mark.parametrize('mode', ['bilinear', 'nearest'])
def test_maps_are_as_declared(size, mode):
    path = ContextPath(XCEPTION, channels=16, out_backbone_strides=(8, 4), upsample_mode=mode)
    maps = path.eval()(torch.rand(2, 3, *size))
    assert path.out_channels == (8, 64, 16, 16)
    assert path.out_strides == (4, 8, 8, 16)
    want = [(2, c, -(-size[0] // s), -(-size[1] // s)) for c, s in zip(path.out_channels, path.out_strides)]
    assert [m.shape for m in maps] == want


@pytest.mark.parametrize('backbone', [
    dict(type='ResNet', depth=18),
    dict(type='MobileNetV2'),
    dict(type='STDCNet', stdc_type='STDCNet1', in_channels=3, channels=(4, 8, 16, 32, 64), bottleneck_type='cat'),
    dict(type='SemanticBranch'),
])
def test_over_other_backbones(backbone):
    path = ContextPath(backbone, channels=8).eval()
    assert [m.shape[1:] for m in path(torch.rand(1, 3, 64, 96))] == [(8, 8, 12), (8, 4, 6)]


def test_the_backbone_keeps_layers_of_its_own_where_none_are_given():
    """ImageNet's weights were trained with ReLU6; with ReLU the maps are others."""
    def found(**cfgs):
        path = ContextPath(dict(type='EfficientNetLite'), channels=8, **cfgs)
        return type(path.backbone.stem.activate), path.backbone.stem.norm.eps, type(path.smooth8.activate)

    assert found() == (nn.ReLU6, 1e-3, nn.ReLU)
    assert found(act_cfg=dict(type='SiLU'), norm_cfg=dict(type='BN', eps=0.5)) == (nn.SiLU, 0.5, nn.SiLU)


def test_steps_from_coarse_to_fine():
    """The sum of the paper's steps, written out with the path's own layers."""
    path = ContextPath(XCEPTION, channels=8, align_corners=True).eval()
    image = torch.rand(1, 3, 64, 96)
    _, s8, s16, s32 = path.backbone(image)
    pooled = path.global_context.activate(path.global_context.norm(path.global_context.conv(s32.mean((2, 3), True))))

    def arm(module, x):
        x = module.conv(x)
        return x * torch.sigmoid(module.attention.norm(module.attention.conv(x.mean((2, 3), True))))

    def up(x, like):
        return F.interpolate(x, size=like.shape[2:], mode='bilinear', align_corners=True)

    context16 = path.smooth16(up(arm(path.arm32, s32) + pooled, s16))
    context8 = path.smooth8(up(arm(path.arm16, s16) + context16, s8))
    got = path(image)
    torch.testing.assert_close(got[0], context8)
    torch.testing.assert_close(got[1], context16)


@pytest.mark.parametrize('strides', [(), (16,), (32,), (16, 32)])
@pytest.mark.parametrize('pooled', [False, True])
def test_attention_and_context_can_be_left_out(strides, pooled):
    path = ContextPath(XCEPTION, channels=8, attention_strides=strides, global_context=pooled)
    assert (path.arm16.attention is not None, path.arm32.attention is not None) == (16 in strides, 32 in strides)
    assert (path.global_context is not None) == pooled
    path(torch.rand(1, 3, 64, 64))[0].sum().backward()
    assert all(p.grad is not None for p in path.parameters())


def test_a_batch_of_one_trains():
    path = ContextPath(XCEPTION, channels=8).train()
    path(torch.rand(1, 3, 64, 64))[0].sum().backward()
    assert all(torch.isfinite(p.grad).all() for p in path.parameters())


def test_settings_reach_every_layer():
    path = ContextPath(
        dict(type='STDCBackbone', channels=(8, 8, 16, 32, 64)), channels=8, in_channels=4,
        norm_cfg=dict(type='GN', num_groups=2), act_cfg=dict(type='PReLU'))
    kinds = {type(m) for m in path.modules()}
    assert nn.GroupNorm in kinds and nn.PReLU in kinds
    assert not kinds & {nn.BatchNorm2d, nn.ReLU}
    assert path(torch.rand(1, 4, 64, 64))[0].shape == (1, 8, 8, 8)


def test_handed_through_map_is_the_detail_map_of_stdc():
    backbone = dict(type='STDCBackbone', channels=(4, 8, 16, 32, 64))
    net = BilateralNetwork(
        dict(type='ContextPath', backbone=backbone, channels=8, out_backbone_strides=(8,)), detail_branch=None).eval()
    assert net.out_channels == (16, 16, 8, 8)
    assert net.out_strides == (8, 8, 8, 16)
    image = torch.rand(1, 3, 64, 64)
    torch.testing.assert_close(net(image)[0], net.semantic_branch.backbone(image)[1])


@pytest.mark.parametrize('strides, indices', [((8,), (0, -2)), ((), (0, -1))])
def test_heads_fit_behind_it(strides, indices):
    net = BilateralNetwork(
        dict(type='ContextPath', backbone=XCEPTION, channels=8, out_backbone_strides=strides), dict(type='SpatialPath'))
    maps = net(torch.rand(2, 3, 63, 65))
    head = MODELS.build(dict(
        type='BGAHead', in_channels=(64, 8), in_index=indices, channels=4, num_classes=3, aggregation_channels=8,
        aggregation=dict(type='FeatureFusion'), norm_cfg=dict(type='BN')))
    assert head(maps).shape == (2, 3, 8, 9)
    for index, shape in ((-2, (2, 3, 8, 9)), (-1, (2, 3, 4, 5))):
        aux = MODELS.build(dict(type='BoosterHead', in_channels=8, channels=4, num_classes=3, in_index=index))
        assert aux(maps).shape == shape


@pytest.mark.parametrize('kwargs, message', [
    (dict(attention_strides=(8, 16)), 'attention_strides: expected some of'),
    (dict(upsample_mode='cubic'), "upsample_mode: expected 'bilinear' or 'nearest'"),
    (dict(out_backbone_strides=(16,)), 'out_backbone_strides: expected strides of at most 8'),
    (dict(out_backbone_strides=(2,)), r'backbone: expected maps of strides \[2\]'),
    (dict(backbone=dict(type='SpatialPath')), r'backbone: expected maps of strides \[16, 32\]'),
])
def test_refusals(kwargs, message):
    with pytest.raises(ValueError, match=message):
        ContextPath(**{'backbone': XCEPTION, **kwargs})
