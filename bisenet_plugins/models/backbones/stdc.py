"""The short-term dense concatenate network (STDC)."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from mmcv.cnn import ConvModule
from mmengine.model import BaseModule
from mmseg.registry import MODELS
from torch import Tensor, nn

from ...errors import expect
from ..layers import Part, StagedPart, strided_stages


class ShortTermDenseConcat(Part):
    """Join the results of a row of ever narrower convolutions.

    The unit of :class:`STDCBackbone`: block 1 is 1x1 and makes half of the output's channels, each next one is 3x3 and
    makes half as many, the last one as many as the one before.

    Args:
        in_channels: Channels of the input.
        out_channels: Channels of the output.
        stride: 1 or 2.
        num_blocks: Convolutions in the row.
        downsample: With stride 2, what shrinks the map before block 2: ``'depthwise'``, a 3x3 depthwise convolution of
            its own, as in the release; ``'strided'``, block 2 itself, as in the paper's table of receptive fields.
        cfgs: ``conv_cfg``, ``norm_cfg``, ``act_cfg`` and ``init_cfg``, see :class:`Part`.

    Shape:
        - Input: ``(N, in_channels, h, w)``.
        - Output: ``(N, out_channels, h/stride, w/stride)``, sides rounded up.

    Note:
        Receptive fields of the four blocks: 1, 3, 5, 7 at stride 1. At stride 2 the paper's Table 1 has 3 (pooled), 3,
        7, 11, which is ``'strided'``; the released network has 3, 7, 11, 15.

    Source:
        STDC, Section 3.1, Figure 3 and Table 1.

    Example:
        >>> ShortTermDenseConcat(8, 16, stride=2).eval()(torch.rand(1, 8, 5, 7)).shape
        torch.Size([1, 16, 3, 4])
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int = 1, num_blocks: int = 4,
                 downsample: str = 'depthwise', **cfgs: Any) -> None:
        super().__init__(**cfgs)
        widths = [out_channels // 2**min(i + 1, num_blocks - 1) for i in range(num_blocks)]
        self.blocks = nn.ModuleList([ConvModule(in_channels, widths[0], 1, **self.cfgs)])
        for i in range(1, num_blocks):
            step = stride if i == 1 and downsample == 'strided' else 1
            self.blocks.append(ConvModule(widths[i - 1], widths[i], 3, step, padding=1, **self.cfgs))
        half = widths[0]
        self.downsample = ConvModule(half, half, 3, 2, padding=1, groups=half, **{**self.cfgs, 'act_cfg': None}) if (
            stride == 2 and downsample == 'depthwise') else nn.Identity()
        self.skip = nn.AvgPool2d(3, stride=2, padding=1) if stride == 2 else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """Return the blocks' results, one after the other in the channels."""
        first = self.blocks[0](x)  # (N, out_channels/2, h, w)
        x = self.downsample(first)
        later = [x := block(x) for block in self.blocks[1:]]  # (N, out_channels/4, h/stride, w/stride), then /8, /8
        return torch.cat((self.skip(first), *later), dim=1)


@MODELS.register_module()
class STDCBackbone(StagedPart):
    """The backbone of STDC-Seg: two strided convolutions, then three stages of dense concatenation.

    Under :class:`ContextPath` with ``out_backbone_strides=(8,)`` it makes STDC-Seg; it also serves as a semantic branch
    by itself.

    Args:
        arch: ``'stdc1'`` with 2, 2, 2 modules in the stages, or ``'stdc2'`` with 4, 5, 3.
        in_channels: Channels of the image.
        channels: Channels of the maps at stride 2, 4, 8, 16 and 32.
        num_blocks: Convolutions of one module.
        downsample: What shrinks the map in the first module of a stage, see :class:`ShortTermDenseConcat`.
        cfgs: ``conv_cfg``, ``norm_cfg``, ``act_cfg`` and ``init_cfg``, see :class:`Part`.

    Shape:
        - Input: ``(N, in_channels, H, W)``.
        - Output: tuple ``(N, 64, H/4, W/4)``, ``(N, 256, H/8, W/8)``, ``(N, 512, H/16, W/16)``,
          ``(N, 1024, H/32, W/32)``, sides rounded up.

    Raises:
        ValueError: If ``arch`` or ``downsample`` is unknown, ``channels`` has not five entries, or ``num_blocks`` is
            below 2.

    Note:
        mmseg's ``STDCNet`` computes the same, and loads after renaming; unlike it this one hands ``conv_cfg`` and
        ``act_cfg`` to every layer and returns the stride-4 map too.

    Source:
        STDC, Section 3.1 and Table 2.

    Example:
        >>> net = STDCBackbone('stdc1', channels=(4, 8, 16, 32, 64)).eval()
        >>> [tuple(m.shape) for m in net(torch.rand(1, 3, 64, 127))]
        [(1, 8, 16, 32), (1, 16, 8, 16), (1, 32, 4, 8), (1, 64, 2, 4)]
    """

    arch_depths = dict(stdc1=(2, 2, 2), stdc2=(4, 5, 3))

    def __init__(self, arch: str = 'stdc1', in_channels: int = 3,
                 channels: tuple[int, int, int, int, int] = (32, 64, 256, 512, 1024), num_blocks: int = 4,
                 downsample: str = 'depthwise', **cfgs: Any) -> None:
        super().__init__(**cfgs)
        expect(arch in self.arch_depths, 'arch', f'one of {sorted(self.arch_depths)}', arch)
        expect(downsample in ('depthwise', 'strided'), 'downsample', "'depthwise' or 'strided'", downsample)
        expect(num_blocks >= 2, 'num_blocks', 'at least 2', num_blocks)
        self.stem = nn.Sequential(ConvModule(in_channels, channels[0], 3, stride=2, padding=1, **self.cfgs),
                                  ConvModule(channels[0], channels[1], 3, stride=2, padding=1, **self.cfgs))
        self.stages = strided_stages(ShortTermDenseConcat, channels[1:], self.arch_depths[arch], num_blocks=num_blocks,
                                     downsample=downsample, **self.cfgs)
        self.out_channels, self.out_strides = tuple(channels[1:]), (4, 8, 16, 32)


class STDCClassifier(BaseModule):
    """Classify whole images with an STDC backbone, as for pretraining on ImageNet.

    Args:
        backbone: The backbone; its weights are what the segmentation network starts from.
        num_classes: Classes.
        channels: Width of the 1x1 convolution and of the hidden layer.
        dropout_ratio: Share of the hidden values left out in training.

    Shape:
        - Input: ``(N, in_channels, H, W)``.
        - Output: ``(N, num_classes)`` logits.

    Source:
        STDC, Table 2: 8.44 and 12.47 million parameters with this head; its layers as in the release.

    Example:
        >>> net = STDCClassifier(STDCBackbone(channels=(4, 8, 16, 32, 64)), num_classes=10, channels=32).eval()
        >>> net(torch.rand(2, 3, 64, 64)).shape
        torch.Size([2, 10])
    """

    def __init__(self, backbone: STDCBackbone, num_classes: int = 1000, channels: int = 1024,
                 dropout_ratio: float = 0.2) -> None:
        super().__init__()
        self.backbone = backbone
        self.last_conv = ConvModule(backbone.out_channels[-1], channels, 1, norm_cfg=dict(type='BN'))
        self.hidden = nn.Linear(channels, channels, bias=False)
        self.dropout = nn.Dropout(dropout_ratio)
        self.classifier = nn.Linear(channels, num_classes, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits of each image."""
        x = self.last_conv(self.backbone(x)[-1]) ** 2  # (N, channels, H/32, W/32)
        x = F.adaptive_avg_pool2d(x, 1).flatten(1)  # (N, channels)
        return self.classifier(self.dropout(F.relu(self.hidden(x))))  # (N, num_classes)
