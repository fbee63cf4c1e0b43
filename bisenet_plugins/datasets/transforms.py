"""Scale, crop, pad and resize a training sample in one step.

Letters: H and W are the sides of the image as loaded, h' and w' those it is scaled to, h and w those of the crop, all
in pixels. Sizes of arrays are (height, width), as in ``RandomCrop``; ``scale`` is (width, height), as in ``Resize``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
from mmcv.image import rescale_size
from mmcv.transforms import BaseTransform
from mmseg.registry import TRANSFORMS

from ..errors import expect
from ..metrics import check_size

__all__ = ['RandomScaleCropWarp']

_TRIES = 10  # crops drawn at most until one has enough variety, as in RandomCrop
_RESIZE_IS_FASTER = 4  # OpenCV resizes about so many pixels in the time in which it warps one (measured, 8 bits)


@TRANSFORMS.register_module()
class RandomScaleCropWarp(BaseTransform):
    """Scale at random, crop at random, pad and resize in one step.

    It stands in a training pipeline for ``RandomResize``, ``RandomCrop`` and, where there are any, ``Pad`` and
    ``Resize``. It draws the same random numbers in the same order as these do, so that a seed gives the same scale and
    the same crop.

    Args:
        scale: Size (width, height) that a ratio of 1 scales to.
        ratio_range: Smallest and largest ratio.
        crop_size: Sides (height, width) of the crop in the scaled image.
        size: Sides (height, width) that the crop is resized to; None leaves it as it is.
        keep_ratio: Fit the scaled image into ``scale`` instead of stretching it.
        cat_max_ratio: Draw another crop, ten times at most, while one class covers a greater share of the labelled
            pixels; 1 takes the first.
        focus_classes: Classes that crops are centred on, with ``focus_prob``: one of those that the image has is drawn,
            then one of its pixels.
        focus_prob: Share of the crops that are centred so, where there are ``focus_classes``.
        pad_val: Values beyond the image's right and lower edge, one a channel in the image's order, or one for all.
        seg_pad_val: Label there; also the label that ``cat_max_ratio`` leaves out.
        exact: Return the pixels of the separate transforms. Without, where the crop is resized to a smaller ``size``
            and the loaded image shrinks by 2 at most in all, each output pixel is one bilinear sample of the loaded
            image: faster and sharper, as nothing is enlarged first and averaged after.

    Shape:
        - Input: ``img`` ``(H, W, C)`` or ``(H, W)`` uint8 or float32; each of ``seg_fields`` ``(H, W)``.
        - Output: ``img`` ``size + (C,)``; each of ``seg_fields`` ``size``; both writable copies.

    Raises:
        InputError: If a size has not two positive sides, ``ratio_range`` is not two rising positive numbers, or
            ``cat_max_ratio`` is not above 0 and at most 1, or ``focus_prob`` not from 0 to 1; while running, if a label
            is of another size than its image.

    Note:
        Where the scaled image is more than four times as large as the crop, only what the crop needs is sampled;
        below, scaling the whole is faster. The labels are sampled once in any case.
        Images are sampled bilinearly and not smoothed first, as mmcv's ``imresize`` does it: shrinking by more than 2
        in the scaling itself aliases. Labels are sampled at OpenCV's ``INTER_NEAREST`` places, so they equal those of
        the separate transforms in every pixel. Where ``size`` differs from ``crop_size``, ``cat_max_ratio`` looks at
        the resized labels and not at all of the crop's.

    Example:
        >>> warp = RandomScaleCropWarp(scale=(64, 32), ratio_range=(0.75, 2.0), crop_size=(32, 64), size=(16, 32))
        >>> results = dict(img=np.zeros((32, 64, 3), np.uint8), gt_seg_map=np.zeros((32, 64), np.uint8),
        ...                seg_fields=['gt_seg_map'])
        >>> results = warp(results)
        >>> results['img'].shape, results['gt_seg_map'].shape
        ((16, 32, 3), (16, 32))
    """

    def __init__(self, scale: tuple[int, int], ratio_range: tuple[float, float], crop_size: tuple[int, int],
                 size: tuple[int, int] | None = None, keep_ratio: bool = True, cat_max_ratio: float = 1.0,
                 focus_classes: Sequence[int] = (), focus_prob: float = 0.5, pad_val: float | Sequence[float] = 0,
                 seg_pad_val: int = 255, exact: bool = True) -> None:
        expect(ratio_range[0] <= ratio_range[1], 'ratio_range', 'two rising positive numbers', ratio_range)
        expect(cat_max_ratio > 0, 'cat_max_ratio', 'a number above 0 and at most 1', cat_max_ratio)
        self.focus_classes, self.focus_prob = tuple(focus_classes), focus_prob
        self.scale, self.ratio_range, self.keep_ratio = tuple(scale), tuple(ratio_range), keep_ratio
        self.crop_size, self.size = tuple(crop_size), tuple(size or crop_size)
        self.cat_max_ratio, self.exact = cat_max_ratio, exact
        self.pad_val, self.seg_pad_val = pad_val, seg_pad_val

    def draw_scale(self, sides: tuple[int, int]) -> tuple[int, int]:
        """Draw the sides (h', w') that an image of the sides (H, W) is scaled to."""
        low, high = self.ratio_range
        ratio = np.random.random_sample() * (high - low) + low
        target = (int(self.scale[0] * ratio), int(self.scale[1] * ratio))
        width, height = rescale_size(sides[::-1], target) if self.keep_ratio else target
        return max(1, height), max(1, width)

    def draw_offset(self, scaled: tuple[int, int]) -> tuple[int, int]:
        """Draw the place (y, x) of the crop's first pixel in the scaled image."""
        top, left = (np.random.randint(0, max(side - crop, 0) + 1) for side, crop in zip(scaled, self.crop_size))
        return int(top), int(left)

    def draw_focus(self, label: np.ndarray | None, scaled: tuple[int, int]) -> tuple[int, int] | None:
        """Draw the place (y, x) of the first pixel of a crop around a focus class, or nothing."""
        prob = self.focus_prob if self.focus_classes else 0.0
        if label is None or not prob or np.random.random_sample() >= prob:
            return None
        present = np.intersect1d(label, self.focus_classes)
        if not len(present):
            return None
        places = np.flatnonzero(label == np.random.choice(present))
        pixel = np.unravel_index(places[np.random.randint(len(places))], label.shape)
        offset = []
        for place, side, whole, crop in zip(pixel, label.shape, scaled, self.crop_size):
            centre = (place + 0.5) * whole / side + (np.random.random_sample() - 0.5) * crop / 2
            offset.append(int(np.clip(centre - crop / 2, 0, max(whole - crop, 0))))
        return offset[0], offset[1]

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Replace image and labels."""
        image, fields = results['img'], results.get('seg_fields', [])
        sides = image.shape[:2]
        for field in fields:
            check_size(results[field].shape, sides, results.get('seg_map_path', field))
        scaled = self.draw_scale(sides)
        for attempt in range(_TRIES + 1):
            offset = self.draw_focus(results.get('gt_seg_map'), scaled) or self.draw_offset(scaled)
            labels = {field: self.warp_labels(results[field], scaled, offset) for field in fields}
            last = self.cat_max_ratio == 1 or attempt == _TRIES or 'gt_seg_map' not in labels
            if last or self._is_varied(labels['gt_seg_map']):
                break
        results.update(labels)
        warped = self.warp_image(image, scaled, offset)
        results['img'] = warped.reshape(*warped.shape[:2], *image.shape[2:])  # OpenCV drops a single channel
        results.update(scale=scaled[::-1], scale_factor=(scaled[1] / sides[1], scaled[0] / sides[0]),
                       keep_ratio=self.keep_ratio, img_shape=self.size, pad_shape=self.size)
        return results

    def _is_varied(self, label: np.ndarray) -> bool:
        """Return whether there are two classes and none covers too much."""
        if label.dtype == np.uint8:
            counts = cv2.calcHist([label], [0], None, [256], [0, 256]).ravel()
            counts[self.seg_pad_val] = 0
        else:
            ids, counts = np.unique(label, return_counts=True)
            counts = counts[ids != self.seg_pad_val]
        return bool(np.count_nonzero(counts) > 1 and counts.max() / counts.sum() < self.cat_max_ratio)

    def warp_labels(self, label: np.ndarray, scaled: tuple[int, int], offset: tuple[int, int]) -> np.ndarray:
        """Sample labels for a given draw.

        Args:
            label: ``(H, W)`` labels as loaded.
            scaled: Sides (h', w') of the scaled image.
            offset: Place (y, x) of the crop in it.
        """
        rows, columns = (_nearest_places(*along) for along in zip(
            label.shape[:2], scaled, offset, self.crop_size, self.size))
        out = label.take(rows, 0).take(columns, 1)
        out[rows < 0] = self.seg_pad_val
        out[:, columns < 0] = self.seg_pad_val
        return out

    def warp_image(self, image: np.ndarray, scaled: tuple[int, int], offset: tuple[int, int]) -> np.ndarray:
        """Sample the image for a given draw.

        Args:
            image: ``(H, W, C)`` or ``(H, W)`` image as loaded.
            scaled: Sides (h', w') of the scaled image.
            offset: Place (y, x) of the crop in it.
        """
        inside = [min(part, whole - start) for part, whole, start in zip(self.crop_size, scaled, offset)]  # (h, w)
        steps = tuple(part / out for part, out in zip(self.crop_size, self.size))
        shrink = max(side / whole * step for side, whole, step in zip(image.shape, scaled, steps))
        if self.exact or self.size == self.crop_size or shrink > 2:
            crop = self._pad(_sample(image, scaled, offset, inside, (1.0, 1.0)), self.crop_size)
            return np.ascontiguousarray(crop) if self.size == self.crop_size else cv2.resize(crop, self.size[::-1])
        kept = [min(out, max(1, round(part / step))) for part, step, out in zip(inside, steps, self.size)]
        return self._pad(_sample(image, scaled, offset, kept, steps), self.size)

    def _pad(self, image: np.ndarray, sides: tuple[int, ...]) -> np.ndarray:
        """Append columns and rows."""
        if image.shape[:2] == tuple(sides):
            return image
        out = np.full((*sides, *image.shape[2:]), np.asarray(self.pad_val), image.dtype)
        out[: image.shape[0], : image.shape[1]] = image
        return out


def _nearest_places(side: int, scaled: int, offset: int, crop: int, size: int) -> np.ndarray:
    """Return which source pixel each output pixel takes along one axis; -1 where it takes none.

    The numbers of the pixels go through the very steps that labels would, so that they fall where OpenCV puts them.
    """
    places: Any = np.arange(side, dtype=np.float32)[None]
    places = cv2.resize(places, (scaled, 1), interpolation=cv2.INTER_NEAREST)[:, offset : offset + crop]
    places = np.concatenate([places, np.full((1, crop - places.shape[1]), -1, np.float32)], axis=1)
    return cv2.resize(places, (size, 1), interpolation=cv2.INTER_NEAREST)[0].astype(np.intp)


def _sample(image: np.ndarray, scaled: tuple[int, ...], offset: tuple[int, ...], sides: Sequence[int],
            steps: tuple[float, ...]) -> np.ndarray:
    """Sample an image bilinearly at the places that it would have when scaled; edges are repeated beyond it.

    Args:
        image: The image.
        scaled: Sides that the whole image would be scaled to.
        offset: Place of the first pixel there.
        sides: Number of rows and columns sampled.
        steps: Distance of rows and of columns in pixels of the scaled image.
    """
    height, width = int(sides[0]), int(sides[1])
    if steps == (1.0, 1.0) and scaled[0] * scaled[1] <= _RESIZE_IS_FASTER * height * width:
        whole = cv2.resize(image, (scaled[1], scaled[0]), interpolation=cv2.INTER_LINEAR)
        return whole[offset[0] : offset[0] + height, offset[1] : offset[1] + width]
    matrix = np.zeros((2, 3))
    region = []
    for row, axis, number in ((0, 1, width), (1, 0, height)):  # OpenCV's rows are x, y
        zoom = image.shape[axis] / scaled[axis]
        start = zoom * (offset[axis] + 0.5 * steps[axis]) - 0.5
        end = start + zoom * steps[axis] * (number - 1)
        first = max(0, int(start) - 1)
        region.append(slice(first, min(image.shape[axis], int(end) + 3)))
        matrix[row, row], matrix[row, 2] = zoom * steps[axis], start - first
    part = image[region[1], region[0]]  # what is needed; OpenCV's warp takes sides below 2^15 only
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return cv2.warpAffine(part, matrix, (width, height), flags=flags, borderMode=cv2.BORDER_REPLICATE)
