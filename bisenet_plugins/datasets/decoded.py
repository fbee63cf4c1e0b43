"""A cache of decoded images and labels in files."""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from mmcv.transforms import BaseTransform, Compose
from mmengine.logging import print_log
from mmseg.registry import TRANSFORMS

from ..errors import expect
from ..files import write_atomically

__all__ = ['LoadDecoded']


@TRANSFORMS.register_module()
class LoadDecoded(BaseTransform):
    """Load image and labels, and keep them decoded in a folder from which later passes map them into memory.

    It takes the place of its ``loaders`` in a training pipeline. Worker processes share the folder, and the system's
    file cache keeps in memory what fits; a folder on ``/dev/shm`` stays there wholly. Of a mapped image only the part
    that is used is read.

    Args:
        folder: Where decoded arrays go; made if it is missing.
        limit_gb: Size in 10^9 bytes beyond which nothing is added. What came first stays: in passes of random order
            that finds more than replacing the oldest would.
        loaders: Transforms that load; nothing random may be among them.

    Raises:
        InputError: If ``limit_gb`` is not positive or ``loaders`` is empty.

    Note:
        An entry belongs to the files' paths, sizes and times of change, to the dataset's ``label_map`` and to the
        loaders' settings; change one and the files are decoded again. Cityscapes' training set takes 25 GB. Several
        workers that write at the same moment may exceed the limit by an entry each.

    Example:
        >>> import tempfile
        >>> load = LoadDecoded(folder=tempfile.mkdtemp(), limit_gb=1.0)
        >>> [step.__class__.__name__ for step in load.load.transforms]
        ['LoadImageFromFile', 'LoadAnnotations']
    """

    def __init__(self, folder: str, limit_gb: float = 32.0, loaders: Sequence[dict[str, Any]] = (
            dict(type='LoadImageFromFile'), dict(type='LoadAnnotations'))) -> None:
        expect(bool(loaders), 'loaders', 'transforms that load', loaders)
        self.folder = Path(folder)
        self.limit_gb = limit_gb
        self.settings = repr([dict(step) for step in loaders])
        self.load = Compose([TRANSFORMS.build(dict(step)) for step in loaders])

    def transform(self, results: dict[str, Any]) -> dict[str, Any] | None:
        """Add image and labels."""
        places = self._places(results)
        if places is None:
            return self.load(results)
        try:
            image, label = (np.load(place, mmap_mode='c', allow_pickle=False) for place in places)
        except (OSError, ValueError):
            loaded = self.load(results)
            if loaded is not None:
                self._keep(places, loaded)
            return loaded
        results.update(img=image, gt_seg_map=label, img_shape=image.shape[:2], ori_shape=image.shape[:2])
        results.setdefault('seg_fields', []).append('gt_seg_map')
        return results

    def _places(self, results: dict[str, Any]) -> tuple[Path, Path] | None:
        """Name the two files of a sample; None for one without labels or not on a file system."""
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
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with os.scandir(self.folder) as entries:
                used = sum(entry.stat().st_size for entry in entries if entry.name.endswith('.npy'))
            if used + sum(array.nbytes for array in arrays) > self.limit_gb * 1e9:
                return
            for place, array in zip(places, arrays):
                np.save(buffer := io.BytesIO(), array, allow_pickle=False)
                write_atomically(place, buffer.getvalue())
        except OSError as error:
            print_log(f'LoadDecoded cannot write to {self.folder}: {error}', logger='current')

    def __repr__(self) -> str:
        """Return the name and the settings."""
        return f'{type(self).__name__}(folder={str(self.folder)!r}, limit_gb={self.limit_gb}, loaders={self.settings})'
