"""EfficientNet-Lite: EfficientNet without squeeze-and-excitation, with ReLU6."""

from __future__ import annotations

import math
from typing import Any

import torch.nn.functional as F
from mmcv.cnn import ConvModule
from mmseg.models.utils import make_divisible
from mmseg.registry import MODELS
from torch import Tensor, nn

from ...errors import expect
from ..layers import Part, StagedPart

# Kernel, stride, expansion, channels and layers of each stage of version 0; the first and the last keep their depth.
STAGES = ((3, 1, 1, 16, 1), (3, 2, 6, 24, 2), (5, 2, 6, 40, 2), (3, 2, 6, 80, 3), (5, 1, 6, 112, 3), (5, 2, 6, 192, 4),
          (3, 1, 6, 320, 1))
SCALING = {0: (1.0, 1.0), 2: (1.1, 1.2)}
"""Factors on width and depth by version."""
OUT_STAGES = (1, 2, 4, 6)
STEM_CHANNELS = 32


class InvertedResidual(Part):
    """Expand, convolve depthwise, project; add the input where the shapes agree.

    The unit of :class:`EfficientNetLite`.

    Args:
        in_channels: Channels of the input.
        out_channels: Channels of the output.
        kernel: Side of the depthwise kernel.
        stride: 1 or 2.
        expand_ratio: Width of the inner space over ``in_channels``; 1 has no expanding convolution.
        same_padding: Pad strided convolutions as TensorFlow does.
        cfgs: ``conv_cfg``, ``norm_cfg``, ``act_cfg`` and ``init_cfg``, see :class:`Part`.

    Shape:
        - Input: ``(N, in_channels, h, w)``.
        - Output: ``(N, out_channels, h/stride, w/stride)``, sides rounded up.

    Source:
        MobileNetV2, Figure 4(d); EfficientNet, Table 1.
    """

    def __init__(self, in_channels: int, out_channels: int, kernel: int, stride: int, expand_ratio: int,
                 same_padding: bool, **cfgs: Any) -> None:
        super().__init__(**cfgs)
        hidden = in_channels * expand_ratio
        self.expand = ConvModule(in_channels, hidden, 1, **self.cfgs) if expand_ratio != 1 else nn.Identity()
        self.same_padding = (kernel, stride) if same_padding and stride > 1 else None
        self.depthwise = ConvModule(hidden, hidden, kernel, stride=stride, groups=hidden,
                                    padding=0 if self.same_padding else kernel // 2, **self.cfgs)
        self.project = ConvModule(hidden, out_channels, 1, **{**self.cfgs, 'act_cfg': None})
        self.adds_input = stride == 1 and in_channels == out_channels

    def forward(self, x: Tensor) -> Tensor:
        """Return the projected map, plus the input where the shapes agree."""
        inner = self.expand(x)  # (N, hidden, h, w)
        if self.same_padding:
            inner = pad_same(inner, *self.same_padding)
        inner = self.project(self.depthwise(inner))  # (N, out_channels, h/stride, w/stride)
        return x + inner if self.adds_input else inner


def pad_same(x: Tensor, kernel: int, stride: int) -> Tensor:
    """Pad a map so that a strided convolution without padding rounds its sides up, as TensorFlow's ``SAME``.

    Args:
        x: Map.
        kernel: Side of the kernel, at least ``stride``.
        stride: Stride of the convolution.

    Shape:
        - Input: ``(N, C, h, w)``.
        - Output: ``(N, C, h', w')``; of an odd number of added rows or columns the extra one is last.

    Example:
        >>> import torch
        >>> pad_same(torch.rand(1, 2, 8, 9), 3, 2).shape
        torch.Size([1, 2, 9, 11])
    """
    bottom, right = ((-(side // -stride) - 1) * stride + kernel - side for side in x.shape[2:])
    return F.pad(x, (right // 2, right - right // 2, bottom // 2, bottom - bottom // 2))


@MODELS.register_module()
class EfficientNetLite(StagedPart):
    """Return four maps of an EfficientNet-Lite.

    A semantic branch of :class:`BilateralNetwork` with ImageNet weights that come in a package, or a plain backbone.

    Args:
        version: 0 or 2.
        in_channels: Channels of the image.
        padding: How strided convolutions pad: ``'same'`` as TensorFlow does, which the ImageNet weights were trained
            with; ``'symmetric'``, the same on both sides, which aligns its maps with those of other branches and
            exports to simpler graphs.
        conv_cfg: Convolution of every layer.
        norm_cfg: Norm of every layer; its ``eps`` is 1e-3 where it names none.
        act_cfg: Activation of every layer.
        init_cfg: Initialisation, as in mmengine; ``dict(type='Pretrained', checkpoint='imagenet://efficientnet-lite0')``
            takes the ImageNet weights of the package that the extra ``imagenet`` installs.

    Shape:
        - Input: ``(N, in_channels, H, W)``; for the ImageNet weights RGB, ``(x - 127) / 128``.
        - Output: four maps of strides 4, 8, 16 and 32, sides rounded up, with 24, 40, 112 and 320 channels
          (version 2: 24, 48, 120 and 352).

    Raises:
        ValueError: If ``version`` or ``padding`` is unknown.

    Source:
        EfficientNet (arXiv 1905.11946), Table 1, scaled by its Equation 3; Lite: the TensorFlow release's README (no
        squeeze-and-excitation, ReLU6, stem and head not scaled).

    Example:
        >>> import torch
        >>> [tuple(m.shape[1:]) for m in EfficientNetLite().eval()(torch.rand(1, 3, 64, 96))]
        [(24, 16, 24), (40, 8, 12), (112, 4, 6), (320, 2, 3)]
    """

    def __init__(self, version: int = 0, in_channels: int = 3, padding: str = 'same', conv_cfg: dict | None = None,
                 norm_cfg: dict | None = dict(type='BN'), act_cfg: dict | None = dict(type='ReLU6'),
                 init_cfg: dict | list | None = None) -> None:
        norm_cfg = None if norm_cfg is None else {'eps': 1e-3, **norm_cfg}
        super().__init__(conv_cfg, norm_cfg, act_cfg, init_cfg)
        expect(version in SCALING, 'version', f'one of {tuple(SCALING)}', version)
        expect(padding in ('same', 'symmetric'), 'padding', "'same' or 'symmetric'", padding)
        cfgs = self.cfgs
        width_mult, depth_mult = SCALING[version]
        self.same_padding = padding == 'same'
        self.stem = ConvModule(in_channels, STEM_CHANNELS, 3, stride=2, padding=0 if self.same_padding else 1, **cfgs)
        widths = [STEM_CHANNELS, *(make_divisible(width * width_mult, 8) for _, _, _, width, _ in STAGES)]
        self.stages = nn.ModuleList()
        for place, (kernel, stride, expand_ratio, _, depth) in enumerate(STAGES):
            before, width = widths[place:place + 2]
            if 0 < place < len(STAGES) - 1:
                depth = math.ceil(depth * depth_mult)
            self.stages.append(nn.Sequential(*(
                InvertedResidual(width if number else before, width, kernel, 1 if number else stride, expand_ratio,
                                 self.same_padding, **cfgs) for number in range(depth))))
        self.out_channels = tuple(widths[place + 1] for place in OUT_STAGES)
        self.out_strides = (4, 8, 16, 32)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """Return the four maps, shallow to deep."""
        maps = super().forward(pad_same(x, 3, 2) if self.same_padding else x)  # the stem's is (N, 32, H/2, W/2)
        # (N, 24, H/4, W/4), (N, 40, H/8, W/8), (N, 112, H/16, W/16), (N, 320, H/32, W/32)
        return tuple(maps[place + 1] for place in OUT_STAGES)
