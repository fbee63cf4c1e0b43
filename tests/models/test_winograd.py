"""Winograd's form of a convolution gives what the convolution gives."""

import copy

import pytest
import torch
from mmcv.cnn import ConvModule
from torch import nn

from bisenet_plugins.models import winograd
from bisenet_plugins.models.fast_network import fast_form, fuse_relu, use_winograd
from bisenet_plugins.models.winograd import WinogradConv, tile_transforms


def test_the_matrices_compute_a_correlation_exactly():
    kernel = torch.tensor([2.0, -3, 5], dtype=torch.float64)
    x = torch.arange(6, dtype=torch.float64) ** 2 - 7
    to_in, to_kernel, to_out = tile_transforms()
    got = to_out @ ((to_kernel @ kernel) * (to_in @ x))
    wanted = torch.stack([(x[i:i + 3] * kernel).sum() for i in range(4)])
    torch.testing.assert_close(got, wanted, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize('channels_last', [True, False])
@pytest.mark.parametrize('relu', [True, False])
@pytest.mark.parametrize('bias', [True, False])
@pytest.mark.parametrize('size', [(16, 24), (13, 6), (1, 1), (45, 60)])
def test_maps_are_the_convolutions(monkeypatch, size, bias, relu, channels_last):
    monkeypatch.setattr(winograd, 'FEWEST_TILES', 0)
    torch.manual_seed(0)
    conv = nn.Conv2d(128, 136, 3, padding=1, bias=bias)
    x = torch.randn(2, 128, *size)
    x = x.contiguous(memory_format=torch.channels_last) if channels_last else x
    with torch.inference_mode():
        got = WinogradConv(conv, relu)(x)
        wanted = conv.double()(x.double())
    wanted = wanted.relu() if relu else wanted
    assert got.shape == wanted.shape and got.dtype == torch.float32
    torch.testing.assert_close(got.double(), wanted, rtol=1e-4, atol=3e-5)


def test_noise_stays_near_that_of_a_plain_convolution():
    torch.manual_seed(0)
    conv = nn.Conv2d(128, 256, 3, padding=1)
    x = torch.randn(1, 128, 32, 64).relu()
    with torch.inference_mode():
        fast, plain, exact = WinogradConv(conv)(x), conv(x), conv.double()(x.double())
    assert (fast - exact).abs().mean() < 10 * (plain - exact).abs().mean()
    assert (fast - exact).abs().max() < 1e-5 * exact.abs().max()


def test_the_points_leave_half_of_the_usual_ones_noise(monkeypatch):
    conv = nn.Conv2d(128, 256, 3, padding=1)
    x = torch.randn(1, 128, 64, 128).relu()
    ours = WinogradConv(conv)
    monkeypatch.setattr(winograd, 'POINTS', (0.0, 1.0, -1.0, 2.0, -2.0))
    usual = WinogradConv(conv)
    with torch.inference_mode():
        exact = copy.deepcopy(conv).double()(x.double())
        (mean, most), (usual_mean, usual_most) = (
            (float((layer(x) - exact).abs().mean()), float((layer(x) - exact).abs().max())) for layer in (ours, usual))
    assert mean < 0.6 * usual_mean and most < 0.5 * usual_most, (mean / usual_mean, most / usual_most)


@pytest.mark.parametrize('relu', [True, False])
def test_maps_of_few_tiles_are_convolved_plainly(relu):
    conv, x = nn.Conv2d(128, 256, 3, padding=1), torch.randn(1, 128, 20, 24)
    with torch.inference_mode():
        wanted = conv(x).relu() if relu else conv(x)
        layer = WinogradConv(conv, relu)
        torch.testing.assert_close(layer(x), wanted, rtol=0, atol=0)
        assert not torch.equal(layer(torch.cat([x, x]))[:1], wanted), '60 tiles are enough'


@pytest.mark.parametrize('at_once', [1, 7, 30])
def test_strips_of_tiles_join_without_a_seam(monkeypatch, at_once):
    layer = WinogradConv(nn.Conv2d(128, 256, 3, padding=1))
    x = torch.randn(2, 128, 21, 18)
    with torch.inference_mode():
        whole = layer(x)
        monkeypatch.setattr(winograd, 'TILES_AT_ONCE', at_once)
        torch.testing.assert_close(layer(x), whole, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(('fits', 'options'), [
    (True, dict()), (True, dict(bias=False)), (False, dict(stride=2)), (False, dict(dilation=2, padding=2)),
    (False, dict(groups=2)), (False, dict(padding=0)), (False, dict(padding='same')), (False, dict(kernel_size=5)),
    (False, dict(padding_mode='reflect')), (False, dict(out_channels=128)),
    (False, dict(in_channels=64, out_channels=512)), (False, dict(dtype=torch.float64))])
def test_only_wide_plain_convolutions_fit(fits, options):
    layer = nn.Conv2d(**{'in_channels': 128, 'out_channels': 256, 'kernel_size': 3, 'padding': 1, **options})
    assert WinogradConv.fits(layer) == fits
    assert use_winograd(nn.Sequential(layer)) == fits
    assert not WinogradConv.fits(nn.ConvTranspose2d(128, 256, 3, padding=1))


@pytest.mark.parametrize('act_cfg', [dict(type='ReLU'), dict(type='ReLU6'), None])
def test_the_relu_behind_is_taken_in(act_cfg):
    layer = ConvModule(128, 256, 3, padding=1, norm_cfg=dict(type='BN'), act_cfg=act_cfg).eval()
    nn.init.uniform_(layer.bn.running_var, 0.5, 2)
    x = torch.randn(1, 128, 22, 23)
    fast = fast_form(layer)
    assert type(fast.conv) is WinogradConv and type(layer.conv) is nn.Conv2d
    assert fast.conv.relu == (act_cfg == dict(type='ReLU')) == isinstance(getattr(fast, 'activate', None), nn.Identity)
    with torch.inference_mode():
        torch.testing.assert_close(fast(x), layer(x), rtol=1e-4, atol=5e-5)
    assert fuse_relu(fast) == 0, 'a second time there is nothing left'


def test_a_network_in_another_precision_or_on_meta_stays():
    net = nn.Sequential(nn.Conv2d(128, 256, 3, padding=1)).eval()
    assert type(fast_form(net.double())[0]) is nn.Conv2d
    assert type(fast_form(net.float().to('meta'))[0]) is nn.Conv2d
