"""Bilateral guided aggregation of BiSeNet V2."""

from __future__ import annotations

from typing import Any

import torch
from mmcv.cnn import ConvModule
from mmseg.registry import MODELS
from torch import Tensor, nn

from ...errors import expect
from ..layers import Part, resize_to


@MODELS.register_module()
class BilateralGuidedAggregation(Part):
    """Let each branch gate the other, at both scales, and add the two products.

    The default aggregation of :class:`BGAHead`.

    Args:
        in_channels: Channels of the detail map and of the semantic map.
        channels: Channels of the output; ``None`` takes the detail map's.
        out_act: Whether an activation follows the last convolution; the paper's figure has none, the published
            checkpoints have one.
        pointwise_bias: Whether the two 1x1 convolutions carry a bias, as in the published checkpoints of mmseg.
        upsample_mode: How semantic maps are brought up to the detail's size: ``'bilinear'``, as in the paper, or
            ``'nearest'``.
        align_corners: How bilinear resizing places the corner pixels.
        cfgs: ``conv_cfg``, ``norm_cfg``, ``act_cfg`` and ``init_cfg``, see :class:`Part`.

    Shape:
        - Input: detail ``(N, C0, h, w)`` and semantic ``(N, C1, h', w')``, ``h' <= h``; a quarter of the size in V2.
        - Output: ``(N, channels, h, w)``.

    Raises:
        ValueError: If ``in_channels`` has not two entries, or ``upsample_mode`` is neither of the two.

    Source:
        BiSeNet V2, Section "Bilateral Guided Aggregation", Figure 6.

    Example:
        >>> bga = BilateralGuidedAggregation((16, 32)).eval()
        >>> bga(torch.rand(1, 16, 9, 13), torch.rand(1, 32, 3, 4)).shape
        torch.Size([1, 16, 9, 13])
    """

    def __init__(self, in_channels: tuple[int, int], channels: int | None = None, out_act: bool = False,
                 pointwise_bias: bool = False, upsample_mode: str = 'bilinear', align_corners: bool = False,
                 **cfgs: Any) -> None:
        super().__init__(**cfgs)
        expect(upsample_mode in ('bilinear', 'nearest'), 'upsample_mode', "'bilinear' or 'nearest'", upsample_mode)
        detail, semantic = in_channels
        channels = channels or detail
        self.align_corners, self.upsample_mode, self.out_channels = align_corners, upsample_mode, channels
        conv = dict(self.cfgs, act_cfg=None)

        def separable(width: int) -> nn.Sequential:
            return nn.Sequential(ConvModule(width, width, 3, padding=1, groups=width, **conv),
                                 ConvModule(width, channels, 1, bias=pointwise_bias, **{**conv, 'norm_cfg': None}))

        self.detail_keep = separable(detail)
        self.detail_down = nn.Sequential(
            ConvModule(detail, channels, 3, stride=2, padding=1, **conv), nn.AvgPool2d(3, stride=2, padding=1))
        self.semantic_up = ConvModule(semantic, channels, 3, padding=1, **conv)
        self.semantic_keep = separable(semantic)
        self.fuse = ConvModule(channels, channels, 3, padding=1, **(self.cfgs if out_act else conv))

    def forward(self, detail: Tensor, semantic: Tensor) -> Tensor:
        """Return the joined map at the detail's size."""
        gate_large = torch.sigmoid(self._upsample(self.semantic_up(semantic), detail))  # (N, C, h, w)
        large = self.detail_keep(detail) * gate_large  # (N, C, h, w)
        gate_small = torch.sigmoid(self.semantic_keep(semantic))  # (N, C, h', w')
        small = resize_to(self.detail_down(detail), semantic, self.align_corners) * gate_small  # (N, C, h', w')
        return self.fuse(large + self._upsample(small, detail))  # (N, C, h, w)

    def _upsample(self, x: Tensor, like: Tensor) -> Tensor:
        return resize_to(x, like, self.align_corners, self.upsample_mode)
