"""The form of a network that predicts fastest on a CPU: OpenVINO computes it, in this process and without a file.

Letters: N batch, C channels, K classes, H and W the sides of a picture, h and w those of a map, in pixels.
"""

from __future__ import annotations

import copy
import warnings
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ..models.fuse import switch_to_deploy

__all__ = ['openvino_form']

EXAMPLE = (129, 193)
"""Sides of the picture that shows the network's way: one above powers of two, where halving up and down differ at every
stage, so that no resizing is left out because it happened to change nothing."""


def openvino_form(model: Any) -> Any:
    """Copy a segmentor whose backbone, neck and decode head OpenVINO computes, in single precision.

    Between a loaded checkpoint and prediction, in the place of :func:`~.fast_network.fast_form`. Preprocessing and the
    way from logits to class maps stay the segmentor's own, so that the class maps are the same, except where classes
    tie within float noise.

    Args:
        model: A segmentor of mmseg's ``EncoderDecoder`` kind on the CPU; it stays as it is.

    Raises:
        MissingBackendError: If openvino is not installed.
        ValueError: If OpenVINO cannot convert the network; the cause hangs on the error.

    Note:
        Converting takes seconds, once. Pictures may have any size and batches any length. As many threads as PyTorch
        has are taken.
    """
    from .sessions import OpenVINOSession, require  # not above: most users predict without deployment

    require('openvino')
    import openvino

    fast = switch_to_deploy(copy.deepcopy(model)).requires_grad_(False)
    channels = next(layer.in_channels for layer in fast.backbone.modules() if isinstance(layer, nn.Conv2d))
    try:
        with torch.inference_mode(), warnings.catch_warnings():
            warnings.simplefilter('ignore', torch.jit.TracerWarning)
            converted = openvino.convert_model(_Logits(fast), example_input=torch.rand(1, channels, *EXAMPLE))
        converted.reshape([-1, channels, -1, -1])
        session = OpenVINOSession.from_model(converted, torch.get_num_threads())
    except Exception as error:  # OpenVINO's errors have no class of their own above Exception
        raise ValueError(f'OpenVINO cannot convert {type(model.backbone).__name__} with '
                         f'{type(model.decode_head).__name__}; its first line says: {_first_line(error)}') from error
    fast.backbone, fast.neck = nn.Identity(), None
    fast.decode_head.forward = _Converted(session)
    return fast


class _Logits(nn.Module):
    """The part of a segmentor that is converted: images ``(N, C, H, W)`` to logits ``(N, K, h, w)``."""

    def __init__(self, segmentor: Any) -> None:
        super().__init__()
        self.segmentor = segmentor

    def forward(self, images: Tensor) -> Tensor:
        """Return the decode head's logits."""
        return self.segmentor.decode_head.forward(self.segmentor.extract_feat(images))


class _Converted:
    """Stands in a decode head's place: what reaches it are the images, for the backbone passes them on."""

    def __init__(self, session: Any) -> None:
        self.session = session

    def __call__(self, images: Tensor) -> Tensor:
        """Return logits ``(N, K, h, w)``."""
        return torch.from_numpy(self.session(np.ascontiguousarray(images.numpy())))


def _first_line(error: Exception) -> str:
    """Return the first line of an error that says something."""
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
