"""The form of a network that predicts fastest with PyTorch alone.

Each step leaves the numbers as they were within float noise: batch norms are folded into convolutions, maps are kept
channels-last, and on a CPU wide convolutions of 3 x 3 take fewer multiplications and a ReLU is computed inside the
convolution before it.
"""

from __future__ import annotations

import copy
from typing import Any, TypeVar

import torch
from mmcv.cnn import ConvModule
from torch import Tensor, nn

from .fuse import switch_to_deploy
from .winograd import WinogradConv

__all__ = ['fast_form', 'fuse_relu', 'use_winograd']

Network = TypeVar('Network', bound=nn.Module)


def fast_form(model: Network) -> Network:
    """Copy a network into the form that predicts fastest on its device; the original stays as it is.

    Between a loaded checkpoint and prediction. The copy cannot be trained, and does not hear of later changes to the
    original's weights.

    Args:
        model: A segmentor or a part of one, on the device where it is to run.

    Example:
        >>> from bisenet_plugins.models import DetailBranch
        >>> net, image = DetailBranch(width_mult=0.25).eval(), torch.rand(1, 3, 32, 32)
        >>> with torch.inference_mode():
        ...     torch.testing.assert_close(fast_form(net)(image)[0], net(image)[0], rtol=1e-4, atol=1e-4)
    """
    fast = switch_to_deploy(copy.deepcopy(model)).requires_grad_(False)
    first = next(fast.parameters(), None)
    if first is None:
        return fast
    fast.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    if first.device.type == 'cpu' and first.dtype == torch.float32:
        use_winograd(fast)
        fuse_relu(fast)
    return fast


def use_winograd(model: nn.Module) -> int:
    """Compute wide convolutions of 3 x 3 as :class:`~.winograd.WinogradConv`, in place.

    Args:
        model: A network in evaluation mode on the CPU.

    Returns:
        How many convolutions were changed.
    """
    wide = [(parent, name, child) for parent in model.modules() for name, child in parent.named_children()
            if WinogradConv.fits(child)]
    for parent, name, child in wide:
        setattr(parent, name, WinogradConv(child))  # type: ignore[arg-type]
    return len(wide)


def fuse_relu(model: nn.Module) -> int:
    """Let convolutions compute the ReLU behind them, in place.

    Args:
        model: A network in evaluation mode on the CPU whose batch norms are folded.

    Returns:
        How many convolutions were changed: where PyTorch has no oneDNN, only those that
        :func:`use_winograd` changed before.

    Note:
        Changed are mmcv's ``ConvModule`` objects that convolve, do not normalise and end in a ReLU.
    """
    works = _works()
    count = 0
    for module in model.modules():
        if not isinstance(module, ConvModule) or not _ends_in_relu(module):
            continue
        if isinstance(module.conv, WinogradConv):
            module.conv.relu = True
        elif works and type(module.conv) is nn.Conv2d and _is_plain(module.conv):
            module.conv = _ConvReLU(module.conv)
        else:
            continue
        module.activate = nn.Identity()
        count += 1
    return count


def _ends_in_relu(module: ConvModule) -> bool:
    """Tell whether a module is a convolution and a ReLU, and nothing more."""
    norm = getattr(module, module.norm_name) if module.norm_name else None
    return (
        not module.with_explicit_padding
        and (norm is None or isinstance(norm, nn.Identity))
        and tuple(module.order) == ('conv', 'norm', 'act')
        and module.with_activation
        and type(module.activate) is nn.ReLU
    )


def _is_plain(conv: nn.Conv2d) -> bool:
    """Tell whether oneDNN's call has all that a convolution has."""
    return conv.padding_mode == 'zeros' and not isinstance(conv.padding, str)


class _ConvReLU(nn.Module):
    """One oneDNN call for a convolution and its ReLU, with the weights laid out ahead where that is possible."""

    def __init__(self, conv: nn.Conv2d) -> None:
        super().__init__()
        self.in_channels, self.out_channels, self.groups = conv.in_channels, conv.out_channels, conv.groups
        self.kernel_size, self.stride = conv.kernel_size, conv.stride
        self.bias = conv.bias
        self.kind: tuple[Any, ...] = (list(conv.padding), list(conv.stride), list(conv.dilation), conv.groups)
        self.weight: Tensor = conv.weight.detach()
        try:
            self.packed = torch.ops.mkldnn._reorder_convolution_weight(
                self.weight, *self.kind, [1, conv.in_channels, 64, 128])
        except RuntimeError:  # the calls of other versions of PyTorch differ
            self.packed = self.weight

    def forward(self, x: Tensor) -> Tensor:
        """Return ``(N, C, h, w)``, never below zero."""
        return torch.ops.mkldnn._convolution_pointwise(x, self.packed, self.bias, *self.kind, 'relu', [], '')


def _works() -> bool:
    """Try the oneDNN call once on a small map, against the two plain calls."""
    if not torch.backends.mkldnn.is_available():
        return False
    conv = nn.Conv2d(4, 4, 3, padding=1)
    with torch.no_grad():
        values = torch.arange(144.0).reshape(4, 4, 3, 3)
        conv.weight.copy_((values * 7).remainder(5) - 2)
        conv.bias.zero_()  # type: ignore[union-attr]
        x = (torch.arange(1024.0).reshape(1, 4, 16, 16) * 3).remainder(7) - 3
        try:
            return torch.equal(_ConvReLU(conv)(x), conv(x).relu())
        except (RuntimeError, AttributeError):
            return False
