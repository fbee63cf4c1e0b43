"""Folded and fused networks give what the network gives."""

import pytest
import torch
from mmcv.cnn import ConvModule
from mmseg.models.backbones import CGNet, DDRNet, ERFNet, PIDNet, ResNeSt
from mmseg.models.utils import DAPPM
from mmseg.registry import MODELS
from torch import nn

from bisenet_plugins.models import BilateralNetwork, DetailBranch, fuse, switch_to_deploy
from bisenet_plugins.models.fuse import fuse_relu, fused_copy


def shaken(model):
    """Statistics that folding has to get right."""
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            for tensor, low, high in ((module.running_mean, -.3, .3), (module.running_var, .6, 1.5),
                                      (module.weight, .5, 1.5), (module.bias, -.3, .3)):
                if tensor is not None:
                    nn.init.uniform_(tensor, low, high)
    model.eval()  # separately: several backbones return nothing here
    return model


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


class Forked(nn.Module):
    """What other code does between a convolution and the batch norm that is registered behind it."""

    def __init__(self, how):
        super().__init__()
        self.conv, self.norm, self.how = nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), how

    def forward(self, x):
        found = self.conv(x)
        if self.how == 'activated':
            return self.norm(found.relu())
        if self.how == 'read twice':
            return found, self.norm(found)
        if self.how == 'parallel':
            return self.norm(found + x.mean())
        if self.how == 'called twice':
            return self.norm(found) + self.conv(x.flip(3))
        return self.norm(found if found.mean() > 0 else x.repeat(1, 3, 1, 1)[:, :8])


class Standardised(nn.Conv2d):
    """A convolution that changes its weights first."""

    def forward(self, x):
        return self._conv_forward(x, self.weight - self.weight.mean(), self.bias)


@pytest.mark.parametrize('make', [
    *[lambda how=how: Forked(how) for how in ('activated', 'read twice', 'parallel', 'called twice', 'a condition')],
    lambda: CGNet(norm_cfg=dict(type='BN'), num_blocks=(1, 1)),
    lambda: ERFNet(norm_cfg=dict(type='BN')),
    lambda: ResNeSt(depth=50, stem_channels=8, base_channels=8, norm_cfg=dict(type='BN')),
    lambda: nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.BatchNorm2d(8)),
    lambda: nn.Sequential(Standardised(3, 8, 3), nn.BatchNorm2d(8)),
    lambda: nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8, affine=False)),
    lambda: nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8, track_running_stats=False)),
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


@pytest.mark.parametrize('kind', ['ConvWS', 'ConvAWS'])
def test_convolutions_that_view_their_weights_run_in_channels_last_memory(kind):
    net = shaken(DetailBranch(channels=(4, 6, 8), num_convs=(2, 1, 2), conv_cfg=dict(type=kind)))
    fast, x = fused_copy(net), torch.randn(1, 3, 33, 48)
    with torch.inference_mode():
        torch.testing.assert_close(fast(x)[0], net(x)[0], rtol=1e-4, atol=1e-4)


def test_a_norm_with_an_activation_stays_also_where_the_activation_changes_nothing():
    net = nn.Sequential(nn.Conv2d(3, 1, 3), NormAndReLU(1)).eval()
    nn.init.constant_(net[0].weight, 0.1)
    nn.init.zeros_(net[0].bias)
    x = torch.randn(1, 3, 16, 16)
    with torch.no_grad():
        wanted = net(x)
        torch.testing.assert_close(switch_to_deploy(net)(x), wanted)


def test_hooks_are_not_called_and_an_optional_input_is_followed():
    class Skip(Forked):
        def forward(self, x, skip=None):
            found = self.conv(x)
            return self.norm(found if skip is None else found + skip)

    net, heard = shaken(Skip('')), []
    net.conv.register_forward_hook(lambda *_: heard.append(1))
    x, skip = torch.randn(1, 3, 8, 8), torch.randn(1, 8, 8, 8)
    with torch.no_grad():
        wanted = net(x, skip)
        heard.clear()
        folded = switch_to_deploy(net)
        assert not heard
        torch.testing.assert_close(folded(x, skip), wanted)


def test_networks_without_values_and_compiled_parts_are_taken():
    assert not any(isinstance(layer, nn.BatchNorm2d) for layer in switch_to_deploy(
        ConvModule(3, 4, 3, norm_cfg=dict(type='BN')).to('meta')).modules())
    script = torch.jit.script(nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4)).eval())
    x = torch.rand(1, 3, 4, 4)
    torch.testing.assert_close(switch_to_deploy(nn.Sequential(script))(x), script(x))


@pytest.mark.parametrize(('backbone', 'left'), [
    (dict(type='ResNetV1c', depth=18), 0), (dict(type='MobileNetV2'), 0), (dict(type='MobileNetV3'), 0),
    (dict(type='BiSeNetV2'), 1), (dict(type='FastSCNN'), 0), (dict(type='EfficientNetLite'), 0),
    (dict(type='STDCBackbone'), 0), (dict(type='Xception39'), 0), (dict(type='BilateralNetwork'), 1)])
def test_all_that_can_be_folded_is(backbone, left):
    net = MODELS.build(backbone)
    norms = [layer for layer in switch_to_deploy(net).modules() if isinstance(layer, nn.BatchNorm2d)]
    assert len(norms) == left  # one stands behind a global pooling


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
