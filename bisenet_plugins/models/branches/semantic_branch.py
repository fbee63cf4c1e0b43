"""The semantic branch of BiSeNet V2: stem, gather-and-expansion layers, context embedding."""

from __future__ import annotations

from typing import Any

import torch
from mmcv.cnn import ConvModule, build_activation_layer, build_norm_layer
from mmseg.registry import MODELS
from torch import Tensor, nn

from ...errors import expect
from ..layers import Part, PooledConvModule, StagedPart, norm_pooled, strided_stages


class StemBlock(Part):
    """Shrink the image four times by convolution and by pooling, side by side.

    First stage of :class:`SemanticBranch`.

    Args:
        in_channels: Channels of the image.
        channels: Channels of the output.
        fusion_kernel: Kernel of the convolution after the concatenation: 3 as in the figure, or 1.
        cfgs: ``conv_cfg``, ``norm_cfg``, ``act_cfg`` and ``init_cfg``, see :class:`Part`.

    Shape:
        - Input: ``(N, in_channels, H, W)``.
        - Output: ``(N, channels, H/4, W/4)``.

    Source:
        BiSeNet V2, Figure 4(a).
    """

    def __init__(self, in_channels: int, channels: int, fusion_kernel: int, **cfgs: Any) -> None:
        super().__init__(**cfgs)
        half = max(channels // 2, 1)
        self.conv = ConvModule(in_channels, channels, 3, stride=2, padding=1, **self.cfgs)
        self.left = nn.Sequential(
            ConvModule(channels, half, 1, **self.cfgs), ConvModule(half, channels, 3, stride=2, padding=1, **self.cfgs))
        self.right = nn.MaxPool2d(3, stride=2, padding=1)
        self.fuse = ConvModule(2 * channels, channels, fusion_kernel, padding=fusion_kernel // 2, **self.cfgs)

    def forward(self, x: Tensor) -> Tensor:
        """Return the map at stride 4."""
        s2 = self.conv(x)  # (N, C, H/2, W/2)
        return self.fuse(torch.cat((self.left(s2), self.right(s2)), dim=1))  # (N, C, H/4, W/4)


class GatherExpansionLayer(Part):
    """Gather by a 3x3 convolution, work depthwise in a wider space, project back, add the input.

    The unit that :class:`SemanticBranch` repeats.

    Args:
        in_channels: Channels of the input.
        out_channels: Channels of the output.
        stride: 1 or 2; at 2 the shortcut is a separable convolution.
        expand_ratio: Width of the inner space over ``in_channels`` (the paper's epsilon).
        expansion: Which convolution widens: ``'conv'``, the gathering one, or ``'depthwise'``.
        gather_kernel: Kernel of the gathering convolution, 3 or 1 (Table 3b).
        double_depthwise: At stride 2, two 3x3 depthwise convolutions instead of one 5x5 (Table 3b).
        depthwise_act: Whether an activation follows the last depthwise convolution.
        cfgs: ``conv_cfg``, ``norm_cfg``, ``act_cfg`` and ``init_cfg``, see :class:`Part`.

    Shape:
        - Input: ``(N, in_channels, h, w)``.
        - Output: ``(N, out_channels, h/stride, w/stride)``.

    Source:
        BiSeNet V2, Figure 5(b) and (c).
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int, expand_ratio: float, expansion: str,
                 gather_kernel: int, double_depthwise: bool, depthwise_act: bool, **cfgs: Any) -> None:
        super().__init__(**cfgs)
        linear, act_cfg = dict(self.cfgs, act_cfg=None), self.cfgs['act_cfg']
        last = self.cfgs if depthwise_act else linear
        hidden = round(in_channels * expand_ratio)
        gathered = hidden if expansion == 'conv' else in_channels
        self.gather = ConvModule(in_channels, gathered, gather_kernel, padding=gather_kernel // 2, **self.cfgs)
        twice = stride == 2 and double_depthwise
        kernel = 5 if stride == 2 and not twice else 3
        self.depthwise = nn.Sequential(ConvModule(gathered, hidden, kernel, stride=stride, padding=kernel // 2,
                                                  groups=gathered, **(linear if twice else last)))
        if twice:
            self.depthwise.append(ConvModule(hidden, hidden, 3, padding=1, groups=hidden, **last))
        self.project = ConvModule(hidden, out_channels, 1, **linear)
        self.shortcut = nn.Identity() if stride == 1 and in_channels == out_channels else nn.Sequential(
            ConvModule(in_channels, in_channels, 3, stride=stride, padding=1, groups=in_channels, **linear),
            ConvModule(in_channels, out_channels, 1, **linear))
        self.act = build_activation_layer(act_cfg) if act_cfg else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """Return the sum of the shortcut and the residual."""
        residual = self.project(self.depthwise(self.gather(x)))  # (N, out_channels, h/stride, w/stride)
        return self.act(residual + self.shortcut(x))


class ContextEmbedding(Part):
    """Add the image's global context to every place.

    Last unit of :class:`SemanticBranch`.

    Args:
        channels: Channels of input and output.
        norm_act: Whether norm and activation follow the last convolution; the figure has a plain one.
        cfgs: ``conv_cfg``, ``norm_cfg``, ``act_cfg`` and ``init_cfg``, see :class:`Part`.

    Shape:
        - Input and output: ``(N, channels, h, w)``.

    Source:
        BiSeNet V2, Figure 4(b).
    """

    def __init__(self, channels: int, norm_act: bool, **cfgs: Any) -> None:
        super().__init__(**cfgs)
        norm_cfg = self.cfgs['norm_cfg']
        self.norm = build_norm_layer(norm_cfg, channels)[1] if norm_cfg else nn.Identity()
        self.conv_pooled = PooledConvModule(channels, channels, 1, **self.cfgs)
        plain = dict(conv_cfg=self.cfgs['conv_cfg'], act_cfg=None)
        self.conv = ConvModule(channels, channels, 3, padding=1, **(self.cfgs if norm_act else plain))

    def forward(self, x: Tensor) -> Tensor:
        """Return the map with its context."""
        pooled = x.mean((2, 3), keepdim=True)  # (N, C, 1, 1)
        return self.conv(x + self.conv_pooled(norm_pooled(self.norm, pooled)))  # (N, C, h, w)


@MODELS.register_module()
class SemanticBranch(StagedPart):
    """Gather high-level context: narrow and deep, down to stride 32.

    The second of the two pathways of :class:`BilateralNetwork`.

    Args:
        in_channels: Channels of the image.
        channel_ratio: Width of the stem and of stage 3 over the detail branch's (the paper's lambda); stages 4 and
            5 do not depend on it.
        expand_ratio: Width inside a gather-and-expansion layer over its input's (epsilon).
        width_mult: Factor on every width (alpha).
        depth_mult: Factor on the number of layers of stages 3, 4, 5, which are 2, 2, 4 (d).
        expansion: ``'conv'``: the first 3x3 convolution expands, as the paper's text and GFLOPs have it.
            ``'depthwise'``: the depthwise convolution expands, as the published checkpoints have it, a third of
            the FLOPs.
        stem_fusion_kernel: Kernel of the stem's last convolution: 3 (Figure 4) or 1 (fits Table 3a).
        gather_kernel: Kernel of the gathering convolution, 3 or 1 (Table 3b, "GLayer" off).
        double_depthwise: Two 3x3 depthwise convolutions at stride 2, or one 5x5 (Table 3b, "DDWConv" off).
        depthwise_act: Whether an activation follows the depthwise convolution; the paper's figure has none, the
            published checkpoints have one. ``None``: only with ``expansion='depthwise'``.
        context_norm_act: Whether norm and activation follow the context embedding's last convolution; the paper's
            figure has none, the published checkpoints have both. ``None``: only with ``expansion='depthwise'``.
        cfgs: ``conv_cfg``, ``norm_cfg``, ``act_cfg`` and ``init_cfg``, see :class:`Part`.

    Shape:
        - Input: ``(N, in_channels, H, W)``.
        - Output: five maps ``(N, C, H/s, W/s)``, sides rounded up: the stem (s 4), stages 3 (s 8) and 4 (s 16), stage
          5_4 (s 32, before the context embedding), stage 5_5 (s 32, after it); C is 16, 32, 64, 128, 128 times
          ``width_mult``.

    Raises:
        ValueError: If ``expansion`` is unknown, a kernel is neither 1 nor 3, or a ratio gives no channel or layer.

    Source:
        BiSeNet V2, Section "Semantic Branch", Table 1, Figures 4 and 5; the knobs: Tables 3 and 5.

    Example:
        >>> maps = SemanticBranch(width_mult=0.5).eval()(torch.rand(1, 3, 64, 96))
        >>> [tuple(m.shape[1:]) for m in maps]
        [(8, 16, 24), (16, 8, 12), (32, 4, 6), (64, 2, 3), (64, 2, 3)]
    """

    num_layers = (2, 2, 4)

    def __init__(self, in_channels: int = 3, channel_ratio: float = 0.25, expand_ratio: float = 6,
                 width_mult: float = 1.0, depth_mult: float = 1.0, expansion: str = 'conv', stem_fusion_kernel: int = 3,
                 gather_kernel: int = 3, double_depthwise: bool = True, depthwise_act: bool | None = None,
                 context_norm_act: bool | None = None, **cfgs: Any) -> None:
        super().__init__(**cfgs)
        expect(expansion in ('conv', 'depthwise'), 'expansion', "'conv' or 'depthwise'", expansion)
        for name, kernel in dict(stem_fusion_kernel=stem_fusion_kernel, gather_kernel=gather_kernel).items():
            expect(kernel in (1, 3), name, '1 or 3', kernel)
        widths = [round(c * width_mult) for c in (64 * channel_ratio, 128 * channel_ratio, 64, 128)]
        depths = [round(n * depth_mult) for n in self.num_layers]
        for names, values in (('channel_ratio and width_mult', widths), ('depth_mult', depths),
                              ('expand_ratio', [round(min(widths) * expand_ratio)])):
            expect(min(values) >= 1, names, 'at least one channel and layer in every stage', values)
        layer: dict[str, Any] = dict(
            expand_ratio=expand_ratio, expansion=expansion, gather_kernel=gather_kernel,
            double_depthwise=double_depthwise, **self.cfgs,
            depthwise_act=expansion == 'depthwise' if depthwise_act is None else depthwise_act)
        self.stem = StemBlock(in_channels, widths[0], stem_fusion_kernel, **self.cfgs)
        self.stages = strided_stages(GatherExpansionLayer, widths, depths, **layer)
        self.context = ContextEmbedding(
            widths[-1], expansion == 'depthwise' if context_norm_act is None else context_norm_act, **self.cfgs)
        self.out_channels = (*widths, widths[-1])
        self.out_strides = (4, 8, 16, 32, 32)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """Return the five maps, shallow to deep."""
        maps = super().forward(x)  # (N, 16, H/4, W/4), (N, 32, H/8, W/8), (N, 64, H/16, W/16), (N, 128, H/32, W/32)
        return (*maps, self.context(maps[-1]))  # (N, 128, H/32, W/32)
