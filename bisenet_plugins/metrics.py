"""How well class maps fit their labels: confusion matrix, IoU and accuracy.

Letters: H and W are the sides of a picture in pixels, K the number of classes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from mmseg.registry import DATASETS

__all__ = ['Scores', 'confusion_matrix', 'labelled_pictures', 'score']


@dataclass(frozen=True)
class Scores:
    """What a confusion matrix says, in percent.

    Args:
        iou: IoU of each class; not a number for a class that occurs neither in labels nor in predictions.
        accuracy: Share of each class's labelled pixels that were found.
        miou: Mean of the IoUs that are numbers.
        pixels: Share of all labelled pixels that are right.
    """

    iou: np.ndarray
    accuracy: np.ndarray
    miou: float
    pixels: float


def confusion_matrix(prediction: np.ndarray, label: np.ndarray, num_classes: int) -> np.ndarray:
    """Count how often each class was taken for each.

    Args:
        prediction: The network's class map.
        label: The true one; ids that are no class, 255 among them, are left out.
        num_classes: K.

    Shape:
        - Input: both ``(H, W)``.
        - Output: ``(K, K)`` int64, a row for each true class, a column for each predicted one.

    Raises:
        ValueError: If the two sizes differ.

    Example:
        >>> confusion_matrix(np.array([[0, 1, 1]]), np.array([[0, 0, 255]]), 2).tolist()
        [[1, 1], [0, 0]]
    """
    if prediction.shape != label.shape:
        raise ValueError(f'the class map is {prediction.shape}, its label {label.shape}; equal sides are wanted')
    kept = label < num_classes
    pairs = label[kept].astype(np.int64) * num_classes + prediction[kept]
    return np.bincount(pairs, minlength=num_classes**2).reshape(num_classes, num_classes)


def score(matrix: np.ndarray) -> Scores:
    """Compute IoU and accuracy as mmseg's ``IoUMetric`` does.

    Args:
        matrix: As from :func:`confusion_matrix`, or the sum of several.

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
    known = iou[~np.isnan(iou)]
    total = matrix.sum()
    return Scores(iou, accuracy, float(known.mean()) if known.size else float('nan'),
                  float(100.0 * hit.sum() / total) if total else float('nan'))


def labelled_pictures(dataset: dict[str, Any]) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield the pictures of a dataset with their labels, as they are before any transform.

    Args:
        dataset: Config of the dataset; of its pipeline only the loading counts.

    Shape:
        - Output: BGR pictures ``(H, W, 3)`` uint8 and labels ``(H, W)``.
    """
    cfg = dict(dataset)
    loaders = [step for step in cfg.get('pipeline', ()) if str(step['type']).rpartition('.')[2].startswith('Load')]
    names = {str(step['type']).rpartition('.')[2] for step in loaders}
    if 'LoadAnnotations' not in names:
        loaders.append(dict(type='LoadAnnotations'))
    if len(names - {'LoadAnnotations'}) == 0:
        loaders.insert(0, dict(type='LoadImageFromFile'))
    cfg['pipeline'] = loaders
    built = DATASETS.build(cfg)
    for number in range(len(built)):
        item = built[number]
        yield item['img'], item['gt_seg_map']
