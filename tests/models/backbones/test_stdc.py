import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from bisenet_plugins.models import STDCBackbone, STDCClassifier
from bisenet_plugins.models.backbones.stdc import ShortTermDenseConcat

SMALL = (4, 8, 16, 32, 64)


@pytest.mark.parametrize('size', [(64, 128), (63, 127)])
@pytest.mark.parametrize('downsample', ['depthwise', 'strided'])
@pytest.mark.parametrize('arch', ['stdc1', 'stdc2'])
def test_maps_are_as_declared(size, downsample, arch):
    net = STDCBackbone(arch, channels=SMALL, downsample=downsample)
    maps = net(torch.rand(2, 3, *size))
    want = [(2, c, -(-size[0] // s), -(-size[1] // s)) for c, s in zip(net.out_channels, net.out_strides)]
    assert [m.shape for m in maps] == want
    assert net.out_channels == SMALL[1:]
    assert net.out_strides == (4, 8, 16, 32)


@pytest.mark.parametrize('arch, params, flops', [('stdc1', 8.44e6, 813e6), ('stdc2', 12.47e6, 1446e6)])
def test_size_and_cost_are_the_papers(arch, params, flops):
    """The paper's FLOPs: multiply-adds of convolutions and linear layers, two per value normed, one per ReLU."""
    net = STDCClassifier(STDCBackbone(arch)).eval()
    assert sum(p.numel() for p in net.parameters()) == pytest.approx(params, rel=5e-3)
    pointwise = []
    for m in net.modules():
        if isinstance(m, nn.BatchNorm2d | nn.ReLU):
            factor = 2 if isinstance(m, nn.BatchNorm2d) else 1
            m.register_forward_hook(lambda _, __, out, factor=factor: pointwise.append(factor * out.numel()))
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        assert net(torch.zeros(1, 3, 224, 224)).shape == (1, 1000)
    assert counter.get_total_flops() / 2 + sum(pointwise) == pytest.approx(flops, rel=5e-3)


@pytest.mark.parametrize('stride, downsample, fields', [
    (1, 'depthwise', (1, 3, 5, 7)),
    (1, 'strided', (1, 3, 5, 7)),
    (2, 'strided', (3, 3, 7, 11)),  # Table 1 of the paper; the first is pooled
    (2, 'depthwise', (3, 7, 11, 15)),  # the released network
])
def test_receptive_fields(stride, downsample, fields):
    """Width of what reaches one output pixel of each block, from gradients of a net that adds up."""
    module = ShortTermDenseConcat(2, 32, stride, downsample=downsample, norm_cfg=None, act_cfg=None)
    for p in module.parameters():
        nn.init.ones_(p)
    image = torch.rand(1, 2, 41, 41, requires_grad=True)
    blocks = module(image).split([16, 8, 4, 4], dim=1)
    for block, field in zip(blocks, fields, strict=True):
        middle = block.shape[-1] // 2
        gradient, = torch.autograd.grad(block[0, 0, middle, middle], image, retain_graph=True)
        touched = gradient[0, 0].ne(0)
        assert (touched.any(0).sum().item(), touched.any(1).sum().item()) == (field, field)


def test_row_of_two_blocks():
    assert ShortTermDenseConcat(4, 8, num_blocks=2)(torch.rand(2, 4, 5, 5)).shape == (2, 8, 5, 5)


@pytest.mark.parametrize('kwargs, message', [
    (dict(arch='stdc3'), r"arch: expected one of \['stdc1', 'stdc2'\], got 'stdc3'"),
    (dict(downsample='pool'), "downsample: expected 'depthwise' or 'strided', got 'pool'"),
    (dict(channels=(32, 64)), 'channels: expected 5 values'),
    (dict(num_blocks=1), 'num_blocks: expected at least 2, got 1'),
])
def test_refusals(kwargs, message):
    with pytest.raises(ValueError, match=message):
        STDCBackbone(**kwargs)
