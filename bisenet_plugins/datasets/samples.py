"""Images, with labels where there are some: for calibration, for comparing artifacts with the model, for scoring."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from ..errors import InputError

__all__ = ['Sample', 'dataset_samples', 'labelled', 'load_samples', 'synthetic_samples']

IMAGE_SUFFIXES = ('.png', '.jpg', '.jpeg', '.bmp', '.webp')


@dataclass
class Sample:
    """One image.

    Args:
        image: ``(H, W, 3)`` BGR uint8.
        label: ``(H, W)`` class ids, None where there are none.
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
        raise InputError(f'expected a folder with images that end in {IMAGE_SUFFIXES}, found none in {folder}')
    samples = []
    for i in _spread(len(paths), count):
        image = cv2.imread(paths[i])
        if image is None:
            raise InputError(f'expected an image, got {paths[i]}, which cannot be read as one')
        samples.append(Sample(image))
    return samples


def dataset_samples(dataset: Mapping[str, Any], count: int | None = None) -> Iterator[Sample]:
    """Read the images of a dataset and their labels before any transform; of joined datasets, the first's.

    Args:
        dataset: Config of the dataset; of its pipeline only the steps that load count.
        count: Most images, spread evenly; None for all.
    """
    from mmengine.dataset import Compose
    from mmseg.registry import DATASETS, TRANSFORMS
    from mmseg.utils import register_all_modules

    register_all_modules(init_default_scope=True)
    settings = dict(dataset)
    while 'dataset' in settings or 'datasets' in settings:  # repeated or joined
        settings = dict(settings['dataset'] if 'dataset' in settings else settings['datasets'][0])
    loading = {str(step['type']).rpartition('.')[2]: step for step in settings.pop('pipeline', ())}
    loading = {name: step for name, step in loading.items() if name.startswith('Load')}
    built = DATASETS.build(dict(settings, pipeline=[], lazy_init=False))
    numbers = range(len(built)) if count is None else _spread(len(built), count)
    for number in numbers:
        info = built.get_data_info(number)
        if 'img' not in info and not loading.keys() - {'LoadAnnotations'}:
            loading = {'LoadImageFromFile': dict(type='LoadImageFromFile'), **loading}
        if info.get('seg_map_path') and 'gt_seg_map' not in info:
            loading.setdefault('LoadAnnotations', dict(type='LoadAnnotations'))
        result = Compose([TRANSFORMS.build(step) for step in loading.values()])(info)
        yield Sample(result['img'], result.get('gt_seg_map'))


def load_samples(source: str, count: int, model_cfg: Any = None, size: tuple[int, int] = (128, 256)) -> list[Sample]:
    """Read images, spread evenly over where they come from.

    Args:
        source: A folder of images; a config file with ``val_dataloader`` or ``dataset``; ``train``, ``val`` or
            ``test`` for the model config's own dataset; or ``synthetic``.
        count: Most images.
        model_cfg: The model's config, for its own dataset.
        size: Height and width of synthetic images.

    Raises:
        InputError: If the source is none of these, or is empty.
    """
    if source == 'synthetic':
        return synthetic_samples(count, size)
    if os.path.isdir(source):
        return _from_folder(source, count)
    if source in ('train', 'val', 'test') and model_cfg is not None:
        loader = model_cfg.get(f'{source}_dataloader')
        if not loader:
            raise InputError(f'{source}: expected a config with {source}_dataloader, got one without')
        return list(dataset_samples(loader['dataset'], count))
    if source.endswith('.py') and os.path.isfile(source):
        from mmengine import Config
        cfg = Config.fromfile(source)
        dataset = cfg.get('dataset') or (cfg.get('val_dataloader') or {}).get('dataset')
        if dataset is None:
            raise InputError(f'expected a config with dataset or val_dataloader, got {source}')
        return list(dataset_samples(dataset, count))
    raise InputError(f'expected a folder of images, a dataset config, train, val, test or synthetic, got {source!r}')


def labelled(samples: Sequence[Sample]) -> bool:
    """Return whether every image has its label.

    Args:
        samples: Images.
    """
    return bool(samples) and all(sample.label is not None for sample in samples)
