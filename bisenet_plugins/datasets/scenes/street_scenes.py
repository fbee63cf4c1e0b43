"""Street scenes that the project draws itself."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from mmseg.datasets.basesegdataset import BaseSegDataset
from mmseg.registry import DATASETS

from ...errors import expect
from ..camvid import CamVidDataset
from ..decoded import ids_in_training
from .painter import paint_scene

SMALLEST_SIDE = 32


def take_drawn_label(results: dict) -> dict:
    """Put a scene's label as it was drawn into the sample, where a pipeline for files would read it.

    Test-time augmentation reads the label after it has resized and flipped the image, so that it stays as it is.

    Args:
        results: The sample; its ``gt_seg_map`` is replaced in the copy that is returned.
    """
    return {**results, 'gt_seg_map': results['drawn_label'].copy()}


def without_files(pipeline: Sequence[Any]) -> list[Any]:
    """Turn a pipeline for images on disk into one for drawn scenes, the branches of ``TestTimeAug`` included.

    ``LoadImageFromFile`` is left out; ``LoadAnnotations`` and ``LoadDecoded`` are replaced by the drawn label.

    Args:
        pipeline: Config dicts or built transforms, nested lists of them included.

    Example:
        >>> without_files([dict(type='LoadImageFromFile'), dict(type='RandomFlip', prob=0.5)])
        [{'type': 'RandomFlip', 'prob': 0.5}]
    """
    kept: list[Any] = []
    for step in pipeline:
        kind = step.get('type') if isinstance(step, dict) else type(step)
        name = (kind if isinstance(kind, str) else getattr(kind, '__name__', '')).rsplit('.', 1)[-1]
        if isinstance(step, Sequence) and not isinstance(step, str):
            kept.append(without_files(step))
        elif name in ('LoadAnnotations', 'LoadDecoded'):
            kept.append(take_drawn_label)
        elif name != 'LoadImageFromFile':
            nested = isinstance(step, dict) and 'transforms' in step
            kept.append({**step, 'transforms': without_files(step['transforms'])} if nested else step)
    return kept


@DATASETS.register_module()
class StreetSceneDataset(BaseSegDataset):
    """Draw street scenes with CamVid's 11 classes, the same ones for the same seed, without any file on disk.

    Replaces a dataset of files; each sample enters the pipeline with its image and label in it.

    Args:
        length: Number of scenes.
        seed: Names the collection; two seeds share no scene.
        size: Height and width in pixels, at least 32 each.
        cache_size: Scenes that each process keeps instead of drawing them again; one of 180 x 240 takes 173 kB.
        pipeline: Transforms. A pipeline for images on disk serves too: ``LoadImageFromFile`` is left out, and
            ``LoadAnnotations`` takes the drawn label.
        kwargs: Arguments of mmseg's ``BaseSegDataset`` that do not concern files: ``metainfo``, ``indices``,
            ``test_mode`` and others.

    Shape:
        - ``get_data_info``: ``img`` ``(H, W, 3)`` uint8 BGR, ``gt_seg_map`` ``(H, W)`` uint8, ids 0 to 10 and 255.

    Raises:
        InputError: If ``length`` is below 1, ``seed`` is negative, ``size`` is not
            two sides of at least 32 pixels, or ``reduce_zero_label`` is set.

    Note:
        ``img_path`` is a name to print (``street_scene_000012``), not a file: a hook that reads it again will fail.
        The scenes depend on the drawing of the installed NumPy and OpenCV; other versions may differ in single pixels.

    Example:
        >>> scenes = StreetSceneDataset(length=3, seed=1, size=(48, 64))
        >>> len(scenes), scenes.get_data_info(2)['img'].shape, scenes.get_data_info(2)['img_path']
        (3, (48, 64, 3), 'street_scene_000002')
    """

    METAINFO = dict(CamVidDataset.METAINFO)

    def __init__(self, length: int, seed: int = 0, size: tuple[int, int] = (180, 240), cache_size: int = 0,
                 pipeline: Sequence[dict | Callable] = (), **kwargs: Any) -> None:
        expect(min(size) >= SMALLEST_SIDE, 'size', f'(height, width) of at least {SMALLEST_SIDE} each', tuple(size))
        expect(not kwargs.get('reduce_zero_label'), 'reduce_zero_label', 'False, as id 0 is the class Sky', True)
        self.length, self.seed, self.cache_size = int(length), int(seed), cache_size
        self.size = (int(size[0]), int(size[1]))
        self._kept: dict[int, tuple[np.ndarray, np.ndarray]] = {}
        super().__init__(pipeline=without_files(pipeline), **kwargs)

    def load_data_list(self) -> list[dict]:
        """List the scenes."""
        return [dict(img_path=f'street_scene_{index:06d}', scene=index, label_map=self.label_map,
                     reduce_zero_label=self.reduce_zero_label) for index in range(self.length)]

    def get_data_info(self, idx: int) -> dict:
        """Draw one scene.

        Args:
            idx: Place of the scene in the dataset; negative counts from the end.

        Raises:
            IndexError: If ``idx`` lies outside the dataset.
        """
        if not -len(self) <= idx < len(self):
            raise IndexError(f'idx: expected a place among {len(self)} scenes, got {idx}')
        info = super().get_data_info(idx % len(self))
        image, label = self._scene(info['scene'])
        label = ids_in_training(label, False, info['label_map'])
        info.update(img=image, img_shape=self.size, ori_shape=self.size, gt_seg_map=label,
                    seg_fields=['gt_seg_map'], drawn_label=label)
        return info

    def _scene(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """Draw a scene, or copy the one that was kept."""
        scene = self._kept.get(index) or paint_scene(self.size, self.seed, index)
        if len(self._kept) < self.cache_size:
            self._kept[index] = scene
        return scene[0].copy(), scene[1].copy()
