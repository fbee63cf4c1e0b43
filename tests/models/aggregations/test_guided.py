"""The guided aggregation's ways of upsampling."""

import pytest
import torch

from bisenet_plugins.models import BilateralGuidedAggregation


def test_nearest_repeats_each_semantic_pixel():
    """By hand: with every layer reduced to the identity, the gates and the sum stay constant over each 4 x 4 cell."""
    bga = BilateralGuidedAggregation((1, 1), upsample_mode='nearest', norm_cfg=None).eval()
    for name, parameter in bga.named_parameters():
        parameter.data.zero_()
        if parameter.dim() == 4:
            centre = parameter.shape[-1] // 2
            parameter.data[:, :, centre, centre] = 1
        assert parameter.dim() == 4 or name.endswith('bias')
    detail, semantic = torch.ones(1, 1, 8, 12), torch.randn(1, 1, 2, 3)
    gate = semantic.sigmoid()
    shrunk = bga.detail_down(detail)
    wanted = (gate + shrunk * gate).repeat_interleave(4, 2).repeat_interleave(4, 3)
    torch.testing.assert_close(bga(detail, semantic), wanted)
    bga.upsample_mode = 'bilinear'
    assert (bga(detail, semantic) - wanted).abs().max() > 1e-3


def test_unknown_upsampling():
    with pytest.raises(ValueError, match="upsample_mode: expected 'bilinear' or 'nearest', got 'cubic'"):
        BilateralGuidedAggregation((4, 4), upsample_mode='cubic')
