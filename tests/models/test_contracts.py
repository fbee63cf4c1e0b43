"""What every registered part promises, tested over all of them: a new part is tested the moment it is registered."""

import math

import pytest
import torch
from mmcv.cnn import ConvModule
from mmseg.registry import MODELS
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

import bisenet_plugins
from bisenet_plugins import switch_to_deploy
from bisenet_plugins.arguments import accepted_arguments
from bisenet_plugins.models import aggregations, backbones, branches, decode_heads, losses, segmentors

# What a part needs besides its defaults; a part that is missing here is built from its defaults alone.
ARGUMENTS = dict(
    ContextPath=dict(backbone=dict(type='Xception39'), channels=16),
    STDCBackbone=dict(channels=(4, 8, 16, 32, 64)),
    DetailBranch=dict(width_mult=0.25),
    SemanticBranch=dict(width_mult=0.5, expand_ratio=2),
    BilateralNetwork=dict(
        detail_branch=dict(type='DetailBranch', width_mult=0.25),
        semantic_branch=dict(type='SemanticBranch', width_mult=0.5, expand_ratio=2)),
)


def registered(package):
    return sorted(name for name in package.__all__ if MODELS.get(name) is getattr(package, name))


PYRAMIDS = registered(branches) + registered(backbones)
AGGREGATIONS = registered(aggregations)
HEADS = [name for name in registered(decode_heads) if 'aggregation' in accepted_arguments(getattr(decode_heads, name))
         or name == 'BoosterHead']
every_pyramid = pytest.mark.parametrize('name', PYRAMIDS)
every_aggregation = pytest.mark.parametrize('name', AGGREGATIONS)
SIZES = [(33, 33), (63, 127), (64, 96)]


def build(name, **more):
    return MODELS.build(dict(type=name, **{**ARGUMENTS.get(name, {}), **more}))


def batch_norm_free(module):
    return not any(isinstance(m, _BatchNorm) for m in module.modules())


def test_every_part_is_an_attribute_of_the_package():
    for package in (aggregations, backbones, branches, decode_heads, losses, segmentors):
        for name in registered(package):
            assert getattr(bisenet_plugins, name) is MODELS.get(name) is MODELS.get(f'bisenet_plugins.{name}')


@every_pyramid
@pytest.mark.parametrize('size', SIZES)
def test_maps_have_the_declared_channels_and_strides(name, size):
    net = build(name).eval()
    with torch.no_grad():
        maps = net(torch.rand(1, 3, *size))
    assert isinstance(maps, tuple)
    assert tuple(m.shape[1] for m in maps) == net.out_channels
    sides = [tuple(math.ceil(side / s) for side in size) for s in net.out_strides]
    assert [tuple(m.shape[2:]) for m in maps] == sides


@every_pyramid
@pytest.mark.parametrize('channels', [1, 4, 7])
def test_any_number_of_input_channels(name, channels):
    with torch.no_grad():
        build(name, in_channels=channels).eval()(torch.rand(1, channels, 64, 64))


@every_pyramid
def test_settings_reach_every_layer_of_a_backbone(name):
    check_settings(build(name, norm_cfg=dict(type='GN', num_groups=2), act_cfg=dict(type='PReLU'),
                         conv_cfg=dict(type='ConvAWS')))


@every_aggregation
def test_settings_reach_every_layer_of_an_aggregation(name):
    check_settings(build(name, in_channels=(8, 16), channels=4, norm_cfg=dict(type='GN', num_groups=2),
                         act_cfg=dict(type='PReLU'), conv_cfg=dict(type='ConvAWS')))


@pytest.mark.parametrize('name', HEADS)
def test_settings_reach_every_layer_of_a_head(name):
    in_channels = (8, 8) if name == 'BGAHead' else 8
    head = build(name, in_channels=in_channels, channels=8, num_classes=3, norm_cfg=dict(type='GN', num_groups=2),
                 act_cfg=dict(type='PReLU'), conv_cfg=dict(type='ConvAWS'))
    head.conv_seg = nn.Identity()  # mmseg's classifier, a plain convolution by design
    check_settings(head)


def check_settings(module):
    assert batch_norm_free(module)
    assert not any(isinstance(m, nn.ReLU) for m in module.modules())
    convolutions = [m for m in module.modules() if isinstance(m, nn.Conv2d)]
    assert all(type(m).__name__ == 'ConvAWS2d' for m in convolutions)
    if any(isinstance(m, ConvModule) and m.with_norm for m in module.modules()):
        assert any(isinstance(m, nn.GroupNorm) for m in module.modules())


@every_pyramid
@pytest.mark.parametrize('norm', ['BN', 'SyncBN', 'GN', 'IN', None])
def test_batch_of_one_trains(name, norm):
    """Also where a norm follows global pooling; SyncBN as one process on a CPU sees it."""
    norm_cfg = None if norm is None else dict(type=norm, **(dict(num_groups=2) if norm == 'GN' else {}))
    net = build(name, norm_cfg=norm_cfg).train()
    if norm == 'SyncBN':
        assert any(isinstance(m, nn.SyncBatchNorm) for m in net.modules())
        from mmengine.model import revert_sync_batchnorm
        net = revert_sync_batchnorm(net)
    sum(m.mean() for m in net(torch.rand(1, 3, 64, 64))).backward()


@every_pyramid
def test_every_parameter_gets_a_gradient(name):
    net = build(name).train()
    sum((m * torch.rand_like(m)).sum() for m in net(torch.rand(2, 3, 64, 64))).backward()
    assert [n for n, p in net.named_parameters() if p.grad is None] == []


@every_pyramid
def test_two_images_at_once_equal_one_by_one(name):
    net = build(name).eval()
    images = torch.rand(2, 3, 63, 96)
    with torch.no_grad():
        together = net(images)
        for i in range(2):
            for both, one in zip(together, net(images[i:i + 1])):
                torch.testing.assert_close(both[i:i + 1], one, rtol=1e-4, atol=1e-5)


@every_aggregation
@pytest.mark.parametrize('sizes', [((8, 16), (2, 4)), ((9, 13), (3, 4)), ((5, 5), (5, 5)), ((7, 11), (1, 1)),
                                   ((12, 20), (6, 10))])
@pytest.mark.parametrize('channels', [None, 8, 12])
def test_aggregation_gives_the_details_size(name, sizes, channels):
    part = build(name, in_channels=(8, 16), channels=channels).train()
    maps = [torch.rand(2, c, *s, requires_grad=True) for c, s in zip((8, 16), sizes)]
    out = part(*maps)
    assert out.shape == (2, part.out_channels, *sizes[0])
    if channels is not None:
        assert part.out_channels == channels
    (out * torch.rand_like(out)).sum().backward()
    assert all(m.grad.abs().sum() > 0 for m in maps)
    assert [n for n, p in part.named_parameters() if p.grad is None] == []


@every_aggregation
def test_aggregation_refuses_three_maps(name):
    with pytest.raises(ValueError, match='in_channels: expected 2 values'):
        build(name, in_channels=(8, 8, 8))


@pytest.mark.parametrize('name', PYRAMIDS + AGGREGATIONS)
def test_arguments_have_the_common_names(name):
    known = set(accepted_arguments(MODELS.get(name)))
    assert {'in_channels', 'conv_cfg', 'norm_cfg', 'act_cfg', 'init_cfg'} <= known


def with_random_statistics(module):
    for m in module.modules():
        if isinstance(m, _BatchNorm):
            nn.init.uniform_(m.running_mean, -0.3, 0.3)
            nn.init.uniform_(m.running_var, 0.6, 1.5)
            nn.init.uniform_(m.weight, 0.5, 1.5)
            nn.init.uniform_(m.bias, -0.3, 0.3)
    return module.eval()


@every_pyramid
def test_deploy_form_of_a_backbone_gives_the_same_maps(name):
    net = with_random_statistics(build(name))
    image = torch.rand(1, 3, 63, 96)
    with torch.no_grad():
        before = net(image)
        after = switch_to_deploy(net)(image)
    for b, a in zip(before, after):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-4)
    assert sum(isinstance(m, _BatchNorm) for m in net.modules()) <= 1  # the context embedding's first


@every_aggregation
def test_deploy_form_of_an_aggregation_gives_the_same_map(name):
    part = with_random_statistics(build(name, in_channels=(8, 16), channels=12))
    maps = torch.rand(1, 8, 9, 13), torch.rand(1, 16, 3, 4)
    with torch.no_grad():
        before = part(*maps)
        torch.testing.assert_close(switch_to_deploy(part)(*maps), before, rtol=1e-4, atol=1e-4)
    assert not any(isinstance(m, _BatchNorm) for m in part.modules())
