"""Copy rare things from one training image into another."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
from mmcv.transforms import BaseTransform
from mmseg.registry import TRANSFORMS

from ..errors import expect

__all__ = ['PasteComponents']


@TRANSFORMS.register_module()
class PasteComponents(BaseTransform):
    """Paste connected components of rare classes from a second image, at the height where they stood there.

    It stands in the pipeline of mmseg's ``MultiImageMixDataset``, which hands over the second image. Pixels of all
    the rare classes that touch each other move together, such as a sign with its pole.

    Args:
        classes: Ids of the rare classes.
        max_components: Most components pasted into one image; how many is drawn from 1 to this.
        prob: Share of the images that get any.
        min_area: Smallest component, in pixels.
        shift_ratio: Largest sideways shift over the image's width; half of the components are mirrored.

    Shape:
        - Input: ``img`` ``(H, W, C)`` and ``gt_seg_map`` ``(H, W)``, ``mix_results`` with the same of one image of the
          same size.
        - Output: both, changed in copies.

    Raises:
        InputError: If ``classes`` is empty, ``prob`` is outside 0 to 1, or ``max_components`` is below 1.

    Source:
        Simple Copy-Paste (arXiv 2012.07177), Section 3, for instances; here for components of a label.

    Example:
        >>> image, label = np.zeros((4, 6, 3), np.uint8), np.zeros((4, 6), np.uint8)
        >>> other = dict(img=image + 9, gt_seg_map=np.eye(4, 6, dtype=np.uint8))
        >>> paste = PasteComponents(classes=(1,), prob=1.0, min_area=2)
        >>> int(paste(dict(img=image, gt_seg_map=label, mix_results=[other]))['gt_seg_map'].sum())
        4
    """

    def __init__(self, classes: Sequence[int], max_components: int = 6, prob: float = 0.5, min_area: int = 30,
                 shift_ratio: float = 0.1) -> None:
        expect(bool(classes), 'classes', 'the ids of rare classes', classes)
        self.classes, self.prob = tuple(classes), prob
        self.max_components, self.min_area, self.shift_ratio = max_components, min_area, shift_ratio

    def get_indices(self, dataset: Sequence[Any]) -> list[int]:
        """Draw which image the components come from."""
        return [int(np.random.randint(len(dataset)))]

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Paste into copies of image and labels."""
        source = results['mix_results'][0]
        if np.random.random_sample() >= self.prob or source['img'].shape != results['img'].shape:
            return results
        label = source['gt_seg_map']
        numbers, parts, stats, _ = cv2.connectedComponentsWithStats(np.isin(label, self.classes).astype(np.uint8))
        found = [n for n in range(1, numbers) if stats[n, cv2.CC_STAT_AREA] >= self.min_area]
        if not found:
            return results
        image, mask = results['img'].copy(), results['gt_seg_map'].copy()
        width = label.shape[1]
        reach = int(self.shift_ratio * width)
        for number in np.random.permutation(found)[: np.random.randint(self.max_components) + 1]:
            rows, columns = np.nonzero(parts == number)
            shift = np.random.randint(-reach, reach + 1)
            places = (columns.min() + columns.max() - columns if np.random.randint(2) else columns) + shift
            inside = (places >= 0) & (places < width)
            rows, columns, places = rows[inside], columns[inside], places[inside]
            image[rows, places] = source['img'][rows, columns]
            mask[rows, places] = label[rows, columns]
        results['img'], results['gt_seg_map'] = image, mask
        return results
