import pytest
import torch
from mmseg.models import EncoderDecoder
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from bisenet_plugins.models import Xception39
from bisenet_plugins.models.backbones.xception import SeparableBlock


def count(module):
    return sum(p.numel() for p in module.parameters())


def macs(module, *size):
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        module.eval()(torch.zeros(1, 3, *size))
    return counter.get_total_flops() / 2


@pytest.mark.parametrize('size', [(64, 128), (63, 127)])
def test_maps_are_as_declared(size):
    net = Xception39()
    maps = net(torch.rand(2, 3, *size))
    want = [(2, c, -(-size[0] // s), -(-size[1] // s)) for c, s in zip(net.out_channels, net.out_strides)]
    assert [m.shape for m in maps] == want
    assert net.out_strides == (4, 8, 16, 32)


def test_size_and_cost_are_the_papers():
    net = Xception39()
    assert count(net) == pytest.approx(0.299e6, rel=5e-3)
    assert count(net) * 4 / 2**20 == pytest.approx(1.14, rel=5e-3)
    assert 185.5e6 <= macs(net, 360, 640) <= 186e6


def test_no_norm_and_no_activation_after_the_depthwise_convolution():
    block = SeparableBlock(8, 4, stride=2)
    for m in (*block.residual, block.shortcut):
        assert not m.depthwise_conv.with_norm
        assert not m.depthwise_conv.with_activation
        assert m.depthwise_conv.conv.bias is None
        assert m.pointwise_conv.with_norm


@pytest.mark.parametrize('bad', [dict(mid_channels=(16, 32)), dict(depths=(4, 8, 4, 4))])
def test_wrong_number_of_stages(bad):
    with pytest.raises(ValueError, match='Xception39.(mid_channels|depths): expected 3 values'):
        Xception39(**bad)


def test_empty_stage():
    with pytest.raises(ValueError, match='Xception39.depths: expected a whole number of at least 1'):
        Xception39(depths=(4, 0, 4))


@pytest.mark.parametrize('backbone, params', [
    (dict(type='Xception39'), 1.54e6),
    (dict(type='ResNet', depth=18), 12.89e6),
])
def test_v1_networks_have_the_released_size(backbone, params):
    net = EncoderDecoder(
        backbone=dict(
            type='BilateralNetwork',
            detail_branch=dict(type='SpatialPath', kernel_sizes=(7, 3, 3), projection_channels=128),
            semantic_branch=dict(type='ContextPath', backbone=backbone)),
        decode_head=dict(
            type='BGAHead', in_channels=(128, 128), in_index=(0, -2), channels=64, num_classes=19,
            aggregation=dict(type='FeatureFusion'), norm_cfg=dict(type='BN')))
    assert count(net) == pytest.approx(params, rel=5e-3)
    assert any(isinstance(m, nn.BatchNorm2d) for m in net.decode_head.modules())
