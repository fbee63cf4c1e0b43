"""Summation and concatenation, the two plain aggregations."""

from __future__ import annotations

from typing import Any

import torch
from mmcv.cnn import ConvModule
from mmseg.registry import MODELS
from torch import Tensor, nn

from ..layers import Part, resize_to


@MODELS.register_module()
class SumAggregation(Part):
    """Add the semantic map to the detail map.

    The plain alternative to :class:`BilateralGuidedAggregation` inside :class:`BGAHead`.

    Args:
        in_channels: Channels of the detail map and of the semantic map.
        channels: Channels of the output; ``None`` takes the detail map's. A map of another width passes a 1x1
            convolution first.
        align_corners: How the semantic map is resized.
        cfgs: ``conv_cfg``, ``norm_cfg``, ``act_cfg`` and ``init_cfg``, see :class:`Part`.

    Shape:
        - Input: detail ``(N, C0, h, w)`` and semantic ``(N, C1, h', w')``.
        - Output: ``(N, channels, h, w)``.

    Raises:
        ValueError: If ``in_channels`` has not two entries.

    Source:
        BiSeNet V2, Table 2, row "Sum".

    Example:
        >>> SumAggregation((8, 16)).eval()(torch.rand(1, 8, 9, 13), torch.rand(1, 16, 3, 4)).shape
        torch.Size([1, 8, 9, 13])
    """

    def __init__(self, in_channels: tuple[int, int], channels: int | None = None, align_corners: bool = False,
                 **cfgs: Any) -> None:
        super().__init__(**cfgs)
        self.align_corners, self.out_channels = align_corners, channels or in_channels[0]
        self.project_detail, self.project_semantic = (
            nn.Identity() if width == self.out_channels else ConvModule(width, self.out_channels, 1, **self.cfgs)
            for width in in_channels)

    def forward(self, detail: Tensor, semantic: Tensor) -> Tensor:
        """Return the joined map at the detail's size."""
        semantic = resize_to(self.project_semantic(semantic), detail, self.align_corners)  # (N, channels, h, w)
        return self.project_detail(detail) + semantic


@MODELS.register_module()
class ConcatAggregation(Part):
    """Stack the semantic map on the detail map.

    The plain alternative to :class:`BilateralGuidedAggregation` inside :class:`BGAHead`.

    Args:
        in_channels: Channels of the detail map and of the semantic map.
        channels: Channels of the output, by a 1x1 convolution; ``None`` keeps all of both maps.
        align_corners: How the semantic map is resized.
        cfgs: ``conv_cfg``, ``norm_cfg``, ``act_cfg`` and ``init_cfg``, see :class:`Part`.

    Shape:
        - Input: detail ``(N, C0, h, w)`` and semantic ``(N, C1, h', w')``.
        - Output: ``(N, channels, h, w)``, or ``(N, C0 + C1, h, w)`` when ``channels`` is ``None``.

    Raises:
        ValueError: If ``in_channels`` has not two entries.

    Source:
        BiSeNet V2, Table 2, row "Concatenate".

    Example:
        >>> ConcatAggregation((8, 16)).eval()(torch.rand(1, 8, 9, 13), torch.rand(1, 16, 3, 4)).shape
        torch.Size([1, 24, 9, 13])
    """

    def __init__(self, in_channels: tuple[int, int], channels: int | None = None, align_corners: bool = False,
                 **cfgs: Any) -> None:
        super().__init__(**cfgs)
        self.align_corners, self.out_channels = align_corners, channels or sum(in_channels)
        self.project = nn.Identity() if channels is None else ConvModule(sum(in_channels), channels, 1, **self.cfgs)

    def forward(self, detail: Tensor, semantic: Tensor) -> Tensor:
        """Return the joined map at the detail's size."""
        return self.project(torch.cat((detail, resize_to(semantic, detail, self.align_corners)), dim=1))
