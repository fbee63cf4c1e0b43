"""The spatial path of BiSeNet V1."""

from __future__ import annotations

from typing import Any

from mmcv.cnn import ConvModule
from mmseg.registry import MODELS
from torch import Tensor, nn

from ...errors import expect
from ..layers import Part


@MODELS.register_module()
class SpatialPath(Part):
    """Keep low-level detail with three strided convolutions down to stride 8.

    The detail branch of BiSeNet V1 in :class:`BilateralNetwork`.

    Args:
        in_channels: Channels of the image.
        channels: Width of each of the three strided convolutions.
        kernel_sizes: Side of each of the three kernels, odd; the published networks begin with a 7.
        projection_channels: Width of a 1x1 convolution after the three, as the published networks have it; ``None``
            leaves it out, as the paper's text does.
        cfgs: ``conv_cfg``, ``norm_cfg``, ``act_cfg`` and ``init_cfg``, see :class:`Part`.

    Shape:
        - Input: ``(N, in_channels, H, W)``.
        - Output: tuple of one map ``(N, C, H/8, W/8)``, sides rounded up; C is ``projection_channels``, or the last of
          ``channels``.

    Raises:
        ValueError: If ``channels`` or ``kernel_sizes`` has not three entries, or a kernel is even.

    Note:
        The paper describes three convolutions; the authors' release (TorchSeg) adds a fourth, 1x1 to 128 channels.
        Their published results come from the latter, which is what the configs build.

    Source:
        BiSeNet V1, Section 3.1, Figure 2.

    Example:
        >>> import torch
        >>> SpatialPath().eval()(torch.rand(1, 3, 33, 64))[0].shape
        torch.Size([1, 64, 5, 8])
        >>> SpatialPath(kernel_sizes=(7, 3, 3), projection_channels=128).out_channels
        (128,)
    """

    def __init__(self, in_channels: int = 3, channels: tuple[int, int, int] = (64, 64, 64),
                 kernel_sizes: tuple[int, int, int] = (3, 3, 3), projection_channels: int | None = None,
                 **cfgs: Any) -> None:
        super().__init__(**cfgs)
        expect(all(kernel % 2 for kernel in kernel_sizes), 'kernel_sizes', 'odd numbers', kernel_sizes)
        self.layers = nn.Sequential(*(
            ConvModule(before, width, kernel, stride=2, padding=kernel // 2, **self.cfgs)
            for before, width, kernel in zip((in_channels, *channels), channels, kernel_sizes)))
        self.projection = nn.Identity() if projection_channels is None else ConvModule(
            channels[-1], projection_channels, 1, **self.cfgs)
        self.out_channels, self.out_strides = (projection_channels or channels[-1],), (8,)

    def forward(self, x: Tensor) -> tuple[Tensor]:
        """Return the one detail map."""
        return (self.projection(self.layers(x)),)  # (N, projection_channels or channels[-1], H/8, W/8)
