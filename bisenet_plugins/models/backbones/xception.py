"""Xception39, the small backbone of BiSeNet V1."""

from __future__ import annotations

from typing import Any

from mmcv.cnn import ConvModule, DepthwiseSeparableConvModule, build_activation_layer
from mmseg.registry import MODELS
from torch import Tensor, nn

from ..layers import Part, StagedPart, strided_stages

EXPANSION = 4


class SeparableBlock(Part):
    """Three separable convolutions beside a shortcut.

    The unit of :class:`Xception39`. A separable convolution is 3x3 depthwise, then 1x1 with norm; between the two there
    is neither norm nor activation.

    Args:
        in_channels: Channels of the input.
        mid_channels: Width inside; the output has four times as many channels.
        stride: 1 keeps the shortcut as it is; 2 puts a strided separable convolution on it.
        cfgs: ``conv_cfg``, ``norm_cfg``, ``act_cfg`` and ``init_cfg``, see :class:`Part`.

    Shape:
        - Input: ``(N, in_channels, h, w)``.
        - Output: ``(N, 4 * mid_channels, h/stride, w/stride)``, sides rounded up.

    Example:
        >>> import torch
        >>> SeparableBlock(8, 4, stride=2).eval()(torch.rand(1, 8, 5, 7)).shape
        torch.Size([1, 16, 3, 4])
    """

    def __init__(self, in_channels: int, mid_channels: int, stride: int = 1, **cfgs: Any) -> None:
        super().__init__(**cfgs)
        act_cfg = self.cfgs['act_cfg']
        out_channels = mid_channels * EXPANSION

        def separable(c_in: int, c_out: int, step: int, act: dict | None) -> DepthwiseSeparableConvModule:
            return DepthwiseSeparableConvModule(
                c_in, c_out, 3, stride=step, padding=1, bias=False, dw_norm_cfg=None, dw_act_cfg=None,
                **{**self.cfgs, 'act_cfg': act})

        self.residual = nn.Sequential(separable(in_channels, mid_channels, stride, act_cfg),
                                      separable(mid_channels, mid_channels, 1, act_cfg),
                                      separable(mid_channels, out_channels, 1, None))
        keep = stride == 1 and in_channels == out_channels
        self.shortcut = nn.Identity() if keep else separable(in_channels, out_channels, stride, None)
        self.act = build_activation_layer(act_cfg) if act_cfg else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """Return the activated sum of both paths."""
        return self.act(self.residual(x) + self.shortcut(x))


@MODELS.register_module()
class Xception39(StagedPart):
    """A thin Xception of 39 layers and 0.3 million parameters.

    The light backbone of :class:`ContextPath`; it also serves as a semantic branch by itself.

    Args:
        in_channels: Channels of the image.
        stem_channels: Width of the first convolution.
        mid_channels: Inner width of the blocks of each of the three stages; a stage puts out four times as many.
        depths: Blocks of each stage; the first one of a stage has stride 2.
        cfgs: ``conv_cfg``, ``norm_cfg``, ``act_cfg`` and ``init_cfg``, see :class:`Part`.

    Shape:
        - Input: ``(N, in_channels, H, W)``.
        - Output: tuple ``(N, 8, H/4, W/4)``, ``(N, 64, H/8, W/8)``, ``(N, 128, H/16, W/16)``, ``(N, 256, H/32, W/32)``,
          sides rounded up.

    Raises:
        ValueError: If ``mid_channels`` or ``depths`` has not three entries, or a depth is below one.

    Source:
        BiSeNet V1, Section 4.2 and Table 1 (1.2 MiB of weights, 185.5 M FLOPs at 640 x 360); the layers as in the
        authors' release (TorchSeg).

    Example:
        >>> import torch
        >>> net = Xception39().eval()
        >>> [tuple(m.shape) for m in net(torch.rand(1, 3, 64, 127))]
        [(1, 8, 16, 32), (1, 64, 8, 16), (1, 128, 4, 8), (1, 256, 2, 4)]
    """

    def __init__(self, in_channels: int = 3, stem_channels: int = 8, mid_channels: tuple[int, int, int] = (16, 32, 64),
                 depths: tuple[int, int, int] = (4, 8, 4), **cfgs: Any) -> None:
        super().__init__(**cfgs)
        self.stem = nn.Sequential(ConvModule(in_channels, stem_channels, 3, stride=2, padding=1, **self.cfgs),
                                  nn.MaxPool2d(3, stride=2, padding=1))
        widths = (stem_channels, *(mid * EXPANSION for mid in mid_channels))
        self.stages = strided_stages(lambda before, width, stride: SeparableBlock(
            before, width // EXPANSION, stride, **self.cfgs), widths, depths)
        self.out_channels, self.out_strides = widths, (4, 8, 16, 32)
