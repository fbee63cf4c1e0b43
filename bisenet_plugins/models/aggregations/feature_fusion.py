"""Feature fusion of BiSeNet V1 and STDC-Seg."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from mmcv.cnn import ConvModule
from mmseg.registry import MODELS
from torch import Tensor, nn

from ...errors import expect
from ..layers import Part, PooledConvModule, resize_to


@MODELS.register_module()
class FeatureFusion(Part):
    """Concatenate both maps, then raise each channel by what the whole image holds (FFM).

    The aggregation of BiSeNet V1 and STDC-Seg inside :class:`BGAHead`.

    Args:
        in_channels: Channels of the detail map and of the semantic map.
        channels: Channels of the output; ``None`` takes the sum of both maps'.
        attention: ``'mlp'``: 1x1 convolution, activation, 1x1 convolution, sigmoid, as in the paper; ``'single'``: one
            1x1 convolution and sigmoid.
        attention_norm: Whether the attention's convolutions are followed by a norm.
        attention_act: Whether the attention's last convolution is followed by an activation, before the sigmoid; with
            ReLU no weight can then fall below one half.
        reduction: With ``'mlp'``, how many times narrower its inner width is.
        align_corners: How the semantic map is resized.
        cfgs: ``conv_cfg``, ``norm_cfg``, ``act_cfg`` and ``init_cfg``, see :class:`Part`.

    Shape:
        - Input: detail ``(N, C0, h, w)`` and semantic ``(N, C1, h', w')``; of the same size in V1 and STDC-Seg.
        - Output: ``(N, channels, h, w)``.

    Raises:
        ValueError: If ``in_channels`` has not two entries, ``attention`` is unknown, or ``reduction`` is below one or
            above ``channels``.

    Note:
        What published networks have: the V1 paper and release the defaults; STDC-Seg ``reduction=4``; others'
        re-implementations of V1 ``attention='single', attention_norm=True``, and with mmseg ``attention_act=True``.

    Source:
        BiSeNet V1, Section 3.3, Figure 2 (c).

    Example:
        >>> fusion = FeatureFusion((16, 32), 24).eval()
        >>> fusion(torch.rand(1, 16, 9, 13), torch.rand(1, 32, 3, 4)).shape
        torch.Size([1, 24, 9, 13])
    """

    def __init__(self, in_channels: tuple[int, int], channels: int | None = None, attention: str = 'mlp',
                 attention_norm: bool = False, attention_act: bool = False, reduction: int = 1,
                 align_corners: bool = False, **cfgs: Any) -> None:
        super().__init__(**cfgs)
        expect(attention in ('mlp', 'single'), 'attention', "'mlp' or 'single'", attention)
        channels = channels or sum(in_channels)
        expect(1 <= reduction <= channels, 'reduction', f'a number from 1 to channels={channels}', reduction)
        self.align_corners, self.out_channels = align_corners, channels
        self.project = ConvModule(sum(in_channels), channels, 1, **self.cfgs)
        widths = [channels, channels // reduction, channels] if attention == 'mlp' else [channels, channels]
        inner = self.cfgs if attention_norm else dict(self.cfgs, norm_cfg=None)
        cfgs_of = [inner] * (len(widths) - 2) + [inner if attention_act else dict(inner, act_cfg=None)]
        self.attention = nn.Sequential(*(PooledConvModule(c_in, c_out, 1, bias=False, **layer)
                                         for c_in, c_out, layer in zip(widths, widths[1:], cfgs_of)))

    def forward(self, detail: Tensor, semantic: Tensor) -> Tensor:
        """Return the joined map at the detail's size."""
        semantic = resize_to(semantic, detail, self.align_corners)  # (N, C1, h, w)
        x = self.project(torch.cat((detail, semantic), dim=1))  # (N, channels, h, w)
        weight = self.attention(F.adaptive_avg_pool2d(x, 1)).sigmoid()  # (N, channels, 1, 1)
        return x + x * weight
