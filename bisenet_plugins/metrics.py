"""How well masks match labels: confusion matrix, IoU and accuracy.

Letters: H and W are the sides of an image in pixels, K the number of classes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .errors import InputError, expect

__all__ = ['ONE_CLASS', 'Scores', 'check_ids', 'check_size', 'confusion_matrix', 'score']

# What errors of ids add where there is one class.
ONE_CLASS = '; one class and its background need num_classes=2, out_channels=1'


@dataclass(frozen=True)
class Scores:
    """Scores of a confusion matrix, in percent.

    Args:
        iou: IoU of each class ``(K,)``; NaN for a class that is neither in the labels nor predicted.
        accuracy: Share of each class's labelled pixels that was found ``(K,)``; NaN for a class without labels.
        miou: Mean over the IoUs that are not NaN; NaN if all are.
        pixels: Share of all labelled pixels that is right; NaN without labelled pixels.
    """

    iou: np.ndarray
    accuracy: np.ndarray
    miou: float
    pixels: float


def check_ids(label: np.ndarray, num_classes: int, ignore_index: int, name: str) -> None:
    """Refuse a label with ids that are no classes.

    Args:
        label: True class of each pixel.
        num_classes: How many classes there are.
        ignore_index: Label of pixels that do not count.
        name: What the label is, for the error; the file, where there is one.

    Shape:
        - Input: any.

    Raises:
        InputError: If there is another id; the sentence lists up to eight.

    Example:
        >>> check_ids(np.array([[0, 3]]), 2, 255, 'a.png')
        Traceback (most recent call last):
        bisenet_plugins.errors.InputError: a.png: expected class ids from 0 to 1, or 255 where nothing counts, got 3
    """
    strange = np.unique(label[((label < 0) | (label >= num_classes) | (label % 1 != 0)) & (label != ignore_index)])
    if strange.size:
        listed = ', '.join(map(str, strange[:8].tolist())) + (' and others' if strange.size > 8 else '')
        raise InputError(f'{name}: expected class ids from 0 to {num_classes - 1}, or {ignore_index} where nothing '
                         f'counts, got {listed}{ONE_CLASS if num_classes == 1 else ""}')


def check_size(label: Sequence[int], image: Sequence[int], name: str) -> None:
    """Refuse a label of another size than its image, or with several values a pixel.

    Args:
        label: Shape of the label.
        image: Height and width of the image.
        name: What the label is, for the error; the file, where there is one.

    Raises:
        InputError: If it is; the sentence has both sizes.

    Example:
        >>> check_size((4, 6), (8, 6), 'a.png')
        Traceback (most recent call last):
        bisenet_plugins.errors.InputError: a.png: expected a label of (8, 6), its image's height and width, got (4, 6)
    """
    label, image = tuple(label), tuple(image)
    expect(label == image, name, f"a label of {image}, its image's height and width", label)


def confusion_matrix(mask: np.ndarray, label: np.ndarray, num_classes: int, ignore_index: int = 255,
                     name: str = 'label') -> np.ndarray:
    """Count how often each class was predicted for each class.

    Args:
        mask: Predicted class of each pixel.
        label: True class of each pixel.
        num_classes: K.
        ignore_index: Label of pixels that do not count.
        name: What the label is, for errors.

    Shape:
        - Input: both ``(H, W)`` integers.
        - Output: ``(K, K)`` int64, a row for each true class, a column for each predicted one.

    Raises:
        InputError: If the sizes differ, or the label, or the mask where it counts, holds a number that is no class.

    Example:
        >>> confusion_matrix(np.array([[0, 1, 1]]), np.array([[0, 0, 255]]), 2).tolist()
        [[1, 1], [0, 0]]
    """
    expect(mask.shape == label.shape, name, f"a mask of the label's size {label.shape}", mask.shape)
    check_ids(label, num_classes, ignore_index, name)
    counted = label != ignore_index
    predicted = mask[counted].astype(np.int64)
    if predicted.size and not 0 <= predicted.min() <= predicted.max() < num_classes:
        raise InputError(f'expected a mask of classes 0 to {num_classes - 1}, got {predicted.min()} to '
                         f'{predicted.max()}')
    pairs = label[counted].astype(np.int64) * num_classes + predicted
    return np.bincount(pairs, minlength=num_classes**2).reshape(num_classes, num_classes)


def score(matrix: np.ndarray) -> Scores:
    """Compute IoU and accuracy as mmseg's ``IoUMetric`` does.

    Args:
        matrix: Confusion matrix of one image, or the sum over several.

    Shape:
        - Input: ``(K, K)``.

    Example:
        >>> score(np.array([[3, 1], [0, 4]])).iou.tolist()
        [75.0, 80.0]
    """
    hit, truth, found = np.diag(matrix).astype(float), matrix.sum(1), matrix.sum(0)
    with np.errstate(invalid='ignore', divide='ignore'):
        iou = 100.0 * hit / (truth + found - hit)
        accuracy = 100.0 * hit / truth
        pixels = float(100.0 * hit.sum() / truth.sum())
    known = iou[~np.isnan(iou)]
    return Scores(iou, accuracy, float(known.mean()) if known.size else float('nan'), pixels)
