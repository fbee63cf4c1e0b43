"""Parts are built from configs that are filled in, checked, and probed where they declare nothing; heads fit maps."""

import inspect
import re

import pytest
import torch
from mmengine.registry import DefaultScope, Registry
from mmseg.models import MobileNetV2, ResNetV1c
from mmseg.registry import MODELS
from torch import nn

from bisenet_plugins.arguments import accepted_arguments
from bisenet_plugins.errors import MissingPackageError
from bisenet_plugins.models import BilateralNetwork, DetailBranch
from bisenet_plugins.models.build import build_part, complete, complete_head, named_class, probe


class Parent:
    def __init__(self, depth, width=2):
        pass


class Child(Parent):
    def __init__(self, width=3, **kwargs):
        pass


class Closed(Parent):
    def __init__(self, height=4):
        pass


class Strided(nn.Module):
    """Two maps of strides 2 and 8 that the class does not declare."""

    def __init__(self):
        super().__init__()
        self.fine, self.coarse = nn.Conv2d(4, 5, 3, 2, 1), nn.Conv2d(5, 6, 3, 4, 1)
        self.norm = nn.BatchNorm2d(5).eval()

    def forward(self, x):
        fine = self.norm(self.fine(x))
        return fine, self.coarse(fine)


def test_arguments_are_followed_through_keywords_only():
    assert accepted_arguments(Child) == dict(width=3, depth=inspect.Parameter.empty)
    assert set(accepted_arguments(Closed)) == {'height'}
    assert {'depth', 'in_channels', 'init_cfg'} <= set(accepted_arguments(ResNetV1c))


def test_a_config_wins_over_what_is_handed_on():
    cfg = dict(type='DetailBranch', in_channels=1)
    whole = complete(cfg, 'detail_branch', in_channels=4, norm_cfg=dict(type='IN'), unknown=1, act_cfg=None)
    assert whole == dict(type='DetailBranch', in_channels=1, norm_cfg=dict(type='IN'))
    assert cfg == dict(type='DetailBranch', in_channels=1)


def test_a_part_around_layer_norm_keeps_its_own_layers():
    whole = complete(dict(type='MixVisionTransformer'), 'semantic_branch', in_channels=4, norm_cfg=dict(type='BN'))
    assert whole == dict(type='MixVisionTransformer', in_channels=4)


def test_a_class_is_named_by_its_name_or_itself():
    assert named_class(dict(type='DetailBranch'), 'x') is named_class(dict(type=DetailBranch), 'x') is DetailBranch
    with pytest.raises(ValueError, match="^x: expected a config dict with 'type', got {}$"):
        named_class({}, 'x')
    with pytest.raises(ValueError, match="did you mean 'DetailBranch'"):
        named_class(dict(type='DetailBranches'), 'x')
    with pytest.raises(ValueError, match='custom_imports names the package'):
        named_class(dict(type='~~~'), 'x')


def test_plain_names_are_those_of_the_default_scope():
    registry = Registry('model', parent=MODELS, scope='own_layers')
    for name, part in (('OwnBranch', DetailBranch), ('OwnNorm', nn.BatchNorm2d), ('DetailBranch', Child)):
        registry.register_module(name=name, module=part)
    branch = dict(type='OwnBranch', norm_cfg=dict(type='OwnNorm'))
    try:
        with DefaultScope.overwrite_default_scope('own_layers'):
            assert named_class(branch, 'x') is DetailBranch and named_class(dict(type='DetailBranch'), 'x') is Child
            assert complete(branch, 'x') == branch and type(build_part(dict(type='OwnBranch'), 'x')) is DetailBranch
            with pytest.raises(ValueError, match="x: expected the name of a registered model, got 'DetailBrunch'; did"):
                named_class(dict(type='DetailBrunch'), 'x')
    finally:
        del MODELS.children['own_layers']
    with pytest.raises(ValueError, match="x: expected the name of a registered model, got 'OwnBranch'"):
        named_class(branch, 'x')


def test_a_package_that_is_not_there_is_named():
    with pytest.raises(MissingPackageError, match='mmnowhere is not installed: pip install mmnowhere'):
        named_class(dict(type='mmnowhere.ConvNeXt'), 'x')


@pytest.mark.parametrize(('kind', 'extra'), [('TIMMBackbone', 'timm'), ('mmpretrain.ResNet', 'mmpretrain')])
def test_a_package_with_an_extra_is_named_with_it(monkeypatch, kind, extra):
    monkeypatch.setattr('importlib.util.find_spec', lambda name: None)
    with pytest.raises(MissingPackageError, match=rf"{extra} is not .* pip install 'bisenet-plugins\[{extra}\]'"):
        named_class(dict(type=kind), 'x')


def test_a_single_map_needs_no_tuple():
    assert probe(nn.Conv2d(4, 5, 3, 8, 1), 4, 'backbone') == ((5,), (8,))


def test_maps_are_probed_and_modes_come_back():
    net = Strided()
    assert probe(net, 4, 'backbone') == ((5, 6), (2, 8))
    assert net.training and net.fine.training and not net.norm.training


def test_probing_leaves_the_backbone_as_it_was():
    module = nn.Sequential(nn.Conv2d(3, 4, 3, stride=2, padding=1), nn.BatchNorm2d(4), nn.Flatten())
    module[1].eval()
    before = {k: v.clone() for k, v in module.state_dict().items()}
    with pytest.raises(ValueError, match='backbone: expected maps'):
        probe(module, 3, 'backbone')
    assert module.training and module[0].training and not module[1].training
    for key, value in module.state_dict().items():
        torch.testing.assert_close(value, before[key], rtol=0, atol=0)


def test_what_is_declared_is_believed():
    net = build_part(dict(type='DetailBranch'), 'detail_branch', in_channels=4)
    net.forward = None
    assert probe(net, 4, 'detail_branch') == ((128,), (8,))


def test_a_backbone_that_fails_or_returns_no_maps_is_named():
    with pytest.raises(ValueError, match='backbone: expected a backbone of images with 3 channels, .*, got Strided'):
        probe(Strided(), 3, 'backbone')
    with pytest.raises(ValueError, match=r'backbone: expected maps .* from Flatten .*, got \[\(1, 73728\)\]'):
        probe(nn.Flatten(), 3, 'backbone')
    assert torch.is_grad_enabled()


class Windows(nn.Module):
    """A map of stride 4, the channels last where it is asked for; of images of one size."""

    def __init__(self, side=None, last=False):
        super().__init__()
        self.side, self.last, self.conv = side, last, nn.Conv2d(3, 8, 4, 4)

    def forward(self, x):
        assert self.side is None or x.shape[2:] == (self.side, self.side), 'another size'
        return self.conv(x).permute(0, 2, 3, 1) if self.last else self.conv(x)


def test_channels_that_come_last_are_no_height():
    with pytest.raises(ValueError, match=r'backbone: expected maps \(N, C, h, w\) .*, got \[\(1, 32, 48, 8\)\]'):
        probe(Windows(last=True), 3, 'backbone')


def test_pooled_maps_are_maps():
    class Pooled(Windows):
        def forward(self, x):
            return super().forward(x), super().forward(x).mean((2, 3), keepdim=True)

    assert probe(Pooled(), 3, 'backbone') == ((8, 8), (4, 128))


def test_a_backbone_of_one_size_is_probed_with_it():
    assert probe(Windows(224), 3, 'backbone') == probe(Windows(128), 3, 'backbone') == ((8,), (4,))
    told = '3 channels, and of one of the sizes 128 x 192, .*, got Windows, which fails at 128 x 192 pixels: another'
    with pytest.raises(ValueError, match=told):
        probe(Windows(160), 3, 'backbone')


@pytest.mark.parametrize('size', [160, (160, 160)])
def test_a_backbone_is_probed_with_the_size_that_it_or_a_part_of_it_names(size):
    net = nn.Sequential(Windows(160))
    net[0].img_size = size
    assert probe(net, 3, 'backbone') == ((8,), (4,))


@pytest.mark.parametrize(('argument', 'name', 'near'), [
    ('norm_cfg', 'LN2d', "; did you mean 'LN'?"), ('norm_cfg', 'Nothing', ''), ('act_cfg', 'Relu', ''),
    ('conv_cfg', 'Conv2D', "; did you mean 'Conv2d'?")])
def test_an_unknown_layer_is_named(argument, name, near):
    kind = dict(norm_cfg='norm', act_cfg='activation', conv_cfg='convolution')[argument]
    with pytest.raises(ValueError, match=rf"detail_branch\.{argument}\.type: expected a registered {kind}, got '{name}'"
                                         + re.escape(near)):
        MODELS.build(dict(type='BilateralNetwork', semantic_branch=dict(type='MobileNetV2'), detail_branch=dict(
            type='DetailBranch', width_mult=0.1, **{argument: dict(type=name)})))


class Declared(nn.Module):
    """What it declares is enough; it is never run."""

    out_channels = (32, 8, 64)
    out_strides = (8, 4, 32)


@pytest.mark.parametrize(('head', 'channels'), [
    (dict(type='BGAHead'), (32, 64)),  # its own default is (0, -1)
    (dict(type='BGAHead', in_index=[1, 2]), (8, 64)),
    (dict(type='BoosterHead', in_index=1), 8), (dict(type='BoosterHead'), 64),
    (dict(type='FCNHead', in_index=-3), 32)])
def test_channels_are_those_of_the_maps_at_in_index(head, channels):
    assert complete_head(head, 'decode_head', Declared(), {})['in_channels'] == channels


def test_channels_of_an_undeclared_backbone_are_seen():
    backbone = MobileNetV2(widen_factor=0.25)
    assert complete_head(dict(type='FCNHead', in_index=1), 'decode_head', backbone, {})['in_channels'] == 8
    given = dict(type='FCNHead', in_index=1, in_channels=99)  # not probed: mmseg's backbones take what they are told
    assert complete_head(given, 'decode_head', backbone, {})['in_channels'] == 99


def test_settings_fill_in_and_do_not_overwrite():
    head = dict(type='BoosterHead', num_classes=7)
    settings = dict(num_classes=3, norm_cfg=dict(type='BN'), act_cfg=None, unheard_of=1)
    assert complete_head(head, 'auxiliary_head', Declared(), settings) == dict(
        type='BoosterHead', num_classes=7, norm_cfg=dict(type='BN'), in_channels=64)
    assert head == dict(type='BoosterHead', num_classes=7)


@pytest.mark.parametrize('index', [(0, 3), (-4, 0)])
def test_an_index_behind_the_maps_is_refused(index):
    with pytest.raises(ValueError, match=r'^decode_head\.in_index: expected places among the 3 maps of Declared, got'):
        complete_head(dict(type='BGAHead', in_index=index), 'decode_head', Declared(), {})


@pytest.mark.parametrize(('head', 'found'), [
    (dict(type='BGAHead', in_channels=[32, 128]), r'\(32, 64\)'), (dict(type='BoosterHead', in_channels=8), '64')])
def test_channels_of_other_maps_are_refused(head, found):
    with pytest.raises(ValueError, match=rf'^x\.in_channels: expected {found}, as the maps at in_index .* of Declared'):
        complete_head(head, 'x', Declared(), {})


def test_swapped_maps_are_refused():
    with pytest.raises(ValueError, match=r'decode_head.in_index: expected the finer map first, got \(2, 0\)'):
        complete_head(dict(type='BGAHead', in_index=(2, 0)), 'decode_head', Declared(), {})


def test_the_segmentors_backbone_is_declared():
    small = BilateralNetwork(dict(type='SemanticBranch', width_mult=0.5), dict(type='DetailBranch', width_mult=0.25))
    assert complete_head(dict(type='BGAHead'), 'decode_head', small, {})['in_channels'] == (32, 64)
