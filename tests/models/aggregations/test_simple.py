"""The two plain aggregations against what their tables say: a sum and a stack of the resized map."""

import pytest
import torch
import torch.nn.functional as F

from bisenet_plugins.models import ConcatAggregation, SumAggregation

DETAIL, SEMANTIC = torch.randn(2, 4, 9, 13), torch.randn(2, 4, 3, 5)


def resized(x, align_corners):
    return F.interpolate(x, DETAIL.shape[2:], mode='bilinear', align_corners=align_corners)


@pytest.mark.parametrize('align_corners', [False, True])
def test_maps_of_one_width_are_added_without_a_parameter(align_corners):
    part = SumAggregation((4, 4), align_corners=align_corners)
    assert not list(part.parameters())
    torch.testing.assert_close(part(DETAIL, SEMANTIC), DETAIL + resized(SEMANTIC, align_corners))


@pytest.mark.parametrize('align_corners', [False, True])
def test_maps_are_stacked_detail_first(align_corners):
    part = ConcatAggregation((4, 4), align_corners=align_corners)
    assert not list(part.parameters())
    torch.testing.assert_close(part(DETAIL, SEMANTIC), torch.cat((DETAIL, resized(SEMANTIC, align_corners)), 1))


@pytest.mark.parametrize(('in_channels', 'channels', 'projected'), [
    ((4, 8), None, ['project_semantic']), ((4, 8), 8, ['project_detail']),
    ((4, 8), 6, ['project_detail', 'project_semantic'])])
def test_only_a_map_of_another_width_is_projected(in_channels, channels, projected):
    part = SumAggregation(in_channels, channels)
    assert [name for name, child in part.named_children() if list(child.parameters())] == projected
    assert part.out_channels == (channels or 4)


def test_a_stack_is_projected_on_request():
    part = ConcatAggregation((4, 8), channels=6, norm_cfg=None, act_cfg=None)
    semantic = torch.randn(2, 8, 3, 5)
    expected = F.conv2d(torch.cat((DETAIL, resized(semantic, False)), 1), part.project.conv.weight,
                        part.project.conv.bias)
    torch.testing.assert_close(part(DETAIL, semantic), expected)
