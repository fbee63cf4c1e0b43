"""A predictor without a network."""

import numpy as np

from bisenet_plugins.runtime.segmentation import Segmentation
from bisenet_plugins.visualize import as_palette


def segmented(masks, colours=None, num_classes=9):
    """Make what ``Predictor.segment`` is of a function from images to masks."""
    palette = as_palette(colours, num_classes)
    names = tuple(f'class {number}' for number in range(num_classes))

    def segment(images, scores=False):
        found, eye = masks(images), np.eye(num_classes, dtype=np.float32)
        return [Segmentation(mask, image, names, palette, eye[mask].transpose(2, 0, 1) if scores else None, 0.001)
                for mask, image in zip(found, images, strict=True)]

    return segment
