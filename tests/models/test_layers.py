"""Shared layers: norms of one value, resizing, and three paths that fold into one convolution."""

import pytest
import torch
import torch.nn.functional as F
from mmcv.cnn import ConvModule
from torch import nn

from bisenet_plugins.models import layers
from bisenet_plugins.models.layers import PooledConvModule, RepConvModule, norm_pooled, resize_to


def shaken(module):
    """Set statistics and factors that folding has to get right."""
    for norm in module.modules():
        if isinstance(norm, nn.BatchNorm2d | nn.GroupNorm) and norm.affine:
            nn.init.uniform_(norm.weight, 0.5, 1.5)
            nn.init.uniform_(norm.bias, -0.3, 0.3)
        if isinstance(norm, nn.BatchNorm2d):
            nn.init.uniform_(norm.running_mean, -0.3, 0.3)
            nn.init.uniform_(norm.running_var, 0.6, 1.5)
    return module


def test_one_value_is_normalised_by_the_running_statistics():
    norm = shaken(nn.BatchNorm2d(4)).train()
    before, x = norm.running_mean.clone(), torch.randn(1, 4, 1, 1)
    out = norm_pooled(norm, x)
    torch.testing.assert_close(norm.running_mean, before, rtol=0, atol=0)
    torch.testing.assert_close(out, norm.eval()(x))


def test_two_values_are_normalised_by_their_own_statistics():
    norm, x = shaken(nn.BatchNorm2d(4)).train(), torch.randn(2, 4, 1, 1)
    before = norm.running_mean.clone()
    expected = F.batch_norm(x, None, None, norm.weight, norm.bias, training=True)
    torch.testing.assert_close(norm_pooled(norm, x), expected)
    assert not torch.equal(norm.running_mean, before)


def test_several_processes_share_their_values(monkeypatch):
    """A process with one value then has the others' too, by SyncBN: the norm itself is called."""
    monkeypatch.setattr(layers, 'get_world_size', lambda: 2)
    with pytest.raises(ValueError, match='Expected more than 1 value per channel'):
        norm_pooled(nn.SyncBatchNorm(4).train(), torch.randn(1, 4, 1, 1))
    assert norm_pooled(nn.BatchNorm2d(4).train(), torch.randn(1, 4, 1, 1)).shape == (1, 4, 1, 1)  # has its own only


def test_instance_norm_of_one_value_is_left_out():
    x = torch.randn(2, 4, 1, 1)
    assert norm_pooled(nn.InstanceNorm2d(4), x) is x


@pytest.mark.parametrize('settings', [dict(norm_cfg=dict(type='BN')), dict(norm_cfg=None), dict(act_cfg=None)], ids=str)
def test_a_pooled_layer_is_mmcvs_layer(settings):
    pooled, plain = (cls(4, 6, 1, **settings) for cls in (PooledConvModule, ConvModule))
    plain.load_state_dict(shaken(pooled).state_dict())
    x = torch.randn(1, 4, 1, 1)
    torch.testing.assert_close(pooled.train()(x), plain.eval()(x))


@pytest.mark.parametrize(('mode', 'align_corners', 'row'), [
    ('bilinear', False, [0.0, 0.25, 0.75, 1.0]), ('bilinear', True, [0.0, 1 / 3, 2 / 3, 1.0]),
    ('nearest', True, [0.0, 0.0, 1.0, 1.0])])
def test_a_map_is_resized(mode, align_corners, row):
    x, like = torch.tensor([[[[0.0, 1.0]]]]), torch.empty(3, 1, 4)
    torch.testing.assert_close(resize_to(x, like[None], align_corners, mode), torch.tensor([[[row]]]))


def test_a_map_of_the_size_passes_through():
    x = torch.rand(1, 2, 3, 5)
    assert resize_to(x, torch.rand(4, 7, 3, 5)) is x


NORMS = {'BN': dict(type='BN'), 'none': None}


@pytest.mark.parametrize('act_cfg', [dict(type='ReLU'), None], ids=['relu', 'linear'])
@pytest.mark.parametrize(('in_channels', 'stride'), [(6, 1), (6, 2), (4, 1)])
@pytest.mark.parametrize('norm', NORMS)
def test_three_paths_fold_into_one_convolution(norm, in_channels, stride, act_cfg):
    layer = shaken(RepConvModule(in_channels, 6, stride, norm_cfg=NORMS[norm], act_cfg=act_cfg)).eval()
    assert (layer.identity is not None) == (in_channels == 6 and stride == 1)
    folded = layer.folded()
    assert [type(m) for m in folded.children() if not isinstance(m, nn.ReLU)] == [nn.Conv2d]
    x = torch.randn(2, in_channels, 9, 13)
    torch.testing.assert_close(folded(x), layer(x), rtol=1e-4, atol=1e-5)
    assert not folded.training and any(p.requires_grad for p in layer.parameters())


def test_a_trained_activation_stays():
    layer = RepConvModule(4, 4, act_cfg=dict(type='PReLU')).eval()
    nn.init.constant_(layer.activate.weight, 0.9)
    x = torch.randn(1, 4, 5, 7)
    torch.testing.assert_close(layer.folded()(x), layer(x), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize('dtype', [torch.float64, torch.float16, torch.bfloat16], ids=str)
def test_folding_keeps_the_type_of_the_weights(dtype):
    layer, x = shaken(RepConvModule(4, 4)).eval(), torch.randn(1, 4, 5, 7)
    wanted, found = layer(x), layer.to(dtype).folded()(x.to(dtype))
    assert found.dtype is dtype
    torch.testing.assert_close(found.float(), wanted, rtol=0.05, atol=0.05)


def test_a_batch_norm_without_factors_is_folded_and_one_without_statistics_is_not():
    layer = shaken(RepConvModule(4, 4, norm_cfg=dict(type='BN', affine=False))).eval()
    x = torch.randn(1, 4, 5, 7)
    torch.testing.assert_close(layer.folded()(x), layer(x), rtol=1e-4, atol=1e-5)
    assert RepConvModule(4, 4, norm_cfg=dict(type='BN', track_running_stats=False)).eval().folded() is None


def test_the_sum_is_activated_once():
    layer = RepConvModule(4, 4, norm_cfg=None)
    x = torch.randn(1, 4, 5, 7)
    torch.testing.assert_close(layer(x), (layer.dense(x) + layer.point(x) + x).relu())
    assert not layer.dense.with_activation and not layer.point.with_activation


@pytest.mark.parametrize('norm_cfg', [dict(type='GN', num_groups=2), dict(type='IN')], ids=lambda cfg: cfg['type'])
@pytest.mark.parametrize('out_channels', [4, 6])
def test_other_norms_are_not_folded(norm_cfg, out_channels):
    assert RepConvModule(4, out_channels, norm_cfg=norm_cfg).eval().folded() is None


def test_another_convolution_is_not_folded():
    assert RepConvModule(4, 4, conv_cfg=dict(type='ConvAWS')).eval().folded() is None
