"""Class maps from any output, agreement between two of them, and the mean intersection over union."""

from __future__ import annotations

import numpy as np

__all__ = ['MeanIoU', 'mask_of', 'resize_nearest']


def resize_nearest(mask: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Bring a class map to another size.

    Args:
        mask: Class map.
        size: Height and width wanted.

    Shape:
        - mask: ``(h, w)``.
        - Output: ``(H, W)``, same type.

    Example:
        >>> resize_nearest(np.array([[1, 2]]), (2, 4)).tolist()
        [[1, 1, 2, 2], [1, 1, 2, 2]]
    """
    if mask.shape == tuple(size):
        return mask
    rows = (np.arange(size[0]) * mask.shape[0] // size[0])[:, None]
    columns = np.arange(size[1]) * mask.shape[1] // size[1]
    return mask[rows, columns]


def mask_of(output: np.ndarray, size: tuple[int, int], align_corners: bool = False) -> np.ndarray:
    """Take the class map of one image from whatever an artefact gives.

    Args:
        output: Class map or scores of a batch of one.
        size: Height and width wanted.
        align_corners: How scores are resized.

    Shape:
        - output: ``(1, H, W)`` or ``(1, 1, H, W)`` integers, or ``(1, K, h, w)`` floats.
        - Output: ``(H, W)`` int64.
    """
    if output.dtype.kind != 'f':
        return resize_nearest(output.reshape(output.shape[-2:]), size).astype(np.int64)
    import torch

    from bisenet_plugins.models.fast_mask import upsample_argmax
    return upsample_argmax(torch.from_numpy(output), (size[0], size[1]), align_corners=align_corners)[0].numpy()


class MeanIoU:
    """Add up images, and give the mean intersection over union in percent, over the classes that occur.

    Args:
        num_classes: Classes; a label of this or more is not counted.

    Raises:
        ValueError: If a class map and its label differ in size.

    Example:
        >>> metric = MeanIoU(2)
        >>> metric.add(np.array([[0, 1]]), np.array([[0, 1]]))
        >>> metric.value
        100.0
    """

    def __init__(self, num_classes: int) -> None:
        self.num_classes = num_classes
        self.confusion = np.zeros((num_classes, num_classes), np.int64)

    def add(self, mask: np.ndarray, label: np.ndarray) -> None:
        """Count one image.

        Args:
            mask: Predicted classes.
            label: True classes.

        Shape:
            - mask, label: ``(H, W)`` integers.
        """
        if mask.shape != label.shape:
            raise ValueError(f'mask is {mask.shape} and label {label.shape}; they must have one size')
        valid = (label >= 0) & (label < self.num_classes)
        pairs = label[valid].astype(np.int64) * self.num_classes + mask[valid].astype(np.int64)
        self.confusion += np.bincount(pairs, minlength=self.num_classes ** 2).reshape(self.confusion.shape)

    @property
    def value(self) -> float:
        """Mean IoU in percent."""
        hit = np.diag(self.confusion).astype(np.float64)
        union = self.confusion.sum(0) + self.confusion.sum(1) - hit
        return float(100 * np.mean(hit[union > 0] / union[union > 0])) if (union > 0).any() else 0.0
