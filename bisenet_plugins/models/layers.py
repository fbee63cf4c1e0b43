"""Layers that several parts share."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from mmcv.cnn import ConvModule
from mmengine.dist import get_world_size
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.instancenorm import _InstanceNorm


def norm_pooled(norm: nn.Module, x: torch.Tensor) -> torch.Tensor:
    """Normalise a globally pooled map, also in training with a batch of one.

    Args:
        norm: Normalisation layer.
        x: Pooled map.

    Shape:
        - Input and output: ``(N, C, 1, 1)``.

    Note:
        One value per channel has no variance: batch norm then takes its running statistics, and instance norm,
        which would return its bias whatever came in, is left out.

    Example:
        >>> norm_pooled(nn.BatchNorm2d(4).train(), torch.rand(1, 4, 1, 1)).shape
        torch.Size([1, 4, 1, 1])
    """
    if isinstance(norm, _InstanceNorm):
        return x
    single = norm.training and x.shape[0] == 1 and get_world_size() == 1
    if single and isinstance(norm, _BatchNorm) and norm.running_mean is not None:
        return F.batch_norm(x, norm.running_mean, norm.running_var, norm.weight, norm.bias, False, 0.0, norm.eps)
    return norm(x)


class PooledConvModule(ConvModule):
    """Convolution, norm and activation of a globally pooled map; a batch of one trains.

    Shape:
        - Input: ``(N, C, 1, 1)``.
        - Output: ``(N, out_channels, 1, 1)``.
    """

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Apply convolution, norm and activation, in this order."""
        x = self.conv(x)
        if self.with_norm:
            x = norm_pooled(self.norm, x)
        return self.activate(x) if self.with_activation else x


def resize_to(x: torch.Tensor, like: torch.Tensor, align_corners: bool = False, mode: str = 'bilinear') -> torch.Tensor:
    """Resize a map to the height and width of another one; the same size passes through.

    Args:
        x: Map to resize.
        like: Map whose size is wanted.
        align_corners: Whether corner pixels keep their place.
        mode: ``'bilinear'`` or ``'nearest'``.

    Shape:
        - Input: ``(N, C, h, w)`` and ``(*, h', w')``.
        - Output: ``(N, C, h', w')``.

    Example:
        >>> resize_to(torch.rand(1, 2, 3, 5), torch.rand(1, 8, 9, 17)).shape
        torch.Size([1, 2, 9, 17])
    """
    size = like.shape[2:]
    if x.shape[2:] == size:
        return x
    return F.interpolate(x, size=size, mode=mode, align_corners=align_corners if mode == 'bilinear' else None)
