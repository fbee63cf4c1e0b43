"""The detail branch of BiSeNet V2."""

from __future__ import annotations

from functools import partial
from typing import Any

from mmcv.cnn import ConvModule
from mmseg.registry import MODELS
from torch import Tensor, nn

from ..layers import Part, RepConvModule, strided_stages


@MODELS.register_module()
class DetailBranch(Part):
    """Keep low-level detail: wide, shallow, three stages of 3x3 convolutions down to stride 8.

    The first of the two pathways of :class:`BilateralNetwork`.

    Args:
        in_channels: Channels of the image.
        channels: Width of each of the three stages, before ``width_mult``.
        num_convs: Convolutions of each stage; the first of a stage has stride 2.
        width_mult: Factor on every width (the paper's alpha).
        reparam: Train every layer as :class:`RepConvModule`, three paths that
            :func:`~bisenet_plugins.switch_to_deploy` folds into one convolution; not in the paper.
        cfgs: ``conv_cfg``, ``norm_cfg``, ``act_cfg`` and ``init_cfg``, see :class:`Part`.

    Shape:
        - Input: ``(N, in_channels, H, W)``.
        - Output: tuple of one map ``(N, 128 * width_mult, H/8, W/8)``, sides rounded up.

    Raises:
        ValueError: If ``channels`` and ``num_convs`` have not three entries each.

    Source:
        BiSeNet V2, Section "Detail Branch", Table 1.

    Example:
        >>> import torch
        >>> DetailBranch().eval()(torch.rand(1, 3, 33, 64))[0].shape
        torch.Size([1, 128, 5, 8])
    """

    def __init__(self, in_channels: int = 3, channels: tuple[int, int, int] = (64, 64, 128),
                 num_convs: tuple[int, int, int] = (2, 3, 3), width_mult: float = 1.0, reparam: bool = False,
                 **cfgs: Any) -> None:
        super().__init__(**cfgs)
        widths = [in_channels, *(round(width * width_mult) for width in channels)]
        block: Any = RepConvModule if reparam else partial(ConvModule, kernel_size=3, padding=1)
        self.stages = nn.Sequential(*strided_stages(block, widths, num_convs, **self.cfgs))
        self.out_channels, self.out_strides = (widths[-1],), (8,)

    def forward(self, x: Tensor) -> tuple[Tensor]:
        """Return the one detail map."""
        return (self.stages(x),)  # (N, 128, H/8, W/8)
