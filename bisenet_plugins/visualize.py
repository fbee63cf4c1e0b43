"""Class maps as pictures: colours, overlays, grids and PNG files.

Letters: H and W are the sides of an image in pixels, K the number of classes. Images are BGR, palettes RGB.
"""

from __future__ import annotations

import io
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image

from .files import write_atomically

__all__ = [
    'as_palette',
    'colourize',
    'displayable',
    'encode_ids',
    'encode_image',
    'encode_palette',
    'overlay',
    'picture_grid',
    'write_picture',
]


def as_palette(colours: Sequence[Sequence[int]] | None, num_classes: int) -> np.ndarray:
    """Bring a dataset's palette into one form, or make colours where there are none.

    Args:
        colours: RGB triples, one a class; None makes well separated hues.
        num_classes: Number of classes that must have a colour.

    Shape:
        - Output: ``(256, 3)`` uint8 RGB; ids without a class, 255 (ignored) among them, are black.

    Raises:
        ValueError: If there are fewer colours than classes.

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
        raise ValueError(f'the palette has {len(colours)} colours, {num_classes} classes want one each')
    palette[: len(colours)] = np.asarray(colours, np.uint8)[:256]
    return palette


def colourize(mask: np.ndarray, palette: np.ndarray) -> np.ndarray:
    """Paint a class map in the classes' colours.

    Shape:
        - Input: ``mask`` ``(H, W)`` uint8, ``palette`` ``(256, 3)`` RGB.
        - Output: ``(H, W, 3)`` uint8 BGR.
    """
    return np.ascontiguousarray(palette[:, ::-1])[mask]


def overlay(image: np.ndarray, mask: np.ndarray, palette: np.ndarray, opacity: float = 0.5) -> np.ndarray:
    """Lay a class map over its image.

    Args:
        image: The BGR image.
        mask: The class map; where it is 255 the image stays as it is.
        palette: As from :func:`as_palette`.
        opacity: Weight of the class colours, 0 to 1.

    Shape:
        - Input: ``image`` ``(H, W, 3)`` uint8, ``mask`` ``(H, W)`` uint8.
        - Output: ``(H, W, 3)`` uint8 BGR.

    Raises:
        ValueError: If the sizes differ or ``opacity`` is not within 0 and 1.

    Example:
        >>> image, mask = np.zeros((2, 2, 3), np.uint8), np.zeros((2, 2), np.uint8)
        >>> painted = overlay(image, mask, as_palette([[200, 0, 0]], 1), 0.5)
        >>> painted[0, 0].tolist()
        [0, 0, 100]
    """
    if image.shape[:2] != mask.shape:
        raise ValueError(f'the image is {image.shape[:2]}, the class map {mask.shape}; equal sides are wanted')
    if not 0.0 <= opacity <= 1.0:
        raise ValueError(f'opacity is {opacity}, a number from 0 to 1 is wanted')
    mixed = cv2.addWeighted(image, 1.0 - opacity, colourize(mask, palette), opacity, 0.0)
    ignored = mask == 255
    if ignored.any():
        mixed[ignored] = image[ignored]
    return mixed


def picture_grid(
    rows: Sequence[Sequence[np.ndarray]], titles: Sequence[str], cell_width: int = 320, gap: int = 4
) -> np.ndarray:
    """Set pictures out in rows below one line of titles.

    Args:
        rows: BGR pictures; each row is scaled to cells of equal size.
        titles: One title a column.
        cell_width: Width of a column in pixels.
        gap: Space between pictures in pixels.

    Shape:
        - Output: ``(H, W, 3)`` uint8 BGR.

    Raises:
        ValueError: If there is no row, or a row has not one picture for each title.

    Example:
        >>> picture_grid([[np.zeros((90, 160, 3), np.uint8)] * 2], ['image', 'truth'], cell_width=80, gap=2).shape
        (73, 162, 3)
    """
    if not rows or any(len(row) != len(titles) for row in rows):
        raise ValueError(f'rows have {[len(row) for row in rows]} pictures, each wants {len(titles)}')
    header = 26
    cells: list[list[np.ndarray]] = []
    for row in rows:
        height = max(1, round(cell_width * row[0].shape[0] / row[0].shape[1]))
        cells.append([cv2.resize(cell, (cell_width, height), interpolation=cv2.INTER_AREA) for cell in row])
    width = len(titles) * (cell_width + gap) - gap
    total = header + sum(row[0].shape[0] + gap for row in cells)
    canvas = np.full((total, width, 3), 255, np.uint8)
    for column, title in enumerate(titles):
        place = (column * (cell_width + gap) + 4, 18)
        cv2.putText(canvas, title, place, cv2.FONT_HERSHEY_SIMPLEX, 0.5, (30, 30, 30), 1, cv2.LINE_AA)
    top = header
    for row in cells:
        for column, cell in enumerate(row):
            left = column * (cell_width + gap)
            canvas[top : top + cell.shape[0], left : left + cell_width] = cell
        top += row[0].shape[0] + gap
    return canvas


def encode_image(image: np.ndarray, suffix: str = '.png') -> bytes:
    """Encode a BGR picture.

    Raises:
        ValueError: If OpenCV cannot write files of this kind.
    """
    try:
        done, encoded = cv2.imencode(suffix, image)
    except cv2.error as error:
        raise ValueError(f'pictures cannot be written as {suffix!r} ({error})') from error
    if not done:
        raise ValueError(f'pictures cannot be written as {suffix!r}')
    return encoded.tobytes()


def encode_palette(mask: np.ndarray, palette: np.ndarray) -> bytes:
    """Encode a class map as an indexed PNG: its pixels are the ids, its colour table the palette.

    Shape:
        - Input: ``mask`` ``(H, W)`` uint8, ``palette`` ``(256, 3)`` RGB.
    """
    picture = Image.new('P', (mask.shape[1], mask.shape[0]))
    picture.frombytes(np.ascontiguousarray(mask).tobytes())
    picture.putpalette(palette.reshape(-1).tolist())
    return _png(picture)


def encode_ids(mask: np.ndarray) -> bytes:
    """Encode a class map as a grey PNG whose values are the ids.

    Shape:
        - Input: ``mask`` ``(H, W)`` uint8.
    """
    return _png(Image.fromarray(mask))


def _png(picture: Image.Image) -> bytes:
    """Encode with PIL, which keeps the colour table."""
    buffer = io.BytesIO()
    picture.save(buffer, format='PNG')
    return buffer.getvalue()


def write_picture(path: str | os.PathLike[str], image: np.ndarray) -> None:
    """Write a BGR picture in one step; the kind follows from the name.

    Args:
        path: Where it goes.
        image: ``(H, W, 3)`` uint8 BGR.
    """
    write_atomically(path, encode_image(image, Path(path).suffix))


def displayable(inputs: Any) -> np.ndarray:
    """Turn a network's raw input into a BGR picture.

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
