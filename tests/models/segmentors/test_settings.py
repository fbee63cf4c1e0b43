"""A head's config is completed from the maps it reads, and refused where it does not fit them."""

import pytest
from mmseg.models import MobileNetV2
from torch import nn

from bisenet_plugins.models import BilateralNetwork
from bisenet_plugins.models.segmentors.settings import complete_head


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
