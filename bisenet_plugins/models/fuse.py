"""Networks that only predict: folded batch norms, no auxiliary heads, convolutions that end in their ReLU."""

from __future__ import annotations

import copy
from typing import Any, TypeVar

import torch
from mmcv.cnn import ConvModule, fuse_conv_bn
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from .layers import RepConvModule

Network = TypeVar('Network', bound=nn.Module)
_FORWARDS = (_BatchNorm.forward, nn.SyncBatchNorm.forward)


def switch_to_deploy(model: Network) -> Network:
    """Fold every batch norm into the convolution before it and drop the auxiliary heads, in place.

    For any part or whole segmentor, after training and before prediction or export.

    Args:
        model: A part or a segmentor; it is left in evaluation mode.

    Returns:
        The same object.

    Note:
        The folding is mmcv's ``fuse_conv_bn``, after that of every ``RepConvModule``.
        A batch norm that no convolution directly precedes stays: the first of the context embedding does, and those of
        DDRNet's and PIDNet's pyramid pooling, which come before their convolutions. So does one that computes more
        than a batch norm, as timm's with an activation. The result cannot be trained on.

    Source:
        BiSeNet V2, Section "Inference" (auxiliary heads are discarded).

    Example:
        >>> from bisenet_plugins.models import DetailBranch
        >>> net, image = DetailBranch(width_mult=0.25).eval(), torch.rand(1, 3, 32, 32)
        >>> before, after = net(image)[0], switch_to_deploy(net)(image)[0]
        >>> torch.testing.assert_close(before, after, rtol=1e-4, atol=1e-4)
        >>> any(isinstance(m, nn.BatchNorm2d) for m in net.modules())
        False
    """
    model.eval()
    if getattr(model, 'with_auxiliary_head', False):
        setattr(model, 'auxiliary_head', None)  # noqa: B010, the name is a segmentor's, not every module's
    for parent in list(model.modules()):
        for name, child in parent.named_children():
            if isinstance(child, RepConvModule) and (folded := child.folded()) is not None:
                setattr(parent, name, folded)
            before = isinstance(parent, ConvModule) and 'conv,norm' not in ','.join(parent.order)
            if isinstance(child, _BatchNorm) and (before or type(child).forward not in _FORWARDS):
                setattr(parent, name, nn.Sequential(child))  # out of fuse_conv_bn's sight
    return fuse_conv_bn(model)


def fused_copy(model: Network) -> Network:
    """Copy a network and bring the copy to what predicts fastest on its device; the original stays as it is.

    Between a loaded checkpoint and prediction. The numbers are equal up to rounding.

    Args:
        model: A segmentor or a part of one, on the device where it is to run.

    Example:
        >>> from bisenet_plugins.models import DetailBranch
        >>> net, image = DetailBranch(width_mult=0.25).eval(), torch.rand(1, 3, 32, 32)
        >>> with torch.inference_mode():
        ...     torch.testing.assert_close(fused_copy(net)(image)[0], net(image)[0], rtol=1e-4, atol=1e-4)
    """
    fast = switch_to_deploy(copy.deepcopy(model)).requires_grad_(False)
    first = next(fast.parameters(), None)
    if first is None:
        return fast
    fast.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    if first.device.type == 'cpu' and first.dtype == torch.float32:
        fuse_relu(fast)
    return fast


def fuse_relu(model: nn.Module) -> int:
    """Let convolutions compute the ReLU behind them, in place.

    Args:
        model: A network in evaluation mode on the CPU whose batch norms are folded.

    Returns:
        How many of mmcv's ``ConvModule`` were changed; none where PyTorch has no oneDNN.
    """
    if not _has_fused_relu():
        return 0
    count = 0
    for module in model.modules():
        if isinstance(module, ConvModule) and _ends_in_relu(module):
            module.conv = _ConvReLU(module.conv)
            module.activate = nn.Identity()
            count += 1
    return count


def _ends_in_relu(module: ConvModule) -> bool:
    """Return whether a module is a plain convolution and a ReLU, and nothing more."""
    norm = getattr(module, module.norm_name) if module.norm_name else None
    return (
        not module.with_explicit_padding
        and (norm is None or isinstance(norm, nn.Identity))
        and tuple(module.order) == ('conv', 'norm', 'act')
        and module.with_activation
        and type(module.activate) is nn.ReLU
        and type(module.conv) is nn.Conv2d
        and module.conv.padding_mode == 'zeros'
        and not isinstance(module.conv.padding, str))


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


def _has_fused_relu() -> bool:
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
