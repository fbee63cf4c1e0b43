"""From what a backend computes to the mask: the one function for prediction, deployment, explanation and benchmarks."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..errors import InputError
from ..fast_mask import interpolate, upsample_argmax
from .preprocess import Prepared, resize_nearest

__all__ = ['to_mask', 'to_scores']


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

    Raises:
        InputError: If logits are not all finite.

    Note:
        Logits are resized to the image in one interpolation, without ever being held at full size.

    Example:
        >>> prepared = Prepared(np.zeros((1, 3, 32, 64), np.float32), (16, 32), (0, 32, 0, 64))
        >>> to_mask(np.zeros((1, 19, 4, 8), np.float32), prepared).shape
        (16, 32)
    """
    if not isinstance(output, np.ndarray):
        output = output.detach().float() if output.is_floating_point() else output.detach()
        output = output.cpu().numpy() if output.device.type == 'cpu' or output.shape[1] == 1 else output
    top, bottom, left, right = prepared.window
    settings: dict[str, Any] = dict(align_corners=align_corners, window=prepared.window, window_size=prepared.size)
    if isinstance(output, np.ndarray) and output.dtype.kind != 'f':
        return resize_nearest(output.reshape(output.shape[-2:])[top:bottom, left:right], prepared.size).astype(np.uint8)
    _expect_finite(output)
    if not isinstance(output, np.ndarray):
        return upsample_argmax(output, prepared.network_size, **settings)[0].byte().cpu().numpy()
    if output.shape[1] == 1:
        scores = interpolate(output, prepared.network_size, **settings)[0, 0]
        return (1 / (1 + np.exp(-scores)) > threshold).astype(np.uint8)
    return upsample_argmax(output, prepared.network_size, **settings, dtype=np.uint8)[0]


def to_scores(output: Any, prepared: Prepared, align_corners: bool = False) -> np.ndarray:
    """Return the probability of each class at each pixel of one image.

    Args:
        output: Logits that a backend computed for the image, an array or a tensor.
        prepared: What they were computed from.
        align_corners: How logits are resized.

    Shape:
        - output: ``(1, K, h', w')``.
        - Output: ``(K, H, W)`` float32; its largest class is that of :func:`to_mask`.

    Raises:
        InputError: If the backend computes classes, not logits, or the logits are not all finite.

    Example:
        >>> prepared = Prepared(np.zeros((1, 3, 32, 64), np.float32), (16, 32), (0, 32, 0, 64))
        >>> to_scores(np.zeros((1, 4, 4, 8), np.float32), prepared)[:, 0, 0].tolist()
        [0.25, 0.25, 0.25, 0.25]
    """
    array = output if isinstance(output, np.ndarray) else output.detach().float().cpu().numpy()
    if array.dtype.kind != 'f':
        raise InputError('scores: expected a network that gives logits, as "export --output logits" and logits_s8 '
                         'write it, got one that gives classes')
    _expect_finite(array)
    scores = interpolate(array.astype(np.float32), prepared.network_size, align_corners, prepared.window, prepared.size)
    scores = scores[0].astype(np.float32)
    if len(scores) == 1:
        return 1 / (1 + np.exp(-scores))
    scores = np.exp(scores - scores.max(0))
    return scores / scores.sum(0)


def _expect_finite(output: Any) -> None:
    """Refuse logits, an array or a tensor, that no network whose weights and input are whole computes."""
    if not (np.isfinite(output) if isinstance(output, np.ndarray) else output.isfinite()).all():
        raise InputError("the network's output: expected finite numbers, got NaN or infinity; its weights or the input "
                         'are damaged')
