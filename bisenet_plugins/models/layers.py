"""Layers that several parts share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import accumulate
from typing import Any, TypeGuard

import torch
import torch.nn.functional as F
from mmcv.cnn import ConvModule, build_activation_layer, build_norm_layer
from mmengine.dist import get_world_size
from mmengine.model import BaseModule
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.instancenorm import _InstanceNorm
from torch.nn.utils.fusion import fuse_conv_bn_eval

_FORWARDS = (_BatchNorm.forward, nn.SyncBatchNorm.forward)


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
    alone = get_world_size() == 1 or not isinstance(norm, nn.SyncBatchNorm)  # which sees the other processes' values
    single = norm.training and x.shape[0] == 1 and alone
    if single and isinstance(norm, _BatchNorm) and norm.running_mean is not None:
        return F.batch_norm(x, norm.running_mean, norm.running_var, norm.weight, norm.bias, False, 0.0, norm.eps)
    return norm(x)


def can_fold(norm: Any) -> TypeGuard[_BatchNorm]:
    """Return whether a module is a batch norm that does nothing but normalise by running statistics.

    Args:
        norm: Any module.

    Example:
        >>> can_fold(nn.BatchNorm2d(4)), can_fold(nn.GroupNorm(2, 4))
        (True, False)
    """
    return isinstance(norm, _BatchNorm) and type(norm).forward in _FORWARDS and norm.running_mean is not None


def lay_channels_last(model: nn.Module) -> None:
    """Bring a network to channels-last memory, in place, but for convolutions of other kinds, which may view weights.

    Args:
        model: The network.

    Example:
        >>> lay_channels_last(conv := nn.Conv2d(4, 8, 3))
        >>> conv.weight.is_contiguous(memory_format=torch.channels_last)
        True
    """
    model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    for module in model.modules():
        if isinstance(module, nn.Conv2d) and type(module) is not nn.Conv2d:
            module.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]


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


class Part(BaseModule):
    """Base of the networks' parts: holds the configs that its layers are built with.

    Args:
        conv_cfg: Convolution of every layer.
        norm_cfg: Norm of every layer that has one.
        act_cfg: Activation of every layer that has one.
        init_cfg: Initialisation, as in mmengine.
    """

    def __init__(self, conv_cfg: dict | None = None, norm_cfg: dict | None = dict(type='BN'),
                 act_cfg: dict | None = dict(type='ReLU'), init_cfg: dict | list | None = None) -> None:
        super().__init__(init_cfg)
        self.cfgs = dict(conv_cfg=conv_cfg, norm_cfg=norm_cfg, act_cfg=act_cfg)


class StagedPart(Part):
    """Base of the parts that run a ``stem`` and, one after the other, ``stages``, and return the map of each."""

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Return the maps, shallow to deep."""
        return tuple(accumulate(self.stages, lambda x, stage: stage(x), initial=self.stem(x)))


def strided_stages(block: Callable[..., nn.Module], widths: Sequence[int], depths: Sequence[int],
                   **settings: Any) -> nn.ModuleList:
    """Build stages of blocks; the first block of each halves the map and changes its width.

    Args:
        block: Makes a block of channels of the input, channels of the output, ``stride``, and the settings.
        widths: Channels of the input, then of each stage.
        depths: Blocks of each stage.
        settings: Handed to every block.

    Example:
        >>> stages = strided_stages(RepConvModule, (3, 8, 16), (1, 2))
        >>> [len(stage) for stage in stages]
        [1, 2]
    """
    return nn.ModuleList(
        nn.Sequential(*(block(width if i else before, width, stride=1 if i else 2, **settings) for i in range(depth)))
        for before, width, depth in zip(widths, widths[1:], depths))


def resize_to(x: torch.Tensor, like: torch.Tensor, align_corners: bool = False, mode: str = 'bilinear') -> torch.Tensor:
    """Resize a map to the height and width of another one; the same size passes through.

    Args:
        x: Map to resize.
        like: Map of the size to resize to.
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


class RepConvModule(Part):
    """Sum a 3x3 convolution, a 1x1 convolution and the input, each with its norm; one 3x3 convolution after folding.

    The unit of :class:`DetailBranch` with ``reparam``: three paths train better than one and cost nothing at inference,
    where :func:`switch_to_deploy` folds them.

    Args:
        in_channels: Channels of the input.
        out_channels: Channels of the output.
        stride: 1 or 2; the input is added where shapes agree.
        cfgs: ``conv_cfg``, ``norm_cfg`` and ``act_cfg``, see :class:`Part`; the activation follows the sum.

    Shape:
        - Input: ``(N, in_channels, h, w)``.
        - Output: ``(N, out_channels, h/stride, w/stride)``, sides rounded up.

    Source:
        RepVGG (arXiv 2101.03697), Figures 2 and 4.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int = 1, **cfgs: Any) -> None:
        super().__init__(**cfgs)
        norm_cfg, self.act_cfg = self.cfgs['norm_cfg'], self.cfgs['act_cfg']
        linear = dict(self.cfgs, stride=stride, act_cfg=None)
        self.dense = ConvModule(in_channels, out_channels, 3, padding=1, **linear)
        self.point = ConvModule(in_channels, out_channels, 1, **linear)
        self.identity = None
        if stride == 1 and in_channels == out_channels:
            self.identity = build_norm_layer(norm_cfg, in_channels)[1] if norm_cfg else nn.Identity()
        self.activate = build_activation_layer(self.act_cfg) if self.act_cfg else nn.Identity()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the activated sum of the paths."""
        out = self.dense(x) + self.point(x)  # (N, out_channels, h/stride, w/stride)
        return self.activate(out if self.identity is None else out + self.identity(x))

    def folded(self) -> ConvModule | None:
        """Return one plain convolution that computes the same in evaluation mode, or ``None`` where there is none.

        Note:
            Only plain convolutions and batch norms with running statistics can be folded, and only in evaluation mode.
            The activation is shared.
        """
        dense = self.dense.conv
        paths: list[Any] = [(dense, self.dense.norm), (self.point.conv, self.point.norm)]
        if self.identity is not None:
            unit = nn.Conv2d(dense.in_channels, dense.out_channels, 1, bias=False).to(dense.weight).eval()
            nn.init.dirac_(unit.weight)
            paths.append((unit, None if isinstance(self.identity, nn.Identity) else self.identity))
        if any(type(conv) is not nn.Conv2d or not (norm is None or can_fold(norm)) for conv, norm in paths):
            return None
        whole = ConvModule(dense.in_channels, dense.out_channels, 3, stride=dense.stride, padding=1, bias=True,
                           act_cfg=self.act_cfg).to(dense.weight)
        convs = [conv if norm is None else fuse_conv_bn_eval(conv, norm) for conv, norm in paths]
        with torch.no_grad():
            whole.conv.weight.copy_(sum(F.pad(conv.weight, [1 - conv.weight.shape[3] // 2] * 4) for conv in convs))
            whole.conv.bias.copy_(sum(conv.bias for conv in convs if conv.bias is not None))
        if self.act_cfg:
            whole.activate = self.activate
        return whole.eval()
