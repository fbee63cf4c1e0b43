"""Drawing: palettes, overlays, error and heat maps, grids, and the encoding of images and masks.

Letters: H and W are the sides of an image in pixels, K the number of classes. Images are BGR, palettes RGB.
"""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from .errors import InputError
from .files import write_atomically

__all__ = [
    'as_palette',
    'colourize',
    'displayable',
    'encode_ids',
    'encode_image',
    'encode_palette',
    'error_map',
    'heat_map',
    'image_grid',
    'overlay',
    'write_image',
]


def as_palette(colours: Sequence[Sequence[int]] | None, num_classes: int) -> np.ndarray:
    """Return a palette of 256 colours, generated where the dataset has none.

    Args:
        colours: RGB triples, one for each class; None generates well separated hues.
        num_classes: Number of classes that need a colour.

    Shape:
        - Output: ``(256, 3)`` uint8 RGB; ids without a class, 255 (ignored) among them, are black.

    Raises:
        InputError: If there are fewer colours than classes.

    Example:
        >>> as_palette([[128, 64, 128]], 1)[0].tolist()
        [128, 64, 128]
    """
    palette = np.zeros((256, 3), np.uint8)
    if colours is None:
        hues = np.arange(num_classes) * 180.0 * 0.618034 % 180.0
        hsv = np.stack([hues, np.full(num_classes, 170.0), np.full(num_classes, 230.0)], axis=-1).astype(np.uint8)
        if num_classes:
            palette[:num_classes] = cv2.cvtColor(hsv[None], cv2.COLOR_HSV2RGB)[0]
        return palette
    if len(colours) < num_classes:
        raise InputError(f'expected colours for {num_classes} classes, got {len(colours)}')
    palette[: len(colours)] = np.asarray(colours, np.uint8)[:256]
    return palette


def colourize(mask: np.ndarray, palette: np.ndarray) -> np.ndarray:
    """Return a mask in the classes' colours.

    Shape:
        - Input: ``mask`` ``(H, W)`` uint8, ``palette`` ``(256, 3)`` RGB.
        - Output: ``(H, W, 3)`` uint8 BGR.
    """
    return np.ascontiguousarray(palette[:, ::-1])[mask]


def overlay(image: np.ndarray, mask: np.ndarray, palette: np.ndarray, opacity: float = 0.5) -> np.ndarray:
    """Blend a mask's colours over its image.

    Args:
        image: The BGR image.
        mask: The mask; where it is 255 the image stays as it is.
        palette: As from :func:`as_palette`.
        opacity: Weight of the colours, 0 to 1.

    Shape:
        - Input: ``image`` ``(H, W, 3)`` uint8, ``mask`` ``(H, W)`` uint8.
        - Output: ``(H, W, 3)`` uint8 BGR.

    Raises:
        InputError: If the sizes differ or ``opacity`` is not within 0 and 1.

    Example:
        >>> image, mask = np.zeros((2, 2, 3), np.uint8), np.zeros((2, 2), np.uint8)
        >>> overlay(image, mask, as_palette([[200, 0, 0]], 1), 0.5)[0, 0].tolist()
        [0, 0, 100]
    """
    if image.shape[:2] != mask.shape:
        raise InputError(f'expected a mask of the image\'s size {image.shape[:2]}, got {mask.shape}')
    if not 0.0 <= opacity <= 1.0:
        raise InputError(f'expected opacity from 0 to 1, got {opacity}')
    mixed = cv2.addWeighted(image, 1.0 - opacity, colourize(mask, palette), opacity, 0.0)
    ignored = mask == 255
    if ignored.any():
        mixed[ignored] = image[ignored]
    return mixed


def error_map(image: np.ndarray, mask: np.ndarray, label: np.ndarray, num_classes: int) -> np.ndarray:
    """Return the grey image with wrong pixels red and unlabelled ones black.

    Args:
        image: The BGR image.
        mask: Predicted class of each pixel.
        label: True class of each pixel; ids outside the classes are not labelled.
        num_classes: K.

    Shape:
        - Input: ``(H, W, 3)``, ``(H, W)`` and ``(H, W)``.
        - Output: ``(H, W, 3)`` uint8 BGR.

    Example:
        >>> grey = np.full((1, 3, 3), 100, np.uint8)
        >>> error_map(grey, np.array([[0, 0, 0]]), np.array([[0, 1, 255]]), 2)[0].tolist()
        [[100, 100, 100], [40, 40, 230], [0, 0, 0]]
    """
    painted = np.repeat(image.mean(2, keepdims=True).astype(np.uint8), 3, axis=2)
    painted[mask != label] = (40, 40, 230)
    painted[label >= num_classes] = 0
    return painted


def heat_map(image: np.ndarray, heat: np.ndarray) -> np.ndarray:
    """Blend a map of numbers over an image, from blue (0) to red (1).

    Args:
        image: The BGR image.
        heat: The numbers; they are resized to the image.

    Shape:
        - Input: ``(H, W, 3)`` uint8, and ``(h, w)`` from 0 to 1.
        - Output: ``(H, W, 3)`` uint8 BGR.
    """
    grey = cv2.resize((255 * np.clip(heat, 0, 1)).astype(np.uint8), (image.shape[1], image.shape[0]))
    return cv2.addWeighted(image, 0.5, cv2.applyColorMap(grey, cv2.COLORMAP_JET), 0.5, 0.0)


def image_grid(
    rows: Sequence[Sequence[np.ndarray]], titles: Sequence[str], cell_width: int = 320, gap: int = 4
) -> np.ndarray:
    """Arrange images in rows below one line of titles.

    Args:
        rows: BGR images; each row is scaled to cells of equal size.
        titles: One title for each column.
        cell_width: Width of a column in pixels.
        gap: Space between images in pixels.

    Shape:
        - Output: ``(H, W, 3)`` uint8 BGR.

    Raises:
        InputError: If there is no row, or a row has not one image for each title.

    Example:
        >>> image_grid([[np.zeros((90, 160, 3), np.uint8)] * 2], ['image', 'truth'], cell_width=80, gap=2).shape
        (73, 162, 3)
    """
    if not rows or any(len(row) != len(titles) for row in rows):
        raise InputError(f'expected rows of {len(titles)} images, got {[len(row) for row in rows]}')
    header = 26
    heights = [max(1, round(cell_width * row[0].shape[0] / row[0].shape[1])) for row in rows]
    canvas = np.full((header + sum(heights) + gap * len(rows), len(titles) * (cell_width + gap) - gap, 3), 255,
                     np.uint8)
    top = header
    for row, height in zip(rows, heights):
        for column, image in enumerate(row):
            left = column * (cell_width + gap)
            canvas[top : top + height, left : left + cell_width] = cv2.resize(
                image, (cell_width, height), interpolation=cv2.INTER_AREA)
        top += height + gap
    for column, title in enumerate(titles):
        place = (column * (cell_width + gap) + 4, 18)
        cv2.putText(canvas, title, place, cv2.FONT_HERSHEY_SIMPLEX, 0.5, (30, 30, 30), 1, cv2.LINE_AA)
    return canvas


def encode_image(image: np.ndarray, suffix: str = '.png', quality: int = 95) -> bytes:
    """Encode a BGR image.

    Args:
        image: ``(H, W, 3)`` uint8 BGR.
        suffix: File suffix of the format.
        quality: Quality of a JPEG, 0 to 100.

    Raises:
        InputError: If OpenCV has no encoder for the format.
    """
    settings = [cv2.IMWRITE_JPEG_QUALITY, quality] if suffix.lower() in ('.jpg', '.jpeg') else []
    try:
        done, encoded = cv2.imencode(suffix, image, settings)
    except cv2.error as error:
        raise InputError(f'expected the suffix of an image format, got {suffix!r} ({error})') from error
    if not done:
        raise InputError(f'expected the suffix of an image format, got {suffix!r}')
    return encoded.tobytes()


def encode_palette(mask: np.ndarray, palette: np.ndarray) -> bytes:
    """Encode a mask as an indexed PNG: its pixels are the ids, its colour table the palette.

    Shape:
        - Input: ``mask`` ``(H, W)`` uint8, ``palette`` ``(256, 3)`` RGB.
    """
    height, width = mask.shape
    rows = np.zeros((height, width + 1), np.uint8)  # each row behind the number of its filter, 0 for none
    rows[:, 1:] = mask
    chunks = {b'IHDR': struct.pack('>2I5B', width, height, 8, 3, 0, 0, 0), b'PLTE': palette.tobytes(),
              b'IDAT': zlib.compress(rows.tobytes()), b'IEND': b''}
    return b'\x89PNG\r\n\x1a\n' + b''.join(
        struct.pack('>I', len(data)) + kind + data + struct.pack('>I', zlib.crc32(kind + data))
        for kind, data in chunks.items())


def encode_ids(mask: np.ndarray) -> bytes:
    """Encode a mask as a grey PNG whose values are the ids.

    Shape:
        - Input: ``mask`` ``(H, W)`` uint8.
    """
    return encode_image(mask, '.png')


def write_image(path: str | os.PathLike[str], image: np.ndarray) -> None:
    """Write a BGR image atomically; the format follows from the name.

    Args:
        path: The file.
        image: ``(H, W, 3)`` uint8 BGR.
    """
    write_atomically(path, encode_image(image, Path(path).suffix))


def displayable(inputs: Any) -> np.ndarray:
    """Turn the test pipeline's output into a BGR image.

    Args:
        inputs: ``(C, H, W)`` tensor as the test pipeline packs it; the first three channels are shown, a single one as
            grey.

    Shape:
        - Output: ``(H, W, 3)`` uint8.
    """
    array = inputs.detach().cpu().numpy().transpose(1, 2, 0)
    if array.dtype != np.uint8:
        low, high = float(array.min()), float(array.max())
        if low < 0.0 or high <= 1.0:  # already normalised by the pipeline: stretch to the full range
            array = (array - low) / max(high - low, 1e-12) * 255.0
        array = np.clip(array, 0, 255).astype(np.uint8)
    array = array[..., :3] if array.shape[2] >= 3 else np.repeat(array[..., :1], 3, axis=2)
    return np.ascontiguousarray(array)
