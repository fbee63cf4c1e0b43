"""From what a backend computes to the mask: the one function for prediction, deployment, explanation and benchmarks."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from ..models.fast_mask import upsample_argmax
from .preprocess import Prepared, resize_nearest

__all__ = ['to_mask']


def to_mask(output: Any, prepared: Prepared, align_corners: bool = False, threshold: float = 0.5) -> np.ndarray:
    """Return the mask of one image, at the image's size.

    Args:
        output: What a backend computed for the image, an array or a tensor: logits, or classes.
        prepared: What it was computed from.
        align_corners: How logits are resized.
        threshold: Probability above which a network with one output channel sees its class.

    Shape:
        - output: ``(1, K, h', w')`` float logits; ``(1, h, w)`` or ``(1, 1, h, w)`` integer classes.
        - Output: ``(H, W)`` uint8.

    Note:
        Logits are resized to the image in one interpolation, without ever being held at full size.

    Example:
        >>> prepared = Prepared(np.zeros((1, 3, 32, 64), np.float32), (16, 32), (0, 32, 0, 64))
        >>> to_mask(np.zeros((1, 19, 4, 8), np.float32), prepared).shape
        (16, 32)
    """
    output = torch.as_tensor(output)
    top, bottom, left, right = prepared.window
    if not output.is_floating_point():
        classes = output.reshape(output.shape[-2:])[top:bottom, left:right].cpu().numpy()
        return resize_nearest(classes, prepared.size).astype(np.uint8)
    if output.shape[1] == 1:
        settings: dict[str, Any] = dict(mode='bilinear', align_corners=align_corners)
        full = F.interpolate(output, prepared.network_size, **settings)[..., top:bottom, left:right]
        scores = F.interpolate(full, prepared.size, **settings)[0, 0]
        return (scores.sigmoid() > threshold).to(torch.uint8).cpu().numpy()
    mask = upsample_argmax(output, prepared.network_size, align_corners, window=prepared.window,
                           window_size=prepared.size, dtype=torch.uint8)
    return mask[0].cpu().numpy()
