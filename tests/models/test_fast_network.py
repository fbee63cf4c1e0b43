"""The fast form gives what the network gives."""

import pytest
import torch
from mmcv.cnn import ConvModule
from mmengine.config import Config
from torch import nn

from bisenet_plugins.models import BilateralNetwork, fast_network
from bisenet_plugins.models.fast_network import fast_form, fuse_relu
from bisenet_plugins.runtime.predictor import Predictor
from bisenet_plugins.runtime.preprocess import Normaliser


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
    fast = fast_form(net)
    x = torch.randn(2, 3, *size)
    with torch.inference_mode():
        for got, wanted in zip(fast(x), net(x), strict=True):
            torch.testing.assert_close(got, wanted, rtol=1e-4, atol=1e-5)
    assert any(isinstance(module, nn.BatchNorm2d) for module in net.modules())
    assert all(parameter.requires_grad for parameter in net.parameters())
    assert not any(parameter.requires_grad for parameter in fast.parameters())


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
    monkeypatch.setattr(fast_network, '_works', lambda: False)
    layer = ConvModule(4, 8, 3)
    assert fuse_relu(layer) == 0 and isinstance(layer.conv, nn.Conv2d)


def bilateral(pipeline, **preprocessor):
    return Config(dict(
        default_scope='mmseg',
        model=dict(
            type='BilateralSegmentor', num_classes=7, norm_cfg=dict(type='BN'),
            data_preprocessor=dict(type='SegDataPreProcessor', **{
                'mean': [123.675, 116.28, 103.53], 'std': [58.395, 57.12, 57.375], 'bgr_to_rgb': True, **preprocessor}),
            backbone=dict(type='BilateralNetwork', detail_branch=dict(type='DetailBranch', width_mult=0.25),
                          semantic_branch=dict(type='SemanticBranch', width_mult=0.25)),
            decode_head=dict(type='BGAHead', channels=16)),
        test_pipeline=[dict(type='LoadImageFromFile'), *pipeline, dict(type='PackSegInputs')]))


@pytest.mark.parametrize('short, pipeline, preprocessor', [
    (True, [dict(type='Resize', scale=(96, 48), keep_ratio=True)], dict()),
    (True, [], dict(test_cfg=dict(size_divisor=1), bgr_to_rgb=False)),
    (False, [], dict(test_cfg=dict(size_divisor=32))),
    (False, [dict(type='Resize', scale_factor=0.5)], dict(test_cfg=dict(size=(64, 96)))),
])
def test_masks_are_those_of_the_loaded_network(short, pipeline, preprocessor):
    fast = Predictor(bilateral(pipeline, **preprocessor))
    shaken(fast.model)
    nn.init.normal_(fast.model.decode_head.conv_seg.weight)
    plain = Predictor(bilateral(pipeline, **preprocessor), fast=False)
    plain.model.load_state_dict(fast.model.state_dict())
    assert (fast._normaliser is not None) == short
    generator = torch.Generator().manual_seed(0)
    images = [torch.randint(0, 256, (h, w, 3), generator=generator, dtype=torch.uint8).numpy()
              for h, w in ((50, 90), (48, 96), (50, 90))]
    for got, wanted in zip(fast(images), plain(images), strict=True):
        assert got.shape == wanted.shape and len(set(wanted.flat)) > 2
        assert (got != wanted).mean() < 1e-3, 'classes tie within float noise at single pixels only'


def test_the_input_is_the_preprocessors_in_every_bit():
    fast = Predictor(bilateral([]))
    image = torch.arange(256 * 3 * 4, dtype=torch.int64).remainder(256).to(torch.uint8).reshape(32, 32, 3).numpy()
    inputs, samples = fast.normalise([fast.resize(image)])
    wanted = fast.model.data_preprocessor(dict(inputs=[torch.from_numpy(image.transpose(2, 0, 1).copy())]))['inputs']
    torch.testing.assert_close(inputs, wanted[0][None], rtol=0, atol=0)
    assert samples[0].ori_shape == (32, 32)


def test_mean_and_deviation_need_three_entries():
    with pytest.raises(ValueError, match='mean and std have 1 and 3 entries, three each are wanted'):
        Normaliser([1.0], [1.0] * 3, swap=False)
