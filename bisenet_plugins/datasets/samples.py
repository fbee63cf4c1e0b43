"""Images, with labels where there are some, for calibration and for comparing artefacts with the model."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from ..errors import DeployError

__all__ = ['Sample', 'load_samples', 'synthetic_samples']

IMAGE_SUFFIXES = ('.png', '.jpg', '.jpeg', '.bmp', '.webp')
LOADING_STEPS = ('LoadImage', 'LoadAnnotations', 'Load')


@dataclass
class Sample:
    """One image.

    Args:
        image: ``(H, W, 3)`` BGR uint8.
        label: ``(H, W)`` classes, None where there are none.
    """

    image: np.ndarray
    label: np.ndarray | None = None


def synthetic_samples(count: int, size: tuple[int, int] = (128, 256), seed: int = 0) -> list[Sample]:
    """Make smooth coloured images with hard-edged shapes on them, for where no real ones are.

    Args:
        count: How many.
        size: Height and width in pixels.
        seed: Seed.

    Example:
        >>> synthetic_samples(1, (32, 64))[0].image.shape
        (32, 64, 3)
    """
    rng = np.random.default_rng(seed)
    samples = []
    for _ in range(count):
        coarse = rng.integers(0, 256, (4, 8, 3), dtype=np.uint8)
        image = cv2.resize(coarse, size[::-1], interpolation=cv2.INTER_CUBIC)
        for _ in range(12):
            corner = rng.integers(0, size[::-1])
            side = rng.integers(4, max(5, size[0] // 3), 2)
            colour = tuple(int(value) for value in rng.integers(0, 256, 3))
            cv2.rectangle(image, tuple(map(int, corner)), tuple(map(int, corner + side)), colour, -1)
        noise = rng.normal(0, 4, image.shape)
        samples.append(Sample(np.clip(image + noise, 0, 255).astype(np.uint8)))
    return samples


def _spread(total: int, count: int) -> list[int]:
    return sorted({int(i) for i in np.linspace(0, total - 1, min(count, total))})


def _from_folder(folder: str, count: int) -> list[Sample]:
    paths = sorted(os.path.join(root, name) for root, _, names in os.walk(folder) for name in names
                   if name.lower().endswith(IMAGE_SUFFIXES))
    if not paths:
        raise DeployError(f'{folder} holds no image; it needs files ending in {IMAGE_SUFFIXES}')
    samples = []
    for i in _spread(len(paths), count):
        image = cv2.imread(paths[i])
        if image is None:
            raise DeployError(f'{paths[i]} cannot be read as an image')
        samples.append(Sample(image))
    return samples


def _from_dataset(dataset_cfg: dict, count: int) -> list[Sample]:
    """Read images and labels with a dataset's own loading steps, without any resizing; of joined ones, the first's."""
    from mmengine.dataset import Compose
    from mmseg.registry import DATASETS, TRANSFORMS
    from mmseg.utils import register_all_modules

    register_all_modules(init_default_scope=True)
    settings = dict(dataset_cfg)
    while 'dataset' in settings or 'datasets' in settings:  # repeated or joined
        settings = dict(settings['dataset'] if 'dataset' in settings else settings['datasets'][0])
    pipeline = list(settings.pop('pipeline', []))
    loading = [step for step in pipeline if step['type'].rsplit('.', 1)[-1].startswith(LOADING_STEPS)]
    dataset = DATASETS.build(dict(settings, pipeline=[], lazy_init=False))
    steps = Compose([TRANSFORMS.build(step) for step in loading])
    samples = []
    for i in _spread(len(dataset), count):
        result = steps(dataset.get_data_info(i))
        label = result.get('gt_seg_map')
        samples.append(Sample(result['img'], None if label is None else np.asarray(label).astype(np.int64)))
    return samples


def load_samples(source: str, count: int, model_cfg: Any = None, size: tuple[int, int] = (128, 256)) -> list[Sample]:
    """Read images, spread evenly over where they come from.

    Args:
        source: A folder of images; a config file with ``val_dataloader`` or ``dataset``; ``train``, ``val`` or
            ``test`` for the model config's own dataset; or ``synthetic``.
        count: Most images.
        model_cfg: The model's config, for its own dataset.
        size: Height and width of synthetic images.

    Raises:
        DeployError: If the source is none of these, or is empty.
    """
    if source == 'synthetic':
        return synthetic_samples(count, size)
    if os.path.isdir(source):
        return _from_folder(source, count)
    if source in ('train', 'val', 'test') and model_cfg is not None:
        loader = model_cfg.get(f'{source}_dataloader')
        if not loader:
            raise DeployError(f'the config has no {source}_dataloader to take images from')
        return _from_dataset(loader['dataset'], count)
    if source.endswith('.py') and os.path.isfile(source):
        from mmengine import Config
        cfg = Config.fromfile(source)
        dataset = cfg.get('dataset') or (cfg.get('val_dataloader') or {}).get('dataset')
        if dataset is None:
            raise DeployError(f'{source} has neither dataset nor val_dataloader')
        return _from_dataset(dataset, count)
    raise DeployError(f'images is {source!r}; it must be a folder, a dataset config, train, val, test or synthetic')


def labelled(samples: Sequence[Sample]) -> bool:
    """Tell whether every image has its label.

    Args:
        samples: Images.
    """
    return bool(samples) and all(sample.label is not None for sample in samples)
