"""The form of a network that only predicts."""

from __future__ import annotations

from typing import TypeVar

from mmcv.cnn import fuse_conv_bn
from torch import nn

from .layers import RepConvModule

Network = TypeVar('Network', bound=nn.Module)


def switch_to_deploy(model: Network) -> Network:
    """Fold every batch norm into the convolution before it and drop the auxiliary heads, in place.

    For any part or whole segmentor, after training and before prediction or export.

    Args:
        model: A part or a segmentor; it is left in evaluation mode.

    Returns:
        The same object.

    Note:
        The folding is mmcv's ``fuse_conv_bn``. A batch norm that no convolution precedes stays: the first of the
        context embedding does. The result cannot be trained on.

    Source:
        BiSeNet V2, Section "Inference" (auxiliary heads are discarded).

    Example:
        >>> import torch
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
    return fuse_conv_bn(model)
