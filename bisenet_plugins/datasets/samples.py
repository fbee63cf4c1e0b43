"""Images with their labels, from a dataset, a folder or a generator: for scores, calibration and comparisons."""

from __future__ import annotations

import copy
import io
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import mmcv
import numpy as np
from mmcv.transforms import LoadImageFromFile
from mmengine import fileio
from mmseg.datasets.transforms import LoadAnnotations
from mmseg.registry import DATASETS
from mmseg.utils import register_all_modules
from PIL import Image, UnidentifiedImageError

from ..config import read_config
from ..errors import InputError, expect
from ..files import IMAGE_SUFFIXES, read_image
from ..metrics import check_size
from .decoded import LoadDecoded, ids_in_training
from .scenes.painter import paint_scene

__all__ = ['Sample', 'counted', 'dataset_samples', 'labelled', 'load_samples', 'read_samples', 'synthetic_samples']


@dataclass
class Sample:
    """One image.

    Args:
        image: ``(H, W, C)`` uint8, BGR where C is 3.
        label: ``(H, W)`` class ids, None where there are none.
        name: Name of the image.
    """

    image: np.ndarray
    label: np.ndarray | None = None
    name: str = ''


class UnusableError(InputError):
    """A sample that cannot be made: what the report of a check says of it, and the kind of finding."""

    def __init__(self, message: str, kind: str = '') -> None:
        super().__init__(message)
        self.kind = kind


def read_file(path: str | os.PathLike[str], what: str, backend_args: dict | None = None) -> np.ndarray:
    """Read an image, or a label as the ids that it holds, also where they stand for colors.

    Args:
        path: The file.
        what: ``image`` or ``label``.
        backend_args: Where it lies, as mmengine's ``fileio`` takes it.

    Raises:
        UnusableError: If it is missing, empty, truncated or no image.
    """
    kind = f'unreadable {what}'
    try:
        content: Any = fileio.get(path, backend_args=backend_args)
        decoded = Image.open(io.BytesIO(content)) if what == 'label' else mmcv.imfrombytes(content) if content else None
        if decoded is not None:
            array = np.asarray(decoded)
            return array.astype(np.uint8) if array.dtype == bool else array
        told = 'bytes that are none'
    except FileNotFoundError:
        told, kind = 'no such file', 'no label' if what == 'label' else 'missing image'
    except Exception as error:  # decoders raise what they like on broken content
        told = 'bytes that are none' if isinstance(error, UnidentifiedImageError) else str(error)
    raise UnusableError(f'{path}: expected a readable {what}, got {told}', kind)


def reads_as_usual(step: Any) -> bool:
    """Return whether a step of a pipeline reads what :func:`read_file` does, or reads nothing and keeps ids."""
    return (type(step) is LoadImageFromFile and 'ignore_orientation' not in step.color_type
            or type(step) is LoadAnnotations and step.imdecode_backend == 'pillow'
            or type(step) is LoadDecoded and step.plain or _keeps_ids(step))


def _keeps_ids(step: Any) -> bool:
    """Return whether a step, with those in it, is a known one that loads nothing: these move pixels at most."""
    inner = filter(callable, getattr(step, 'transforms', ()))
    return (step.__module__.partition('.')[0] in ('mmcv', 'mmseg', 'bisenet_plugins')
            and not type(step).__name__.startswith('Load') and all(map(_keeps_ids, inner)))


def load(info: Any, steps: Iterable[Any]) -> tuple[dict[str, Any], bool, list[str]]:
    """Load a whole image and its label as steps make it that are none of mmcv, mmseg and this package.

    Returned are both, whether they differ from what :func:`read_file` reads, and steps left out as they change a size.
    """
    loaded, own, left_out = info, False, []
    for step in (step for step in steps if not _keeps_ids(step)):
        made: Any = {**loaded, **(step(copy.deepcopy(loaded)) or {})}
        before, after = loaded.get('gt_seg_map'), made.get('gt_seg_map')
        if before is not None and np.shape(before)[:2] != np.shape(after)[:2]:
            left_out.append(type(step).__name__)
            continue
        if before is not None and np.array_equal(np.sort(before, None), np.sort(after, None)):
            made['gt_seg_map'] = before  # pixels were moved at most, and the image stays where it is
        if 'img' in loaded and not type(step).__name__.startswith('Load'):
            made['img'] = loaded['img']
        own |= not reads_as_usual(step) and any(made.get(key) is not loaded.get(key) for key in ('img', 'gt_seg_map'))
        loaded = made
    loaded = loaded if 'img' in loaded else LoadImageFromFile()(loaded)
    with_label = 'gt_seg_map' in loaded or not loaded.get('seg_map_path')
    return loaded if with_label else LoadAnnotations()(loaded), own, left_out


def dataset_samples(dataset: dict[str, Any], limit: int | None = None) -> Iterator[Sample]:
    """Yield images and labels of a dataset before any transform, spread evenly over it.

    Args:
        dataset: Config of the dataset; of its pipeline only the steps are run that load or may change ids. Joined and
            repeated datasets count as the sum of their members.
        limit: Most samples; None for all.

    Note:
        A dataset that lists no labels yields images alone.

    Example:
        >>> sample, = dataset_samples(dict(type='StreetSceneDataset', length=4, size=(32, 48)), limit=1)
        >>> sample.image.shape, sample.label.shape, sample.name
        ((32, 48, 3), (32, 48), 'street_scene_000000')
    """
    register_all_modules(init_default_scope=True)
    places = [(built, index) for member in member_configs(dataset) for built in [DATASETS.build(
        dict(member, pipeline=member.get('pipeline', ()), lazy_init=False))] for index in range(len(built))]
    for built, index in (places[place] for place in _spread(len(places), limit)):
        info, steps = built.get_data_info(index), built.pipeline.transforms
        if 'gt_seg_map' not in info and not info.get('seg_map_path'):
            steps = [step for step in steps if 'Load' in type(step).__name__ and not isinstance(step, LoadAnnotations)]
        loaded = load(info, steps)[0]
        label = loaded.get('gt_seg_map')
        image = np.atleast_3d(loaded['img'])  # a grey one has no axis of channels
        yield Sample(image, None if label is None else np.asarray(label), Path(loaded.get('img_path', '')).name)


def member_configs(dataset: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the configs of the datasets within wrappers."""
    inner = dataset.get('datasets') or ([dataset['dataset']] if 'dataset' in dataset else [])
    return [member for one in inner for member in member_configs(one)] or [dataset]


def read_samples(paths: Iterable[str | os.PathLike[str]], labels: str | os.PathLike[str] | None = None,
                 classes: Sequence[str] = (), dataset: dict[str, Any] | None = None,
                 failed: list[str] | None = None) -> Iterator[Sample]:
    """Yield images from files, with their labels.

    Args:
        paths: Image files.
        labels: Folder with a label of class ids for each image, named as the dataset's suffixes say or else a PNG of
            the image's name; None if there are none.
        classes: Names of the classes; where a registered dataset has the same, ids that it does not count become 255.
        dataset: Config of a dataset that says what becomes of ids on disk, in place of a registered one.
        failed: Gets a sentence for each image or label that cannot be used, which is left out; None ends at the first.

    Raises:
        InputError: If a file is no image, its label is missing, no image or of another size, or two images have names
            that lead to one label.
    """
    given = member_configs(dataset or {})[0]
    kind: Any = given.get('type') or next((kind for kind in DATASETS.module_dict.values() if classes and tuple(
        (getattr(kind, 'METAINFO', None) or {}).get('classes', ())) == tuple(classes)), None)
    kind = DATASETS.get(kind) if isinstance(kind, str) else kind
    label_map = kind.get_label_map() if kind else None
    built = kind.__new__(kind) if 'type' in given else None
    if built is not None:
        built.full_init = lambda: None  # files are not listed: they may be missing, and many
        try:
            kind.__init__(built, **{key: value for key, value in given.items() if key not in ('type', 'pipeline')})
        except Exception as error:  # which may be of a missing folder, after all else is known
            expect(hasattr(built, 'label_map'), 'dataset', f'a {kind.__name__} that can be built', error)
        label_map = getattr(built, 'label_map', None)
    reduce = getattr(built, 'reduce_zero_label', False)
    ends = [str(getattr(built, key, None)) for key in ('img_suffix', 'seg_map_suffix')]
    files, images = [], dict[Path, Path]()
    for path in map(Path, paths):
        own = Path(labels or '', f'{path.name.removesuffix(ends[0])}{ends[1]}')  # as the dataset names it
        file = own if own.is_file() else Path(labels or '', f'{path.stem}.png')
        files.append((path, file))
        other = images.setdefault(file, path)
        expect(labels is None or other == path, str(file), 'the label of one image', f'{other} and {path}')
    for path, file in files:
        try:
            sample = Sample(read_image(path), name=path.name)
            if labels is not None:
                label = read_file(file, 'label')
                check_size(label.shape, sample.image.shape[:2], str(file))
                expect(label.dtype.kind != 'f', str(file), 'whole ids', f'a label of {label.dtype}')
                sample.label = ids_in_training(label.astype(np.int64), reduce, label_map) if label.ndim == 2 else label
        except InputError as error:
            if failed is None:
                raise
            failed.append(str(error))
        else:
            yield sample


def synthetic_samples(count: int, size: tuple[int, int] = (128, 256), seed: int = 0) -> list[Sample]:
    """Draw street scenes, without labels, for where no real images are.

    Args:
        count: How many.
        size: Height and width in pixels.
        seed: Seed.

    Example:
        >>> synthetic_samples(1, (32, 64))[0].image.shape
        (32, 64, 3)
    """
    return [Sample(paint_scene(size, seed, index)[0]) for index in range(count)]


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
        found = (path for path in Path(source).rglob('*') if path.suffix.lower() in IMAGE_SUFFIXES)
        paths = sorted(path for path in found if path.is_file() or not path.exists())
        expect(bool(paths), 'images', f'a folder with files ending in {IMAGE_SUFFIXES}', source)
        return list(read_samples(paths[place] for place in _spread(len(paths), count)))
    if source in ('train', 'val', 'test') and model_cfg is not None:
        dataset: Any = (model_cfg.get(f'{source}_dataloader') or {}).get('dataset')
        expect('type' in (dataset or {}), 'images', 'a folder, a dataset config, or a network whose config has a '
               f'{source}_dataloader', source)
    elif source.endswith('.py') and os.path.isfile(source):
        cfg = read_config(source)
        dataset = cfg.get('dataset') or (cfg.get('val_dataloader') or {}).get('dataset')
        expect(bool(dataset), 'images', 'a config with dataset or val_dataloader', source)
    else:
        raise InputError(f'images: expected a folder, a dataset config, train, val, test or synthetic, got {source!r}')
    return list(dataset_samples(dataset, count))


def _spread(total: int, count: int | None) -> list[int]:
    """Return so many places, evenly spread over all."""
    return sorted({int(i) for i in np.linspace(0, total - 1, total if count is None else min(count, total))})


def counted(samples: Iterable[Sample], model: Any) -> Iterator[Sample]:
    """Yield samples whose label is 255 where a network, by the first of its heads that does, ignores it."""
    ignored = next((part.ignore_index for part in model.decode_head.modules() if hasattr(part, 'ignore_index')), 255)
    for one in samples:
        yield one if one.label is None else replace(one, label=np.where(one.label == ignored, 255, one.label))


def labelled(samples: Sequence[Sample]) -> bool:
    """Return whether there are images and each has its label."""
    return bool(samples) and all(sample.label is not None for sample in samples)
