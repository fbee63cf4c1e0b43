"""Predictions as images: a fixed few beside the log while training, all of them when testing."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from mmengine.dist import is_main_process
from mmengine.hooks import Hook
from mmseg.registry import HOOKS

from .. import visualize
from ..datasets.check import members
from ..errors import expect
from ..files import write_atomically

__all__ = ['PicturesHook', 'WritePredictionsHook']

_TITLES = ('image', 'truth', 'prediction')


@HOOKS.register_module()
class PicturesHook(Hook):
    """Write ``pictures.png``, image | truth | prediction of a few samples, beside the log after each validation.

    Everything comes from the batch and the model's answer, so that datasets without a file on disk are shown too.

    Args:
        num_pictures: Rows of the grid; the samples stand evenly spaced in the validation set and stay the same.
        cell_width: Width of one image in pixels.
        filename: Name of the file.

    Raises:
        InputError: If ``num_pictures`` is below one.

    Example:
        >>> PicturesHook(num_pictures=2).filename
        'pictures.png'
    """

    priority = 'LOW'

    def __init__(self, num_pictures: int = 4, cell_width: int = 320, filename: str = 'pictures.png') -> None:
        self.num_pictures, self.cell_width, self.filename = num_pictures, cell_width, filename

    def before_val_epoch(self, runner: Any) -> None:
        """Choose the batches to show."""
        self._rows: list[list[np.ndarray]] = []
        self._chosen = {int(place) for place in np.linspace(0, len(runner.val_dataloader) - 1, self.num_pictures)}

    def after_val_iter(self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
        """Keep the first sample of a chosen batch."""
        if is_main_process() and batch_idx in self._chosen and data_batch is not None and outputs:
            palette = palette_of(runner.val_dataloader.dataset)
            self._rows.append(sample_row(data_batch['inputs'][0], outputs[0], palette))

    def after_val_epoch(self, runner: Any, metrics: dict[str, float] | None = None) -> None:
        """Write the grid."""
        if self._rows:
            dataset = runner.val_dataloader.dataset
            named = list(zip(dataset.metainfo.get('classes') or (), palette_of(dataset)))
            grid = visualize.legend(visualize.image_grid(self._rows, _TITLES, self.cell_width), named)
            visualize.write_image(Path(runner.log_dir) / self.filename, grid)


@HOOKS.register_module()
class WritePredictionsHook(Hook):
    """Write, or show in a window, each prediction of a test.

    Args:
        ids_dir: Folder for masks as grey PNGs whose values are the ids, of 16 bits where 8 do not hold every class;
            None writes none.
        show_dir: Folder for image | truth | prediction side by side; None writes none.
        show: Open a window for each sample.
        wait_time: Seconds that a window stays; 0 waits for a key.

    Raises:
        InputError: If ``wait_time`` is negative, or a prediction would replace its own image or label.

    Note:
        Files are named after the images, with the folders that lie below the dataset's ``data_prefix['img_path']``, of
        joined datasets below the folder that has all of these, and with further ones where another image has that
        name; samples without a file are numbered. Ids of datasets with ``reduce_zero_label`` are written as the dataset
        counts them, from 1.

    Example:
        >>> WritePredictionsHook(ids_dir='masks').ids_dir.name
        'masks'
    """

    priority = 'LOW'

    def __init__(self, ids_dir: str | None = None, show_dir: str | None = None, show: bool = False,
                 wait_time: float = 2.0) -> None:
        self.ids_dir, self.show_dir = (None if folder is None else Path(folder) for folder in (ids_dir, show_dir))
        self.show, self.wait_time, self._count, self._named = show, wait_time, 0, dict[str, str]()

    def before_test_epoch(self, runner: Any) -> None:
        """Forget the samples of another test."""
        self._count, self._named = 0, {}

    def after_test_iter(self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
        """Write what the options ask for."""
        dataset = runner.test_dataloader.dataset
        palette, classes = palette_of(dataset), (getattr(dataset, 'metainfo', None) or {}).get('classes') or ()
        inputs = data_batch['inputs']
        # Test-time augmentation passes a list of batches, one per variant; the first is the plain one.
        inputs = inputs[0] if isinstance(inputs[0], list | tuple) else inputs
        for image, sample in zip(inputs, outputs, strict=True):
            name = self._name(runner, sample)
            own = [os.path.realpath(path) for key in ('img_path', 'seg_map_path') if (path := sample.get(key, None))]
            for place in (f'{folder / name}.png' for folder in (self.ids_dir, self.show_dir) if folder is not None):
                expect(os.path.realpath(place) not in own, 'prediction', 'a file that is no image or label', place)
            if self.ids_dir is not None:
                first = int(sample.get('reduce_zero_label', False))
                mask = prediction_of(sample) + first
                depth = np.uint16 if max(int(mask.max()), len(classes) - 1 + first) > 255 else np.uint8
                write_atomically(self.ids_dir / f'{name}.png', visualize.encode_ids(mask.astype(depth)))
            if self.show_dir is None and not self.show:
                continue
            grid = visualize.image_grid([sample_row(image, sample, palette)], _TITLES, sample.pred_sem_seg.shape[1])
            if self.show_dir is not None:
                visualize.write_image(self.show_dir / f'{name}.png', grid)
            if self.show:
                cv2.imshow('prediction', grid)
                cv2.waitKey(round(self.wait_time * 1000))

    def _name(self, runner: Any, sample: Any) -> str:
        """Name a sample after its image, or number it."""
        number = self._count * runner.world_size + runner.rank
        self._count += 1
        path = sample.get('img_path', None)
        if not path:
            return f'sample_{number:05d}'
        prefixes = [getattr(one, 'data_prefix', None) or {} for one in members(runner.test_dataloader.dataset)]
        roots = [os.path.abspath(prefix['img_path']) for prefix in prefixes if prefix.get('img_path')]
        below = Path(os.path.relpath(path, os.path.commonpath(roots) if roots else os.path.dirname(path))).parts
        parts = Path(os.path.abspath(path)).with_suffix('').parts[1:]
        names = ['/'.join(parts[-count:]) for count in range(1 if '..' in below else len(below), len(parts) + 1)]
        return next((name for name in names if self._named.setdefault(name, path) == path),
                    names[0] + Path(path).suffix)  # what differs in its format alone


def palette_of(dataset: Any) -> np.ndarray:
    """Return the colours of a dataset's classes as ``(257, 3)`` RGB, or more; the last is black, for other ids."""
    meta = getattr(dataset, 'metainfo', None) or {}
    palette = visualize.as_palette(meta.get('palette') or None, len(meta.get('classes') or ()) or 256)
    return np.pad(palette, ((0, 1), (0, 0)))


def prediction_of(sample: Any) -> np.ndarray:
    """Return a data sample's predicted mask, ``(H, W)`` uint16."""
    return sample.pred_sem_seg.data.squeeze(0).cpu().numpy().astype(np.uint16)


def sample_row(inputs: Any, sample: Any, palette: np.ndarray) -> list[np.ndarray]:
    """Return image, truth and prediction of one sample, all at the prediction's size.

    Args:
        inputs: ``(C, H, W)`` raw network input.
        sample: Data sample with ``pred_sem_seg`` and, if there is a truth, ``gt_sem_seg``.
        palette: As from :func:`palette_of`.

    Returns:
        Three BGR images; a missing truth is grey.
    """
    mask = prediction_of(sample)
    image = cv2.resize(visualize.displayable(inputs), mask.shape[::-1], interpolation=cv2.INTER_LINEAR)
    truth = np.full_like(image, 128)
    if 'gt_sem_seg' in sample:
        ids = sample.gt_sem_seg.data.squeeze(0).cpu().numpy().astype(np.uint16)
        ids = cv2.resize(ids, mask.shape[::-1], interpolation=cv2.INTER_NEAREST)
        truth = visualize.colourize(ids.clip(max=len(palette) - 1), palette)
    return [image, truth, visualize.colourize(mask, palette)]
