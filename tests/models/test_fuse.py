"""Folded and fused networks give what the network gives."""

import pytest
import torch
from mmcv.cnn import ConvModule
from mmseg.models.backbones import DDRNet, PIDNet
from mmseg.models.utils import DAPPM
from torch import nn

from bisenet_plugins.models import BilateralNetwork, DetailBranch, fuse, switch_to_deploy
from bisenet_plugins.models.fuse import fuse_relu, fused_copy


def shaken(model):
    """Statistics that folding has to get right."""
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            for tensor, low, high in ((module.running_mean, -.3, .3), (module.running_var, .6, 1.5),
                                      (module.weight, .5, 1.5), (module.bias, -.3, .3)):
                nn.init.uniform_(tensor, low, high)
    return model.eval()


@pytest.mark.parametrize('size', [(64, 128), (63, 97)])
@pytest.mark.parametrize('expansion', ['conv', 'depthwise'])
def test_maps_are_the_same_and_the_original_stays(size, expansion):
    net = shaken(BilateralNetwork(detail_branch=dict(type='DetailBranch', width_mult=0.25),
                                  semantic_branch=dict(type='SemanticBranch', width_mult=0.5, expansion=expansion)))
    fast = fused_copy(net)
    x = torch.randn(2, 3, *size)
    with torch.inference_mode():
        for got, wanted in zip(fast(x), net(x), strict=True):
            torch.testing.assert_close(got, wanted, rtol=1e-4, atol=1e-5)
    assert any(isinstance(module, nn.BatchNorm2d) for module in net.modules())
    assert all(parameter.requires_grad for parameter in net.parameters())
    assert not any(parameter.requires_grad for parameter in fast.parameters())


class NormAndReLU(nn.BatchNorm2d):
    """A batch norm that ends in an activation, as timm's networks have them."""

    def forward(self, x):
        return super().forward(x).relu()


@pytest.mark.parametrize('make', [
    lambda: DAPPM(8, 8, 8, num_scales=3, kernel_sizes=[3], strides=[2], paddings=[1]), lambda: DDRNet(3, 8, 16),
    lambda: PIDNet(channels=8, ppm_channels=8, num_stem_blocks=1, num_branch_blocks=1),
    lambda: nn.Sequential(nn.Conv2d(3, 8, 3), NormAndReLU(8), nn.Conv2d(8, 8, 1), nn.BatchNorm2d(8)),
    lambda: nn.Sequential(nn.Conv2d(3, 8, 1), ConvModule(8, 8, 1, norm_cfg=dict(type='BN'),
                                                         order=('conv', 'act', 'norm')))])
def test_a_batch_norm_stays_where_folding_would_change_the_network(make):
    torch.manual_seed(0)
    net = shaken(make())
    x = torch.randn(1, 8 if isinstance(net, DAPPM) else 3, 128, 128)
    with torch.inference_mode():
        torch.testing.assert_close(fused_copy(net)(x), net(x), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize(('options', 'count'), [
    (dict(), 1), (dict(norm_cfg=dict(type='GN', num_groups=2)), 0), (dict(act_cfg=dict(type='ReLU6')), 0),
    (dict(act_cfg=None), 0), (dict(order=('act', 'conv', 'norm')), 0), (dict(padding_mode='reflect'), 0),
    (dict(groups=4, dilation=2, stride=2), 1)])
def test_only_a_convolution_followed_by_a_relu_is_changed(options, count):
    layer = ConvModule(4, 8, 3, **{'padding': 1, **options}).eval()
    nn.init.normal_(layer.conv.bias) if layer.conv.bias is not None else None
    x = torch.randn(1, 4, 17, 23)
    with torch.inference_mode():
        wanted = layer(x)
        assert fuse_relu(layer) == (count if torch.backends.mkldnn.is_available() else 0)
        torch.testing.assert_close(layer(x), wanted, rtol=1e-5, atol=1e-6)


def test_a_pytorch_without_the_call_goes_without(monkeypatch):
    monkeypatch.setattr(fuse, '_has_fused_relu', lambda: False)
    layer = ConvModule(4, 8, 3)
    assert fuse_relu(layer) == 0 and isinstance(layer.conv, nn.Conv2d)


@pytest.mark.parametrize('norm_cfg', [dict(type='BN'), dict(type='GN', num_groups=2), None])
def test_paths_of_a_reparameterised_branch_become_one_convolution(norm_cfg):
    net = shaken(DetailBranch(channels=(4, 6, 8), num_convs=(2, 1, 2), reparam=True, norm_cfg=norm_cfg))
    x = torch.randn(1, 3, 33, 48)
    with torch.inference_mode():
        wanted = net(x)[0]
        folded = switch_to_deploy(net)
        torch.testing.assert_close(folded(x)[0], wanted, rtol=1e-4, atol=1e-4)
    kernels = [module.kernel_size for module in folded.modules() if isinstance(module, nn.Conv2d)]
    assert kernels == ([(3, 3)] * 5 if norm_cfg is None or norm_cfg['type'] == 'BN' else [(3, 3), (1, 1)] * 5)
