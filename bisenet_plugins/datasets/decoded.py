"""Images and labels decoded quickly, and a cache of them in files."""

from __future__ import annotations

import functools
import hashlib
import io
import os
import struct
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from mmcv.transforms import BaseTransform, Compose
from mmengine import fileio
from mmengine.logging import print_log
from mmseg.registry import TRANSFORMS

from ..errors import expect
from ..files import write_atomically

__all__ = ['LoadDecoded']


_LOADERS = (dict(type='LoadImageFromFile'), dict(type='LoadAnnotations'))
_CHUNKS = {b'IDAT', b'IEND', b'PLTE', b'tEXt', b'zTXt', b'iTXt', b'tIME', b'pHYs', b'gAMA', b'sRGB', b'cHRM', b'bKGD'}
"""Chunks of a PNG that turn no pixel into another one, as transparency, orientation and animation do."""


@functools.cache
def _decoder() -> Callable[..., np.ndarray] | None:
    """Return the decoder of the extra ``png``."""
    try:
        from kornia_rs.io import decode_image_png_u8
    except ImportError:
        return None
    return decode_image_png_u8


def decode_png(content: bytes, channels: int) -> np.ndarray | None:
    """Decode a plain PNG of 8 bits a channel, as OpenCV would, in half of its time.

    Args:
        content: The file.
        channels: 3 for a colored image, 1 for a label.

    Returns:
        ``(H, W, 3)`` in BGR or ``(H, W)``; None for what is left to OpenCV: all else, and all without the extra.
    """
    decode, place = _decoder(), 33
    plain = bytes((8, 2 if channels == 3 else 0, 0, 0, 0))  # depth, kind of color, and no interlacing
    if decode is None or content[:16] != b'\x89PNG\r\n\x1a\n\0\0\0\rIHDR' or content[24:29] != plain:
        return None
    while place < len(content):
        length, chunk = struct.unpack_from('>I4s', content, place) if place + 8 <= len(content) else (0, b'')
        if chunk not in _CHUNKS:
            return None
        place += length + 12
    width, height = struct.unpack_from('>II', content, 16)
    try:
        image = decode(content, (height, width), 'rgb' if channels == 3 else 'mono')
    except Exception:  # what it raises for a damaged file is its own affair; OpenCV says what it makes of it
        return None
    return cv2.cvtColor(image, cv2.COLOR_RGB2BGR) if channels == 3 else image[..., 0]


def ids_in_training(ids: np.ndarray, reduce_zero_label: bool, label_map: dict[int, int] | None) -> np.ndarray:
    """Map ids on disk to those in training, as mmseg's ``LoadAnnotations`` does.

    Args:
        ids: Ids on disk, signed.
        reduce_zero_label: Whether id 0 is ignored and the others count from 1.
        label_map: What else becomes of some ids.

    Example:
        >>> ids_in_training(np.array([0, 1, 2, 255]), True, {1: 255}).tolist()
        [255, 0, 255, 255]
    """
    if reduce_zero_label:
        ids = np.where((ids == 0) | (ids == 255), 255, ids - 1)
    mapped = ids.copy()
    for old, new in (label_map or {}).items():
        mapped[ids == old] = new
    return mapped


@TRANSFORMS.register_module()
class LoadDecoded(BaseTransform):
    """Load image and labels; keep them decoded in a folder, if there is one, from which later passes map them.

    It takes the place of its ``loaders`` in a training pipeline. With the extra ``png`` (kornia-rs) plain PNG files are
    decoded in half the time, to the same values. Worker processes share the folder, and the system's file cache keeps
    in memory what fits; a folder on ``/dev/shm`` stays there wholly. Of a mapped image only the part that is used is
    read.

    Args:
        folder: Where decoded arrays go; made if it is missing. None keeps nothing.
        limit_gb: Size in 10^9 bytes beyond which nothing is added. What came first stays: in passes of random order
            that finds more than replacing the oldest would.
        loaders: Transforms that load; nothing random may be among them. Others than these two decode as they are.

    Raises:
        InputError: If ``limit_gb`` is not positive or ``loaders`` is empty.

    Note:
        An entry belongs to the files' paths, sizes and times of change, to the dataset's ``label_map`` and to the
        loaders' settings; change one and the files are decoded again. Cityscapes' training set takes 25 GB. A process
        counts the folder again after it has filled a 64th of the room that was left, so that several may exceed the
        limit a little.

    Example:
        >>> import tempfile
        >>> load = LoadDecoded(folder=tempfile.mkdtemp(), limit_gb=1.0)
        >>> [step.__class__.__name__ for step in load.load.transforms]
        ['LoadImageFromFile', 'LoadAnnotations']
    """

    def __init__(self, folder: str | None = None, limit_gb: float = 32.0,
                 loaders: Sequence[dict[str, Any]] = _LOADERS) -> None:
        expect(bool(loaders), 'loaders', 'transforms that load', loaders)
        self.folder, self.limit_gb = None if folder is None else Path(folder), limit_gb
        self.room = self.due = float('inf')  # bytes left, and where they are counted again
        self.plain = tuple(map(dict, loaders)) == _LOADERS
        self.settings = repr([dict(step) for step in loaders])
        self.load = Compose([TRANSFORMS.build(dict(step)) for step in loaders])

    def transform(self, results: dict[str, Any]) -> dict[str, Any] | None:
        """Add image and labels."""
        places = self._places(results)
        try:
            image, label = (np.load(place, mmap_mode='c', allow_pickle=False) for place in places or ())
        except (OSError, ValueError):  # nothing there, or no place
            loaded = self._decode(results)
            if loaded is not None and places is not None:
                self._keep(places, loaded)
            return loaded
        return self._add(results, image, label)

    def _decode(self, results: dict[str, Any]) -> dict[str, Any] | None:
        """Decode the two files, as mmseg's loaders do."""
        paths = results.get('img_path'), results.get('seg_map_path')
        if not self.plain or _decoder() is None or None in paths:
            return self.load(results)
        label = decode_png(fileio.get(paths[1]), 1)  # first: where it is left to the loaders, so is the larger file
        image = None if label is None else decode_png(fileio.get(paths[0]), 3)
        if image is None or label is None:
            return self.load(results)
        ids = ids_in_training(np.arange(256), results['reduce_zero_label'], results.get('label_map')).astype(np.uint8)
        return self._add(results, image, cv2.LUT(label, ids))

    def _add(self, results: dict[str, Any], image: np.ndarray, label: np.ndarray) -> dict[str, Any]:
        results.update(img=image, gt_seg_map=label, img_shape=image.shape[:2], ori_shape=image.shape[:2])
        results.setdefault('seg_fields', []).append('gt_seg_map')
        return results

    def _places(self, results: dict[str, Any]) -> tuple[Path, Path] | None:
        """Name the two files of a sample; None without a folder, without labels or where there is no file system."""
        if self.folder is None:
            return None
        key = [self.settings, repr(results.get('label_map')), repr(results.get('reduce_zero_label'))]
        try:
            for path in (results['img_path'], results['seg_map_path']):
                state = os.stat(path)
                key.append(f'{os.path.abspath(path)} {state.st_size} {state.st_mtime_ns}')
        except (KeyError, TypeError, OSError):
            return None
        name = hashlib.sha256('\n'.join(key).encode()).hexdigest()[:32]
        return self.folder / f'{name}.img.npy', self.folder / f'{name}.seg.npy'

    def _keep(self, places: tuple[Path, Path], loaded: dict[str, Any]) -> None:
        """Write a sample if there is room; a full disk is no reason to stop."""
        arrays = [np.asarray(loaded['img']), np.asarray(loaded['gt_seg_map'])]
        size = sum(array.nbytes for array in arrays)
        try:
            if size <= self.room <= self.due:
                places[0].parent.mkdir(parents=True, exist_ok=True)
                self.room = self.limit_gb * 1e9 - sum(path.stat().st_size for path in places[0].parent.glob('*.npy'))
                self.due = self.room * 63 / 64
            if size > self.room:
                return
            self.room -= size
            for place, array in zip(places, arrays):
                np.save(buffer := io.BytesIO(), array, allow_pickle=False)
                write_atomically(place, buffer.getvalue())
        except OSError as error:
            print_log(f'LoadDecoded cannot write to {self.folder}: {error}', logger='current')
