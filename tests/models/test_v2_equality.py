"""BiSeNet V2 with the published options equals mmseg's built-in one, head included."""

import pytest
import torch
from mmseg.registry import MODELS
from torch import nn

from bisenet_plugins.models import SemanticBranch
from bisenet_plugins.weights.convert import to_mmseg, to_ours

NORM = dict(type='BN')
CLASSES = 19
BOOSTERS = ((16, 16), (32, 64), (64, 256), (128, 1024))


@pytest.fixture(scope='module')
def pair():
    """mmseg's network and ours, with its random weights and batch norm statistics."""
    fcn = dict(type='FCNHead', num_classes=CLASSES, norm_cfg=NORM, align_corners=False, concat_input=False)
    theirs = MODELS.build(dict(
        type='EncoderDecoder',
        backbone=dict(type='BiSeNetV2', norm_cfg=NORM),
        decode_head=dict(in_channels=128, in_index=0, channels=1024, num_convs=1, **fcn),
        auxiliary_head=[dict(in_channels=c, in_index=i, channels=width, num_convs=2, **fcn)
                        for i, (c, width) in enumerate(BOOSTERS, 1)]))
    ours = MODELS.build(dict(
        type='BilateralSegmentor',
        backbone=dict(type='BilateralNetwork', semantic_branch=dict(type='SemanticBranch', expansion='depthwise')),
        decode_head=dict(
            type='BGAHead', in_channels=(128, 128), channels=1024, num_classes=CLASSES, norm_cfg=NORM,
            aggregation=dict(type='BilateralGuidedAggregation', out_act=True, pointwise_bias=True)),
        auxiliary_head=[dict(type='BoosterHead', in_channels=c, in_index=i, channels=width, num_convs=2,
                             num_classes=CLASSES, norm_cfg=NORM)
                        for i, (c, width) in enumerate(BOOSTERS, 1)]))
    for module in theirs.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            nn.init.uniform_(module.running_mean, -0.3, 0.3)
            nn.init.uniform_(module.running_var, 0.6, 1.5)
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.uniform_(module.bias, -0.3, 0.3)
    ours.load_state_dict(to_ours(theirs.state_dict()).weights)  # strict: every key must match
    return theirs.eval(), ours.eval()


@pytest.mark.parametrize(
    'size', [(128, 256), (97, 161), (360, 480), pytest.param((512, 1024), marks=pytest.mark.slow)])
def test_same_logits(pair, size):
    theirs, ours = pair
    image = torch.randn(1, 3, *size)
    with torch.no_grad():
        expected = theirs.encode_decode(image, [dict(img_shape=size)])
        torch.testing.assert_close(ours.encode_decode(image, [dict(img_shape=size)]), expected, rtol=1e-5, atol=1e-5)


def test_same_booster_logits(pair):
    theirs, ours = pair
    image = torch.randn(1, 3, 64, 128)
    with torch.no_grad():
        their_maps, our_maps = theirs.extract_feat(image), ours.extract_feat(image)
        for their_head, our_head in zip(theirs.auxiliary_head, ours.auxiliary_head):
            torch.testing.assert_close(our_head(our_maps), their_head(their_maps), rtol=1e-5, atol=1e-5)


def test_names_go_back(pair):
    theirs, ours = pair
    assert to_mmseg(ours.state_dict()).weights.keys() == theirs.state_dict().keys()


def test_conv_expansion_is_another_network():
    """3.85 million parameters in the paper's semantic branch, 1.16 in the published one."""
    count = {expansion: sum(p.numel() for p in SemanticBranch(expansion=expansion).parameters())
             for expansion in ('conv', 'depthwise')}
    assert count == dict(conv=3_849_456, depthwise=1_159_504)
