"""From a uint8 picture to the network's float input in one pass over its pixels.

Letters: H and W the sides of a picture in pixels, C its channels.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np

__all__ = ['Normaliser', 'swaps_channels']


def swaps_channels(preprocessor: Any) -> bool:
    """Tell whether a ``SegDataPreProcessor`` reverses the order of channels.

    Args:
        preprocessor: The built preprocessor; mmseg 1.2 and its successors name the setting differently.

    Example:
        >>> from mmseg.models import SegDataPreProcessor
        >>> swaps_channels(SegDataPreProcessor(bgr_to_rgb=True)), swaps_channels(SegDataPreProcessor())
        (True, False)
    """
    names = ('_channel_conversion', 'channel_conversion')
    return any(bool(getattr(preprocessor, name, False)) for name in names)


class Normaliser:
    """Subtract the mean and divide by the deviation by looking the 256 possible results up.

    Between resizing and the network, for :class:`Predictor` and for runtimes that take a normalised input.

    Args:
        mean: Mean of each channel, in the network's order.
        std: Deviation of each channel, in the network's order.
        swap: Whether the network's order of channels is the picture's reversed (BGR pictures, RGB networks).

    Shape:
        - Input: ``(H, W, 3)`` uint8.
        - Output: ``(H, W, 3)`` float32.

    Raises:
        ValueError: If ``mean`` and ``std`` have not three entries each.

    Note:
        Equal to ``(x - mean) / std`` in float32 in every bit, without the copies that this makes.

    Example:
        >>> normalise = Normaliser([1.0, 2.0, 3.0], [2.0, 2.0, 2.0], swap=True)
        >>> normalise(np.full((1, 1, 3), 5, np.uint8))[0, 0].tolist()
        [2.0, 1.5, 1.0]
    """

    def __init__(self, mean: Sequence[float], std: Sequence[float], swap: bool) -> None:
        if len(mean) != 3 or len(std) != 3:
            raise ValueError(f'mean and std have {len(mean)} and {len(std)} entries, three each are wanted')
        values = np.arange(256, dtype=np.float32)[:, None]
        table: Any = (values - np.asarray(mean, np.float32)) / np.asarray(std, np.float32)  # (256, 3)
        self.table: Any = np.ascontiguousarray(table[:, None])  # (256, 1, 3), as OpenCV wants it
        self.swap = swap

    def __call__(self, image: np.ndarray) -> np.ndarray:
        """Normalise a picture into rows of pixels, which is torch's channels-last layout."""
        if self.swap:
            image = cv2.cvtColor(image, cv2.COLOR_BGR2RGB)
        return np.asarray(cv2.LUT(image, self.table))

    def planes(self, image: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
        """Normalise a picture into one plane a channel, the layout that exported graphs take.

        Args:
            image: As in a call.
            out: Where to write, from an earlier call; a new array when left out.

        Shape:
            - Output: ``(3, H, W)`` float32.

        Example:
            >>> picture = np.random.default_rng(0).integers(0, 256, (4, 6, 3), dtype=np.uint8)
            >>> normalise = Normaliser([1.0, 2.0, 3.0], [2.0, 3.0, 4.0], swap=True)
            >>> bool((normalise.planes(picture) == normalise(picture).transpose(2, 0, 1)).all())
            True
        """
        if out is None:
            out = np.empty((3, *image.shape[:2]), np.float32)
        for channel in range(3):
            plane = cv2.extractChannel(image, 2 - channel if self.swap else channel)
            cv2.LUT(plane, np.ascontiguousarray(self.table[:, :, channel]), dst=out[channel])
        return out
