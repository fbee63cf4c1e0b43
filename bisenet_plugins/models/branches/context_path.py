"""The context path of BiSeNet V1, over any backbone."""

from __future__ import annotations

from functools import partial
from inspect import Parameter
from typing import Any

import torch.nn.functional as F
from mmcv.cnn import ConvModule
from mmseg.registry import MODELS
from torch import Tensor

from ...arguments import accepted_arguments
from ...errors import expect
from ..build import build_part, named_class, probe
from ..layers import Part, PooledConvModule, resize_to

CONTEXT_STRIDES = (8, 16, 32)
REFINED_STRIDES = (16, 32)


class AttentionRefinement(Part):
    """Bring one map to the path's width and weight its channels by what the whole image holds (ARM).

    Used by :class:`ContextPath` on the maps of stride 16 and 32.

    Args:
        in_channels: Channels of the backbone's map.
        channels: Channels of the output.
        attention: Whether the channels are weighted; without it only the 3x3 convolution is left.
        cfgs: ``conv_cfg``, ``norm_cfg``, ``act_cfg`` and ``init_cfg``, see :class:`Part`.

    Shape:
        - Input: ``(N, in_channels, h, w)``.
        - Output: ``(N, channels, h, w)``.

    Source:
        BiSeNet V1, Section 3.2, Figure 2 (b).

    Example:
        >>> import torch
        >>> AttentionRefinement(8, 4).eval()(torch.rand(1, 8, 3, 5)).shape
        torch.Size([1, 4, 3, 5])
    """

    def __init__(self, in_channels: int, channels: int, attention: bool = True, **cfgs: Any) -> None:
        super().__init__(**cfgs)
        self.conv = ConvModule(in_channels, channels, 3, padding=1, **self.cfgs)
        linear = dict(self.cfgs, act_cfg=None)
        self.attention = PooledConvModule(channels, channels, 1, bias=False, **linear) if attention else None

    def forward(self, x: Tensor) -> Tensor:
        """Return the refined map."""
        x = self.conv(x)  # (N, channels, h, w)
        if self.attention is None:
            return x
        return x * self.attention(F.adaptive_avg_pool2d(x, 1)).sigmoid()


@MODELS.register_module()
class ContextPath(Part):
    """Carry the context of the whole image back up to stride 8, over any backbone.

    The semantic branch of BiSeNet V1 and of STDC-Seg in :class:`BilateralNetwork`: global context is added to the
    refined stride-32 map, that one to the refined stride-16 map, each after upsampling and a 3x3 convolution.

    Args:
        backbone: Config of a backbone with maps of stride 8, 16 and 32; of several maps of one stride the last is used.
        channels: Width of the path.
        in_channels: Channels of the image.
        attention_strides: Strides, out of 16 and 32, whose map is weighted by attention.
        global_context: Whether the pooled stride-32 map is added.
        out_backbone_strides: Strides whose backbone map is handed through; ``(8,)`` lets
            ``BilateralNetwork(detail_branch=None)`` take it as the detail map, which is STDC-Seg.
        upsample_mode: ``'bilinear'`` or ``'nearest'``.
        align_corners: How bilinear upsampling places the corner pixels.
        cfgs: ``conv_cfg``, ``norm_cfg``, ``act_cfg`` and ``init_cfg``, see :class:`Part`; of the first three the
            backbone gets those that are given or that it has no default for, and else keeps its own.

    Shape:
        - Input: ``(N, in_channels, H, W)``.
        - Output: tuple, ordered by stride: the backbone's maps of ``out_backbone_strides``, then the context at stride
          8 ``(N, channels, H/8, W/8)`` and at stride 16 ``(N, channels, H/16, W/16)``, sides rounded up.

    Raises:
        ValueError: If the backbone lacks a map of stride 8, 16 or 32 or of ``out_backbone_strides``, if an entry of
            ``attention_strides`` is neither 16 nor 32, if one of ``out_backbone_strides`` exceeds 8, or if
            ``upsample_mode`` is neither of the two.

    Note:
        The context to fuse with the detail map is the one of stride 8, the last but one: give the head
        ``in_index=(0, -2)``. Auxiliary heads sit on ``-2`` and ``-1``.
        The 3x3 convolution inside the attention refinement is not in the paper's figure, but in the authors' release
        and in every other implementation.

    Source:
        BiSeNet V1, Section 3.2, Figure 2 and Table 3; STDC, Figure 4.

    Example:
        >>> import torch
        >>> path = ContextPath(dict(type='Xception39'), channels=16).eval()
        >>> path.out_channels, path.out_strides
        ((16, 16), (8, 16))
        >>> [tuple(m.shape) for m in path(torch.rand(1, 3, 63, 127))]
        [(1, 16, 8, 16), (1, 16, 4, 8)]
    """

    def __init__(self, backbone: dict, channels: int = 128, in_channels: int = 3,
                 attention_strides: tuple[int, ...] = REFINED_STRIDES, global_context: bool = True,
                 out_backbone_strides: tuple[int, ...] = (), upsample_mode: str = 'bilinear',
                 align_corners: bool = False, **cfgs: Any) -> None:
        super().__init__(**cfgs)
        expect(set(attention_strides) <= set(REFINED_STRIDES), 'attention_strides', f'some of {REFINED_STRIDES}',
               attention_strides)
        expect(upsample_mode in ('bilinear', 'nearest'), 'upsample_mode', "'bilinear' or 'nearest'", upsample_mode)
        expect(all(stride <= 8 for stride in out_backbone_strides), 'out_backbone_strides',
               'strides of at most 8, as deeper maps follow', out_backbone_strides)
        known = accepted_arguments(named_class(backbone, 'backbone'))
        given = {key: cfg for key, cfg in self.cfgs.items() if key in cfgs or known.get(key) is Parameter.empty}
        self.backbone = build_part(backbone, 'backbone', in_channels=in_channels if in_channels != 3 else None, **given)
        found_channels, found_strides = probe(self.backbone, in_channels, 'backbone')
        index = {stride: i for i, stride in enumerate(found_strides)}
        missing = sorted({*CONTEXT_STRIDES, *out_backbone_strides} - set(index))
        expect(not missing, 'backbone', f'maps of strides {missing} too from {type(self.backbone).__name__}',
               found_strides)
        self._context_index = [index[stride] for stride in CONTEXT_STRIDES]
        self._out_index = [index[stride] for stride in sorted(out_backbone_strides)]
        self._upsample = partial(resize_to, align_corners=align_corners, mode=upsample_mode)
        wide = {stride: found_channels[index[stride]] for stride in REFINED_STRIDES}
        self.arm16 = AttentionRefinement(wide[16], channels, 16 in attention_strides, **self.cfgs)
        self.arm32 = AttentionRefinement(wide[32], channels, 32 in attention_strides, **self.cfgs)
        self.global_context = PooledConvModule(wide[32], channels, 1, **self.cfgs) if global_context else None
        self.smooth16 = ConvModule(channels, channels, 3, padding=1, **self.cfgs)
        self.smooth8 = ConvModule(channels, channels, 3, padding=1, **self.cfgs)
        self.out_channels = (*(found_channels[i] for i in self._out_index), channels, channels)
        self.out_strides = (*sorted(out_backbone_strides), 8, 16)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """Return the backbone's maps that were asked for, then the context at stride 8 and 16."""
        maps = self.backbone(x)
        s8, s16, s32 = (maps[i] for i in self._context_index)
        context = self.arm32(s32)  # (N, channels, H/32, W/32)
        if self.global_context is not None:
            context = context + self.global_context(F.adaptive_avg_pool2d(s32, 1))
        context16 = self.smooth16(self._upsample(context, s16))  # (N, channels, H/16, W/16)
        context8 = self.smooth8(self._upsample(self.arm16(s16) + context16, s8))  # (N, channels, H/8, W/8)
        return (*(maps[i] for i in self._out_index), context8, context16)
