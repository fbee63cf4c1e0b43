"""The decode head reads two maps, joins them by any aggregation and classifies."""

import pytest
import torch
import torch.nn.functional as F
from mmseg.registry import MODELS

from bisenet_plugins.models import BGAHead, SumAggregation

PLAIN = dict(norm_cfg=None, act_cfg=None, dropout_ratio=0)


def test_logits_are_those_of_the_layers_written_out():
    head = BGAHead((4, 4), 6, num_classes=3, aggregation=dict(type='SumAggregation'), **PLAIN).eval()
    detail, semantic = torch.randn(2, 4, 9, 13), torch.randn(2, 4, 3, 5)
    joined = detail + F.interpolate(semantic, (9, 13), mode='bilinear')
    hidden = F.conv2d(joined, head.conv.conv.weight, head.conv.conv.bias, padding=1)
    expected = F.conv2d(hidden, head.conv_seg.weight, head.conv_seg.bias)
    torch.testing.assert_close(head((detail, semantic)), expected)


def test_only_the_maps_at_in_index_are_read():
    head = BGAHead((4, 8), 6, num_classes=3, in_index=(1, -2)).eval()
    unread = torch.full((1, 5, 4, 4), torch.nan)
    assert head((unread, torch.rand(1, 4, 8, 8), torch.rand(1, 8, 2, 2), unread)).isfinite().all()


def test_settings_are_handed_on_to_the_aggregation():
    head = BGAHead((4, 8), 6, num_classes=3, aggregation=dict(type='SumAggregation'), aggregation_channels=10,
                   align_corners=True, norm_cfg=dict(type='GN', num_groups=2))
    part = head.aggregation
    assert type(part) is SumAggregation and (part.out_channels, part.align_corners) == (10, True)
    assert isinstance(part.project_detail.norm, torch.nn.GroupNorm)
    assert head.conv.conv.in_channels == 10


@pytest.mark.parametrize('arguments', [dict(in_channels=8), dict(in_channels=(8, 8, 8))])
def test_two_maps_are_required(arguments):
    with pytest.raises(ValueError, match='BGAHead.in_channels: expected 2 values'):
        MODELS.build(dict(type='BGAHead', channels=8, num_classes=2, **arguments))


@pytest.mark.parametrize('in_index', [1, (0, 1, 2)])
def test_two_indices_are_required(in_index):
    with pytest.raises(ValueError, match='BGAHead.in_index: expected 2 values, .* got .*1'):
        MODELS.build(dict(type='BGAHead', channels=8, num_classes=2, in_channels=(8, 8), in_index=in_index))
