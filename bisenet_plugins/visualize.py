"""Drawing: palettes, overlays, error and heat maps, grids, and the encoding of images and masks.

Letters: H and W are the sides of an image in pixels, K the number of classes. Images are BGR, palettes RGB.
"""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from .errors import expect
from .files import write_atomically

__all__ = ['apart', 'as_palette', 'colourize', 'displayable', 'encode_ids', 'encode_image', 'encode_palette',
           'error_map', 'heat_map', 'image_grid', 'legend', 'overlay', 'write_image']


def as_palette(colours: Sequence[Sequence[int]] | None, num_classes: int) -> np.ndarray:
    """Return a palette of 256 colours, or of one for each class, generated where the dataset has none.

    Args:
        colours: RGB triples, one for each class; None generates well separated hues.
        num_classes: Number of classes that need a colour.

    Shape:
        - Output: ``(256, 3)`` uint8 RGB, longer for more classes; ids without a class, 255 (ignored) among them, are
          black.

    Raises:
        InputError: If there are fewer colours than classes.

    Example:
        >>> as_palette([[128, 64, 128]], 1)[0].tolist()
        [128, 64, 128]
    """
    palette = np.zeros((max(256, num_classes), 3), np.uint8)
    if colours is None:
        hues = np.arange(num_classes) * 180.0 * 0.618034 % 180.0
        hsv = np.stack([hues, np.full(num_classes, 170.0), np.full(num_classes, 230.0)], axis=-1).astype(np.uint8)
        if num_classes:
            palette[:num_classes] = cv2.cvtColor(hsv[None], cv2.COLOR_HSV2RGB)[0]
        return palette
    expect(len(colours) >= num_classes, 'colours', f'{num_classes} of them', len(colours))
    palette[: len(colours)] = np.asarray(colours, np.uint8)[: len(palette)]
    return palette


def apart(palette: np.ndarray, num_classes: int) -> np.ndarray:
    """Return colours that stay apart over a photograph, each as near to the palette's own as that allows.

    Args:
        palette: As from :func:`as_palette`.
        num_classes: Number of classes.

    Shape:
        - Output: ``(256, 3)`` uint8 RGB, to be blended; maps of ids keep the dataset's palette.

    Note:
        Distances are those of CIELAB with lightness at a half, since a blend takes its lightness from the photograph.
        Most datasets have colours that a blend makes equal, such as CamVid's Road and Car.

    Example:
        >>> camvid = as_palette([[128, 64, 128], [64, 0, 128]], 2)
        >>> apart(camvid, 2)[:2].tolist()
        [[102, 0, 102], [102, 51, 255]]
    """
    return _apart(palette.tobytes(), num_classes)


@lru_cache(maxsize=16)
def _apart(content: bytes, num_classes: int) -> np.ndarray:
    palette = np.frombuffer(content, np.uint8).reshape(256, 3)
    grid = np.mgrid[0:256:51, 0:256:51, 0:256:51].reshape(3, -1).T
    grid = grid[np.ptp(grid, axis=1) >= 102].astype(np.uint8)  # greys vanish over a photograph
    own, places = _lab(palette[:num_classes]), _lab(grid)
    chosen, nearest = palette.copy(), np.full(len(grid), np.inf)
    for number in range(num_classes):
        distance = np.linalg.norm(places - own[number], axis=1)
        best = int(np.argmin(np.where(nearest >= min(64.0, 0.9 * nearest.max()), distance, np.inf)))
        chosen[number] = grid[best]
        nearest = np.minimum(nearest, np.linalg.norm(places - places[best], axis=1))
    return chosen


def _lab(colours: np.ndarray) -> np.ndarray:
    """Turn RGB bytes into CIELAB with lightness at a half."""
    lab = cv2.cvtColor(colours[None].astype(np.float32) / 255, cv2.COLOR_RGB2LAB)[0]
    return lab * np.array([0.5, 1, 1], np.float32)


def legend(image: np.ndarray, entries: Sequence[tuple[str, Sequence[int]]]) -> np.ndarray:
    """Add a strip of names and colours below an image.

    Args:
        image: The BGR image.
        entries: Text and RGB colour of each entry; none leaves the image as it is.

    Shape:
        - Output: ``(H', W', 3)`` uint8 BGR; the image is at the top left, and the strip as wide as the image, or as its
          longest entry where the image is smaller.

    Example:
        >>> legend(np.zeros((90, 160, 3), np.uint8), [('Road', (128, 64, 128)), ('Sky', (0, 0, 255))]).shape
        (120, 160, 3)
    """
    if not entries:
        return image
    height, width = image.shape[:2]
    size = min(max(round(0.035 * min(height, width)), 11), 64)  # of a line of text; drawn twice as large for smoothness
    font, scale, bold = cv2.FONT_HERSHEY_DUPLEX, 2 * size / 30, 1 + size // 48
    cell = max(cv2.getTextSize(text, font, scale, bold)[0][0] for text, _ in entries) // 2 + 3 * size
    wide, line = max(width, cell + size), round(1.7 * size)
    columns = (wide - size) // cell
    tall = -(-len(entries) // columns) * line + size
    tall += (height + tall) % 2  # an even sum, as codecs of videos have it
    strip = np.full((2 * tall, 2 * wide, 3), 255, np.uint8)
    for number, (text, colour) in enumerate(entries):
        left, top = size + 2 * (number % columns * cell), size + 2 * (number // columns * line)
        cv2.rectangle(strip, (left, top), (left + 2 * size, top + 2 * size),
                      [int(value) for value in colour[::-1]], cv2.FILLED)
        cv2.putText(strip, text, (left + 3 * size, top + 5 * size // 3), font, scale, (30, 30, 30), bold, cv2.LINE_AA)
    canvas = cv2.copyMakeBorder(image, 0, tall, 0, wide - width, cv2.BORDER_CONSTANT, value=(255, 255, 255))
    canvas[height:] = cv2.resize(strip, (wide, tall), interpolation=cv2.INTER_AREA)
    return canvas


def colourize(mask: np.ndarray, palette: np.ndarray) -> np.ndarray:
    """Return a mask in the classes' colours.

    Shape:
        - Input: ``mask`` ``(H, W)`` uint8, ``palette`` ``(256, 3)`` RGB.
        - Output: ``(H, W, 3)`` uint8 BGR.
    """
    return np.take(palette[:, ::-1], mask, axis=0)  # a quarter of the time of an index


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
    expect(image.shape[:2] == mask.shape, 'mask', f"the image's size {image.shape[:2]}", mask.shape)
    expect(0.0 <= opacity <= 1.0, 'opacity', 'a number from 0 to 1', opacity)
    mixed = cv2.addWeighted(image, 1.0 - opacity, colourize(mask, palette), opacity, 0.0)
    return cv2.copyTo(image, (mask == 255).astype(np.uint8), mixed)  # where nothing is known the image shows


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


def image_grid(rows: Sequence[Sequence[np.ndarray]], titles: Sequence[str], cell_width: int = 320,
               gap: int = 4) -> np.ndarray:
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
    expect({len(row) for row in rows} == {len(titles)}, 'rows', f'{len(titles)} images in each', [*map(len, rows)])
    strips = [np.full((26, len(titles) * (cell_width + gap), 3), 255, np.uint8)]
    for row in rows:
        size = cell_width, max(1, round(cell_width * row[0].shape[0] / row[0].shape[1]))
        cells = [cv2.resize(image, size, interpolation=cv2.INTER_AREA) for image in row]
        strips.append(np.hstack([np.pad(cell, ((0, gap), (0, gap), (0, 0)), constant_values=255) for cell in cells]))
    canvas = np.ascontiguousarray(np.vstack(strips)[:, : strips[0].shape[1] - gap])
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
    except cv2.error:
        done = False
    expect(done, 'suffix', f'that of an image format for sides of {image.shape[:2]}', suffix)
    return encoded.tobytes()


def encode_palette(mask: np.ndarray, palette: np.ndarray) -> bytes:
    """Encode a mask as an indexed PNG: its pixels are the ids, its colour table the palette.

    Shape:
        - Input: ``mask`` ``(H, W)`` uint8, ``palette`` ``(256, 3)`` RGB.
    """
    height, width = mask.shape
    # each row behind the number of its filter, 0 for none
    rows = np.pad(mask.astype(np.uint8, copy=False), ((0, 0), (1, 0)))
    chunks = {b'IHDR': struct.pack('>2I5B', width, height, 8, 3, 0, 0, 0), b'PLTE': palette.tobytes(),
              b'IDAT': zlib.compress(rows.tobytes()), b'IEND': b''}
    return b'\x89PNG\r\n\x1a\n' + b''.join(
        struct.pack('>I', len(data)) + kind + data + struct.pack('>I', zlib.crc32(kind + data))
        for kind, data in chunks.items())


def encode_ids(mask: np.ndarray) -> bytes:
    """Encode a mask as a grey PNG whose values are the ids.

    Shape:
        - Input: ``mask`` ``(H, W)`` uint8 or uint16.
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
    return np.ascontiguousarray(array[..., :3] if array.shape[2] >= 3 else np.repeat(array[..., :1], 3, axis=2))
