"""The two-pathway backbone over any branch, and what it refuses."""

import pytest
import torch
from mmengine.model import BaseModule
from mmseg.registry import MODELS
from torch import nn

from bisenet_plugins.errors import InputError
from bisenet_plugins.models import BilateralNetwork

STDC = dict(type='STDCNet', stdc_type='STDCNet1', in_channels=3, channels=(32, 64, 256, 512, 1024),
            bottleneck_type='cat', num_convs=4, norm_cfg=dict(type='BN'), act_cfg=dict(type='ReLU'))
FOREIGN = [
    (dict(type='MobileNetV2'), (24, 32, 96, 320), (4, 8, 16, 32)),
    (dict(type='MobileNetV3'), (16, 16, 576), (2, 4, 8)),
    (dict(type='ResNetV1c', depth=18), (64, 128, 256, 512), (4, 8, 16, 32)),
    (dict(type='ResNetV1c', depth=50), (256, 512, 1024, 2048), (4, 8, 16, 32)),
    (STDC, (256, 512, 1024), (8, 16, 32)),
]


@pytest.mark.parametrize(
    ('branch', 'channels', 'strides'), FOREIGN, ids=lambda v: v['type'] if isinstance(v, dict) else '')
def test_any_mmseg_backbone_is_a_semantic_branch(branch, channels, strides):
    net = BilateralNetwork(branch, dict(type='DetailBranch', width_mult=0.25))
    assert net.out_channels == (32, *channels)
    assert net.out_strides == (8, *strides)
    maps = net.eval()(torch.rand(1, 3, 65, 97))
    assert tuple(m.shape[1] for m in maps) == net.out_channels


class TwoMaps(BaseModule):
    """A backbone that is told what to return."""

    def __init__(self, strides=(8, 32), as_tuple=True, in_channels=3):
        super().__init__()
        self.convs = nn.ModuleList(nn.Conv2d(in_channels, 4, s, stride=s) for s in strides)
        self.as_tuple = as_tuple

    def forward(self, x):
        maps = tuple(conv(x) for conv in self.convs)
        return maps if self.as_tuple else maps[0]


@pytest.fixture
def two_maps():
    MODELS.register_module(name='TwoMaps', module=TwoMaps)
    yield 'TwoMaps'
    MODELS._module_dict.pop('TwoMaps')


@pytest.mark.parametrize(('arguments', 'message'), [
    (dict(semantic_branch=dict(strides=(32,))),
     r'semantic_branch: expected several maps from TwoMaps .*, got \(32,\)'),
    (dict(semantic_branch=dict(strides=(32, 8))), r'from shallow to deep from TwoMaps, got \(32, 8\)'),
    (dict(semantic_branch=dict(as_tuple=False)), 'semantic_branch: expected several maps from TwoMaps .*, got .8,.'),
    (dict(semantic_branch=dict(strides=(4, 16)), detail_branch=None),
     r'a map of stride 8 from TwoMaps, for .*, got \(4, 16\)'),
    (dict(detail_branch=dict(strides=(4,))), r'detail_branch: expected one map of stride 8 .*, got \(4,\)'),
    (dict(detail_branch=dict(strides=(8, 16))), 'detail_branch: expected one map of stride 8'),
])
def test_branches_that_do_not_fit_are_refused(two_maps, arguments, message):
    arguments = {k: v and dict(type=two_maps, **v) for k, v in arguments.items()}
    with pytest.raises(ValueError, match=message):
        BilateralNetwork(**{'semantic_branch': dict(type=two_maps), 'detail_branch': dict(type=two_maps, strides=(8,)),
                            **arguments})


def test_a_branch_that_cannot_take_the_channels_is_refused():
    with pytest.raises(ValueError, match='semantic_branch: expected .* images with 4 channels, .*, got MobileNetV2'):
        BilateralNetwork(dict(type='MobileNetV2'), in_channels=4)


@pytest.mark.parametrize(('branch', 'error', 'message'), [
    ('MobileNetV2', InputError, "semantic_branch: expected a dict, got 'MobileNetV2'"),
    (dict(type='MobileNetV9'), InputError,
     'semantic_branch: expected the name of a registered model, got .*MobileNetV9.*did you mean'),
])
def test_what_is_no_config_is_refused(branch, error, message):
    with pytest.raises(error, match=message):
        BilateralNetwork(branch)


def test_without_detail_branch_the_stride_8_map_is_the_detail(two_maps):
    net = BilateralNetwork(dict(type=two_maps), None).eval()
    detail, *semantic = net(torch.rand(1, 3, 64, 64))
    assert detail is semantic[0]
    assert net.out_channels == (4, 4, 4) and net.out_strides == (8, 8, 32)


def test_settings_reach_the_branches_and_their_own_win(two_maps):
    net = BilateralNetwork(
        dict(type='SemanticBranch', norm_cfg=dict(type='IN')), norm_cfg=dict(type='GN', num_groups=2), in_channels=4)
    assert any(isinstance(m, nn.InstanceNorm2d) for m in net.semantic_branch.modules())
    assert not any(isinstance(m, nn.GroupNorm) for m in net.semantic_branch.modules())
    assert any(isinstance(m, nn.GroupNorm) for m in net.detail_branch.modules())
    assert net.detail_branch.stages[0][0].conv.in_channels == 4
    BilateralNetwork(dict(type=two_maps), dict(type=two_maps, strides=(8,)), norm_cfg=dict(type='GN', num_groups=2))


def test_a_timm_backbone_is_a_semantic_branch():
    pytest.importorskip('timm', reason='timm is not installed: pip install timm')
    net = BilateralNetwork(
        dict(type='TIMMBackbone', model_name='mobilenetv3_small_050', features_only=True, pretrained=False),
        dict(type='DetailBranch', width_mult=0.25), in_channels=4).eval()
    assert net.out_strides == (8, 2, 4, 8, 16, 32)
    assert tuple(m.shape[1] for m in net(torch.rand(1, 4, 64, 96))) == net.out_channels


def test_a_mmpretrain_backbone_is_a_semantic_branch():
    pytest.importorskip('mmpretrain', reason='mmpretrain is not installed: pip install onedl-mmpretrain')
    net = BilateralNetwork(
        dict(type='mmpretrain.ShuffleNetV2', widen_factor=1.5, out_indices=(0, 1, 2)),
        dict(type='DetailBranch', width_mult=0.25)).eval()
    assert net.out_channels == (32, 176, 352, 704) and net.out_strides == (8, 8, 16, 32)
    assert tuple(m.shape[1] for m in net(torch.rand(1, 3, 64, 96))) == net.out_channels
