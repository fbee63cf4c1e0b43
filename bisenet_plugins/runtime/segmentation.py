"""The segmentation of one image: its mask, and every form in which people take it away.

Letters: H and W the sides of the image in pixels, K the number of classes. Needs numpy and OpenCV only.
"""

from __future__ import annotations

import io
import json
import os
import re
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from .. import visualize
from ..errors import InputError, expect
from ..files import read_image, write_atomically
from .postprocess import to_scores

__all__ = ['SUFFIXES', 'Segmentation', 'as_image', 'segment']

SUFFIXES = dict(overlay='.jpg', palette='.png', ids='.png', json='.json', probabilities='.npz')
"""What a segmentation can be written as: the colours over the image, an indexed PNG of the dataset's colours, a grey
PNG of the ids, sizes and outlines of the classes, and the probability of every class at every pixel; of a network that
sees one class or none, that of the class."""


@dataclass(frozen=True, eq=False)
class Segmentation:
    """What a network sees in an image.

    Args:
        mask: Class of each pixel.
        image: The image.
        classes: Names of the classes.
        palette: Colours of the classes.
        scores: Probability of each class at each pixel; None unless they were asked for.
        network_seconds: Time of the image in the network.

    Shape:
        - mask: ``(H, W)`` uint8.
        - image: ``(H, W, C)`` uint8, BGR where C is 3.
        - palette: ``(256, 3)`` uint8 RGB.
        - scores: ``(K, H, W)`` float32; K is 1 for a network that sees one class or none.

    Example:
        >>> mask = np.array([[0, 0, 1, 1]], np.uint8)
        >>> found = Segmentation(mask, np.zeros((1, 4, 3), np.uint8), ('Road', 'Sky'), visualize.as_palette(None, 2))
        >>> found.shares
        {'Road': 0.5, 'Sky': 0.5}
        >>> found.to_coco_rle()[1]['segmentation']
        {'size': [1, 4], 'counts': '22'}
    """

    mask: np.ndarray
    image: np.ndarray
    classes: tuple[str, ...]
    palette: np.ndarray
    scores: np.ndarray | None = None
    network_seconds: float = 0.0

    @property
    def pixels(self) -> dict[int, int]:
        """Pixels of each class that is there, by its number, the largest first."""
        counts = np.bincount(self.mask.ravel(), minlength=len(self.classes))[:len(self.classes)]
        return {int(number): int(counts[number]) for number in np.argsort(-counts, kind='stable') if counts[number]}

    @property
    def shares(self) -> dict[str, float]:
        """Share of each class in the image, by its name, the largest first; those of one name are one."""
        total: Counter[str] = Counter()
        for number, count in self.pixels.items():
            total[self.classes[number]] += count
        return {name: count / self.mask.size for name, count in total.most_common()}

    def overlay(self, legend: bool = True, opacity: float = 0.5, all_classes: bool = False) -> np.ndarray:
        """Return the image under the colours of its classes.

        Args:
            legend: Add a strip below with names, colours and shares of the classes.
            opacity: Weight of the colours, 0 to 1.
            all_classes: The strip names every class and no shares, so that it is the same for all frames of a video.

        Shape:
            - Output: ``(H', W', 3)`` uint8 BGR; ``(H, W, 3)`` without a legend.

        Note:
            The colours are near to the dataset's, and apart from each other over a photograph.
        """
        colours = visualize.apart(self.palette, len(self.classes))
        image = self.image if self.image.shape[2] == 3 else np.repeat(self.image[..., :1], 3, axis=2)
        painted = visualize.overlay(image, self.mask, colours, opacity)
        if not legend:
            return painted
        counts = dict.fromkeys(range(len(self.classes)), 1) if all_classes else self.pixels
        return visualize.legend(painted, [
            (self.classes[number] + ('' if all_classes else f' {100 * counts[number] / self.mask.size:.1f} %'), colour)
            for number, colour in enumerate(colours) if counts.get(number)])

    def to_polygons(self, tolerance: float = 0.0, least: int = 1) -> list[dict[str, Any]]:
        """Return the outlines of all connected regions.

        Args:
            tolerance: Most pixels that a simplified outline may be off; 0 keeps every corner.
            least: Regions with fewer pixels are left out.

        Returns:
            For each region ``id``, ``name``, ``points`` and ``holes``: lists of ``[x, y]``, the centres of the
            region's pixels along its border, outside and around each hole.
        """
        found = []
        for number in self.pixels:
            binary = (self.mask == number).astype(np.uint8)
            outlines, levels = cv2.findContours(binary, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE)
            if tolerance > 0:
                outlines = [cv2.approxPolyDP(outline, tolerance, True) for outline in outlines]
            points = [outline[:, 0].tolist() for outline in outlines]
            labels = cv2.connectedComponents(binary)[1] if least > 1 else binary
            sizes = np.bincount(labels.ravel())
            holes: dict[int, list[Any]] = {}
            for hole, (*_, around) in zip(points, levels[0].tolist()):
                holes.setdefault(around, []).append(hole)
            for at, outline in enumerate(outlines):
                if levels[0][at][3] < 0 and sizes[labels[tuple(outline[0, 0, ::-1])]] >= least:
                    found.append(dict(id=number, name=self.classes[number], points=points[at], holes=holes.get(at, [])))
        return found

    def to_coco_rle(self) -> list[dict[str, Any]]:
        """Return one annotation for each class that is there, as COCO and pycocotools have it.

        Returns:
            For each class ``category_id``, ``category_name``, ``segmentation`` (``size`` and compressed ``counts``),
            ``area`` and ``bbox`` (x, y, width, height).
        """
        found = []
        for number, area in self.pixels.items():
            binary = self.mask == number
            found.append(dict(category_id=number, category_name=self.classes[number], area=area,
                              bbox=list(cv2.boundingRect(binary.astype(np.uint8))),
                              segmentation=dict(size=list(self.mask.shape), counts=_coco_counts(binary))))
        return found

    def to_json(self, tolerance: float = 1.0, least: int = 1) -> str:
        """Return size, classes, their shares and their outlines as JSON.

        Args:
            tolerance: As for :meth:`to_polygons`.
            least: As for :meth:`to_polygons`.
        """
        polygons = self.to_polygons(tolerance, least)
        classes = [dict(id=number, name=self.classes[number], color=self.palette[number].tolist(), pixels=count,
                        share=round(count / self.mask.size, 6),
                        polygons=[{key: one[key] for key in ('points', 'holes')} for one in polygons
                                  if one['id'] == number]) for number, count in self.pixels.items()]
        return json.dumps(dict(height=self.mask.shape[0], width=self.mask.shape[1], classes=classes))

    def encode(self, kind: str, suffix: str = '', opacity: float = 0.5) -> bytes:
        """Return the bytes of a file.

        Args:
            kind: One of :data:`SUFFIXES`.
            suffix: Format of an overlay, such as ``.png``; JPEG by default.
            opacity: As for :meth:`overlay`.

        Raises:
            InputError: If ``kind`` is unknown, or there are no scores to write.
        """
        expect(kind in SUFFIXES, 'kind', f'one of {", ".join(SUFFIXES)}', kind)
        if kind == 'overlay':
            return visualize.encode_image(self.overlay(opacity=opacity), suffix or SUFFIXES[kind])
        if kind == 'palette':
            return visualize.encode_palette(self.mask, self.palette)
        if kind == 'ids':
            return visualize.encode_ids(self.mask)
        if kind == 'json':
            return self.to_json().encode()
        if self.scores is None:
            raise InputError('scores: expected a segmentation with scores=True to write probabilities, got none')
        buffer, classes = io.BytesIO(), np.array(self.classes[-len(self.scores):])
        np.savez_compressed(buffer, probabilities=self.scores.astype(np.float16), classes=classes)
        return buffer.getvalue()

    def save(self, path: str | os.PathLike[str], kind: str | None = None) -> None:
        """Write a file, which appears only when it is whole.

        Args:
            path: The file.
            kind: One of :data:`SUFFIXES`; by default what the suffix says: an overlay for an image, ``.json``, or
                ``.npz`` for probabilities.
        """
        suffix = Path(path).suffix.lower()
        kind = kind or {'.json': 'json', '.npz': 'probabilities'}.get(suffix, 'overlay')
        write_atomically(path, self.encode(kind, suffix if kind == 'overlay' else ''))


def as_image(image: Any, color: str = 'bgr') -> np.ndarray:
    """Return what a network's preprocessing takes of whatever people have.

    Args:
        image: A file; a PIL image; or an array: colour in the order of ``color``, grey, or of other channels.
        color: ``bgr`` or ``rgb``, the order of an array of three channels; files and PIL images say theirs.

    Shape:
        - Input: array ``(H, W, C)`` or ``(H, W)`` uint8.
        - Output: ``(H, W, C)`` uint8; BGR where C is 3, and grey ``(H, W)`` comes as three equal channels.

    Raises:
        InputError: If it is an address, a missing or damaged file, or an array of another type or order of axes.

    Example:
        >>> as_image(np.zeros((4, 6), np.uint8)).shape
        (4, 6, 3)
    """
    expect(color in ('bgr', 'rgb'), 'color', "'bgr' or 'rgb'", color)
    if isinstance(image, str | os.PathLike):
        address = re.match(r'\w+://', os.fspath(image))
        expect(not address, 'image', 'a file, a PIL image or an array, as nothing is downloaded here', image)
        return read_image(Path(image))
    if hasattr(image, 'convert') and hasattr(image, 'getexif'):  # PIL's, without importing it
        from PIL import ImageOps

        upright = ImageOps.exif_transpose(image)
        expect(upright.mode not in ('I', 'F'), 'image', 'a PIL image of 8 or 16 bits', f'mode {upright.mode}')
        if upright.mode.startswith('I;16'):  # which PIL would clip at 255; a file is read as here
            return as_image((np.asarray(upright) >> 8).astype(np.uint8))
        return np.ascontiguousarray(np.asarray(upright.convert('RGB'))[..., ::-1])
    expect(isinstance(image, np.ndarray), 'image', 'a file, a PIL image or an array', type(image).__name__)
    if image.dtype == np.uint8 and image.ndim == 2 and image.size:
        return np.repeat(image[..., None], 3, axis=2)
    if image.ndim == 3 and image.shape[0] in (1, 3) and image.shape[2] > 4:
        raise InputError(f'image: expected axes (H, W, C), got {image.shape}; transpose(1, 2, 0) turns them')
    if color == 'rgb' and image.ndim == 3 and image.shape[2] == 3:
        image = image[..., ::-1]
    return np.array(image, order='C')  # the caller may fill his with the next frame


def segment(predictor: Any, images: Any, scores: bool = False, color: str = 'bgr') -> Any:
    """Segment one image or several; those of equal input size go through the network together.

    Args:
        predictor: Has ``preprocess``, ``groups``, ``logits``, ``mask``, ``classes`` and ``palette``.
        images: What :func:`as_image` takes, or a list of such.
        scores: Whether to return probabilities too.
        color: As for :func:`as_image`.

    Returns:
        A :class:`Segmentation`, or a list of them.
    """
    several: Sequence[Any] = images if isinstance(images, list | tuple) else [images]
    arrays = [as_image(image, color) for image in several]
    prepared = [predictor.preprocess(image) for image in arrays]
    found: list[Any] = [None] * len(arrays)
    for numbers in predictor.groups(prepared):
        begin = time.perf_counter()
        logits = predictor.logits([prepared[number] for number in numbers])
        seconds = (time.perf_counter() - begin) / len(numbers)
        for number, one in zip(numbers, logits, strict=True):
            chances = to_scores(one[None], prepared[number], predictor.align_corners) if scores else None
            found[number] = Segmentation(predictor.mask(one[None], prepared[number]), arrays[number],
                                         tuple(predictor.classes), predictor.palette, chances, seconds)
    return found if isinstance(images, list | tuple) else found[0]


def _coco_counts(binary: np.ndarray) -> str:
    """Write the lengths of runs down the columns, from a run of zeros, in COCO's code of six bits a letter."""
    flat = binary.ravel(order='F')
    bounds = np.flatnonzero(np.diff(flat)) + 1
    lengths = np.diff([0, *([0] if flat[0] else []), *bounds, flat.size]).tolist()
    letters = []
    for place, length in enumerate(lengths):
        value = length - lengths[place - 2] if place > 2 else length
        more = True
        while more:
            low, value = value & 31, value >> 5
            more = value != (-1 if low & 16 else 0)
            letters.append(chr(48 + (low | 32 if more else low)))
    return ''.join(letters)
