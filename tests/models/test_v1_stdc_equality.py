"""Our V1 and STDC networks give the logits of mmseg's built-in ones after renaming the weights."""

from functools import cache

import pytest
import torch
from mmengine.structures import PixelData
from mmseg.models import EncoderDecoder
from mmseg.models.decode_heads import FCNHead
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample
from torch import nn

from bisenet_plugins.models import DetailTarget
from bisenet_plugins.weights.convert import to_mmseg, to_ours

NORM = dict(type='BN')
CLASSES = 5


def fcn(in_channels, channels, in_index, align_corners):
    return dict(type='FCNHead', in_channels=in_channels, channels=channels, in_index=in_index, num_convs=1,
                concat_input=False, num_classes=CLASSES, norm_cfg=NORM, align_corners=align_corners)


def booster(in_channels, channels, in_index, align_corners):
    return dict(type='BoosterHead', in_channels=in_channels, channels=channels, in_index=in_index,
                num_classes=CLASSES, norm_cfg=NORM, align_corners=align_corners)


def v1_pair(depth, width):
    """mmseg's V1 and ours; ``width`` multiplies what the deeper ResNets widen."""
    context = (128 * width, 256 * width, 512 * width)
    resnet = dict(type='ResNet', depth=depth, num_stages=4, out_indices=(0, 1, 2, 3), norm_cfg=NORM,
                  norm_eval=False, style='pytorch')
    theirs = dict(
        backbone=dict(
            type='BiSeNetV1', backbone_cfg=resnet, spatial_channels=(64 * width, 64 * width, 64 * width, 128 * width),
            context_channels=context, out_channels=256 * width, norm_cfg=NORM),
        decode_head=fcn(256 * width, 256 * width, 0, False),
        auxiliary_head=[fcn(context[0], 64, 1, False), fcn(context[0], 64, 2, False)])
    ours = dict(
        backbone=dict(
            type='BilateralNetwork',
            detail_branch=dict(type='SpatialPath', channels=(64 * width,) * 3, kernel_sizes=(7, 3, 3),
                               projection_channels=128 * width),
            semantic_branch=dict(type='ContextPath', backbone=resnet, channels=context[0], upsample_mode='nearest')),
        decode_head=dict(
            type='BGAHead', in_channels=(128 * width, context[0]), in_index=(0, -2), channels=256 * width,
            aggregation=dict(type='FeatureFusion', attention='single', attention_norm=True, attention_act=True),
            aggregation_channels=256 * width, num_classes=CLASSES, norm_cfg=NORM),
        auxiliary_head=[booster(context[0], 64, -2, False), booster(context[0], 64, -1, False)])
    return theirs, ours


def stdc_pair(number):
    theirs = dict(
        backbone=dict(
            type='STDCContextPathNet',
            backbone_cfg=dict(type='STDCNet', stdc_type=f'STDCNet{number}', in_channels=3,
                              channels=(32, 64, 256, 512, 1024), bottleneck_type='cat', norm_cfg=NORM,
                              act_cfg=dict(type='ReLU')),
            ffm_cfg=dict(in_channels=384, out_channels=256, scale_factor=4)),
        decode_head=fcn(256, 256, 3, True),
        auxiliary_head=[
            fcn(128, 64, 2, False), fcn(128, 64, 1, False),
            dict(type='STDCHead', in_channels=256, channels=64, in_index=0, num_convs=1, concat_input=False,
                 num_classes=2, norm_cfg=NORM, align_corners=True)])
    ours = dict(
        backbone=dict(
            type='BilateralNetwork', detail_branch=None,
            semantic_branch=dict(type='ContextPath', backbone=dict(type='STDCBackbone', arch=f'stdc{number}'),
                                 upsample_mode='nearest', out_backbone_strides=(8,))),
        decode_head=dict(
            type='BGAHead', in_channels=(256, 128), in_index=(0, -2), channels=256,
            aggregation=dict(type='FeatureFusion', reduction=4), aggregation_channels=256, num_classes=CLASSES,
            norm_cfg=NORM, align_corners=True),
        auxiliary_head=[
            booster(128, 64, -2, False), booster(128, 64, -1, False),
            dict(type='DetailGuidanceHead', in_channels=256, channels=64, in_index=0, norm_cfg=NORM,
                 align_corners=True)])
    return theirs, ours


PAIRS = {
    'v1-r18': lambda: v1_pair(18, 1),
    'v1-r50': lambda: v1_pair(50, 4),
    'stdc1': lambda: stdc_pair(1),
    'stdc2': lambda: stdc_pair(2),
}


def randomise(model):
    """Weights and statistics of a network that has been trained, as far as numbers go."""
    for m in model.modules():
        if isinstance(m, nn.BatchNorm2d):
            nn.init.uniform_(m.weight, 0.5, 1.5)
            nn.init.normal_(m.bias, std=0.2)
            nn.init.normal_(m.running_mean, std=0.2)
            nn.init.uniform_(m.running_var, 0.5, 1.5)
    return model


@cache
def build_pair(name):
    theirs_cfg, ours_cfg = PAIRS[name]()
    theirs = randomise(EncoderDecoder(**theirs_cfg)).eval()
    ours = EncoderDecoder(**ours_cfg).eval()
    ours.load_state_dict(to_ours(theirs.state_dict()).weights, strict=True)
    return theirs, ours


def check_equal(theirs, ours, size):
    image = torch.randn(1, 3, *size)
    with torch.no_grad():
        their_maps, our_maps = theirs.extract_feat(image), ours.extract_feat(image)
        want, got = theirs.decode_head(their_maps), ours.decode_head(our_maps)
        assert want.std() > 1e-2
        torch.testing.assert_close(got, want, rtol=0, atol=1e-5)
        for their_head, our_head in zip(theirs.auxiliary_head, ours.auxiliary_head):
            want, got = their_head(their_maps), our_head(our_maps)
            if got.shape[1] == 1:
                want = want[:, 1:]
            torch.testing.assert_close(got, want, rtol=0, atol=1e-5)


@pytest.mark.parametrize('name', PAIRS)
def test_logits_equal_mmseg(name):
    theirs, ours = build_pair(name)
    check_equal(theirs, ours, (96, 160))
    check_equal(theirs, ours, (65, 127))


@pytest.mark.slow
@pytest.mark.parametrize('name', PAIRS)
def test_logits_equal_mmseg_at_half_of_512_x_1024(name):
    theirs, ours = build_pair(name)
    check_equal(theirs, ours, (256, 512))


@pytest.mark.parametrize('name', PAIRS)
def test_names_return_to_theirs(name):
    with torch.device('meta'):
        names = EncoderDecoder(**PAIRS[name]()[0]).state_dict()
    assert to_mmseg(to_ours(names).weights).weights.keys() == names.keys()


@pytest.mark.parametrize('size', [(64, 96), (37, 53)])
def test_release_target_equals_mmseg(size, monkeypatch):
    head = MODELS.build(
        dict(type='STDCHead', in_channels=4, channels=4, num_convs=1, num_classes=2, norm_cfg=NORM))
    monkeypatch.setattr(FCNHead, 'loss_by_feat', lambda self, logits, samples: samples)
    label = torch.randint(0, 19, (2, size[0] // 6 + 1, size[1] // 6 + 1))
    label = label.repeat_interleave(6, 1).repeat_interleave(6, 2)[:, :size[0], :size[1]]
    label[:, 5:11, 7:30] = 255
    samples = [SegDataSample(gt_sem_seg=PixelData(data=one[None])) for one in label]
    want = torch.stack([s.gt_sem_seg.data for s in head.loss_by_feat(torch.zeros(2, 2, 8, 8), samples)])
    got, valid = DetailTarget(target='release')(label)
    torch.testing.assert_close(got[:, 0].long(), want.reshape(2, *size), rtol=0, atol=0)
    assert 0 < got.mean() < 1
    assert valid.all()
