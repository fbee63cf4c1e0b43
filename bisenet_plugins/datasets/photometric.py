"""Distort colours by tables instead of arithmetic on every pixel."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from mmseg.datasets.transforms import PhotoMetricDistortion
from mmseg.registry import TRANSFORMS

__all__ = ['PhotoMetricDistortionByTable']

_LEVELS = np.arange(256, dtype=np.uint8)


@TRANSFORMS.register_module()
class PhotoMetricDistortionByTable(PhotoMetricDistortion):
    """Change brightness, contrast, saturation and hue as ``PhotoMetricDistortion`` does, only faster.

    It takes that one's place in a training pipeline, with the same arguments, the same random numbers and, bit for bit,
    the same image: a byte has 256 values, so that each step is computed once for each of them.

    Args:
        brightness_delta: Most that is added to every value or taken from it.
        contrast_range: Least and greatest factor on every value.
        saturation_range: Least and greatest factor on the saturation.
        hue_delta: Most that the hue turns, in degrees.

    Shape:
        - Input: ``img`` ``(H, W, 3)`` BGR; other types than uint8 are handed to mmseg's.
        - Output: ``img`` of the same shape, uint8.

    Example:
        >>> distort = PhotoMetricDistortionByTable()
        >>> distort(dict(img=np.full((2, 2, 3), 100, np.uint8)))['img'].shape
        (2, 2, 3)
    """

    def convert(self, img: np.ndarray, alpha: float = 1, beta: float = 0) -> np.ndarray:
        """Multiply by ``alpha`` and add ``beta``, cut to what a byte holds."""
        if img.dtype != np.uint8:
            return super().convert(img, alpha, beta)
        return cv2.LUT(np.ascontiguousarray(img), super().convert(_LEVELS, alpha, beta))

    def hue(self, img: np.ndarray) -> np.ndarray:
        """Turn the hue, in half of the calls."""
        if img.dtype != np.uint8:
            return super().hue(img)
        if np.random.randint(2):
            table: Any = np.stack([_LEVELS] * 3, axis=-1)[None]  # (1, 256, 3)
            img = cv2.cvtColor(img, cv2.COLOR_BGR2HSV)
            table[0, :, 0] = (_LEVELS.astype(int) + np.random.randint(-self.hue_delta, self.hue_delta)) % 180
            img = cv2.cvtColor(cv2.LUT(img, table), cv2.COLOR_HSV2BGR)
        return img
