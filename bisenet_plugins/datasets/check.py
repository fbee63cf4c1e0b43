"""Check the dataset of a config, and say what is wrong and how to fix it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from mmengine import fileio
from mmengine.config import Config
from mmengine.dataset import Compose
from mmengine.registry import init_default_scope
from mmseg.registry import DATASETS, MODELS
from mmseg.utils import register_all_modules
from torch.utils.data import get_worker_info

from ..config import items
from ..errors import BisenetError, InputError, expect, told_by
from ..metrics import ONE_CLASS, check_size
from .decoded import ids_in_training
from .samples import UnusableError, load, member_configs, read_file, reads_as_usual

SPLITS = ('train', 'val', 'test')
EXAMPLES = 5
PLAIN = ('.png', '.jpg', '.jpeg', '.bmp', '.webp')  # any decoder reads them; a TIFF file may have any channels

# What can be found: the heading, and the fix in one sentence.
FINDINGS = {
    'not listed': ('dataset cannot be listed', 'Correct data_root, data_prefix and ann_file, or prepare the data.'),
    'empty': ('dataset has no images', 'Correct data_root, data_prefix and img_suffix so that they match the files.'),
    'classes': ('dataset names no classes', 'Set metainfo=dict(classes=(...)), one name for each id.'),
    'no label': ('image without a label', 'Add the label file, correct seg_map_suffix, or remove the image.'),
    'missing image': ('image file is missing', 'Restore the file or remove its name from the list.'),
    'unreadable image': ('image cannot be read', 'Copy or download the file again, or remove it.'),
    'unreadable label': ('label cannot be read', 'Copy or export the file again, or remove it.'),
    'channels': ('label has several channels', 'Write one id per pixel; convert a colour-coded label to ids first.'),
    'size': ('image and label differ in size', 'Export the label at the size of the image (resize it with nearest).'),
    'range': ('ids out of range', 'Set num_classes and metainfo to the ids in use, or write 255 in place of others.'),
    'ignored': ('nothing is labelled', 'Label the image or remove it: it teaches nothing.'),
    'binary': ('binary mask 0/255', 'Divide the masks by 255: 255 is ignored, so the foreground would not be learned.'),
    'broken': ('sample cannot be made', 'Fix the pipeline or the sample; the message names the cause.'),
    'left out': ('label is looked at without a step', 'The counts are right if the step changes no id.'),
    'absent': ('class never occurs', 'Check the order of the classes, or add images that show the class.')}
# Where the loss of a head is defined that learns the dataset's classes; others may draw labels of their own.
USUAL_LOSSES = ('mmseg.models.decode_heads.decode_head', 'bisenet_plugins.models.decode_heads.training_loss')


@dataclass
class ClassCount:
    """How often a class occurs: its pixels in a pass, their share of all labelled ones in percent, and its images."""

    id: int
    name: str
    pixels: int = 0
    percent: float = 0.0
    images: int = 0


@dataclass
class Finding:
    """One kind of thing found: how often, on which samples first, and its fix."""

    kind: str
    title: str
    fix: str
    is_error: bool
    count: int = 0
    examples: list[str] = field(default_factory=list)


@dataclass
class DatasetReport:
    """The result of a check.

    Args:
        dataset: Name of the dataset's class.
        split: ``train``, ``val`` or ``test``.
        images: Samples in the dataset.
        checked: Samples checked.
        ignored_pixels: Pixels of a pass that are not labelled.
        ignored_percent: Their share of all pixels.
        classes: One count for each class.
        findings: What was found, errors first.
    """

    dataset: str
    split: str
    images: int = 0
    checked: int = 0
    ignored_pixels: int = 0
    ignored_percent: float = 0.0
    classes: list[ClassCount] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return not any(finding.is_error for finding in self.findings)

    def add(self, kind: str, example: str) -> None:
        """Count a finding; the first few examples of a kind are kept."""
        finding = next((found for found in self.findings if found.kind == kind), None)
        if finding is None:
            finding = Finding(kind, *FINDINGS[kind], is_error=kind not in ('left out', 'absent'))
            self.findings.append(finding)
        finding.count += 1
        finding.examples = [*finding.examples, example][:EXAMPLES]

    def to_dict(self) -> dict[str, Any]:
        """Return the report as plain values, for JSON."""
        return {'ok': self.ok, **asdict(self)}

    def to_text(self) -> str:
        """Return the report as a table of the classes and a list of the findings."""
        width = max([len(count.name) for count in self.classes] + [5])
        lines = [f'{self.dataset}, {self.split}: {self.checked} of {self.images} samples checked', '',
                 f'{"id":>3}  {"class":<{width}}  {"pixels":>13}  {"percent":>7}  {"images":>7}']
        lines += [f'{count.id:>3}  {count.name:<{width}}  {count.pixels:>13}  {count.percent:>7.2f}  {count.images:>7}'
                  for count in self.classes]
        lines += ['', f'{self.ignored_percent:.2f} % of the pixels are not labelled']
        for found in self.findings:
            lines += ['', f'{"WRONG" if found.is_error else "note"}: {found.title} ({found.count})']
            lines += [f'  {example}' for example in found.examples]
            lines += ['  ...'] if found.count > len(found.examples) else []
            lines.append(f'  Fix: {found.fix}')
        return '\n'.join([*lines, '', 'Nothing is wrong.' if self.ok else 'Something is wrong.'])


class CheckedCompose(Compose):
    """A pipeline that names the file where a sample cannot be made, or its label is of another size than its image.

    Args:
        transforms: The transforms of the pipeline whose place it takes.

    Raises:
        InputError: While running, of such a sample.
    """

    def __call__(self, data: Any) -> Any:
        """Make a sample."""
        given = dict(data) if isinstance(data, dict) else {}
        try:
            for step in self.transforms:
                name = type(step).__name__
                if name == 'PackSegInputs':
                    _check_label(data, flat=False)
                data = step(data)
                if data is None:
                    return None
                if name in ('LoadAnnotations', 'LoadDecoded'):
                    _check_label(data, flat=True)  # a label of colours may still become ids
            return data
        except Exception as error:
            _read_files(given)
            if get_worker_info() is None or isinstance(error, BisenetError | OSError | MemoryError):
                raise
            told = f'{type(error).__name__}: {told_by(error)}'  # all that leaves a data worker is one line
            raise InputError(f'{given.get("img_path", "sample")}: expected what {name} takes, got {told}') from error


def _read_files(info: dict[str, Any]) -> None:
    """Raise of the files of a sample, if they are the reason why it cannot be made."""
    for key, what in (('img_path', 'image'), ('seg_map_path', 'label')):
        path = str(info.get(key) or '')
        # others may need a decoder of their own, or lie elsewhere
        if path.lower().endswith(PLAIN) and os.path.isdir(os.path.dirname(path) or '.'):
            read_file(path, what)


def _check_label(data: Any, flat: bool) -> None:
    label = data.get('gt_seg_map')
    if label is not None and 'ori_shape' in data and (label.ndim == 2) == flat:
        check_size(label.shape, data['ori_shape'], data.get('seg_map_path', 'label'))


def members(dataset: Any) -> Iterator[Any]:
    """Yield a built dataset and, of a wrapper, those in it."""
    yield dataset
    for inner in (*(getattr(dataset, 'datasets', None) or ()), getattr(dataset, 'dataset', None)):
        if inner is not None and inner is not dataset:
            yield from members(inner)


def check_pipelines(dataset: Any) -> None:
    """Let a dataset, or each of those in it, name the files that it cannot make a sample of.

    Args:
        dataset: The dataset, as built; its pipelines become :class:`CheckedCompose`.
    """
    for inner in members(dataset):
        if type(getattr(inner, 'pipeline', None)) is Compose:
            inner.pipeline = CheckedCompose(inner.pipeline.transforms)


def read_sample(dataset: Any, index: int, report: DatasetReport) -> tuple[str, tuple[int, ...], np.ndarray, bool]:
    """Read one sample: its name, the size of the image, the label, and whether its ids are as on disk."""
    info = dataset.get_data_info(index)
    name, backend_args = str(info.get('img_path', f'sample {index}')), getattr(dataset, 'backend_args', None)
    steps = getattr(getattr(dataset, 'pipeline', None), 'transforms', ())
    own = 'img' in info and 'gt_seg_map' in info
    try:
        if not all(map(reads_as_usual, steps)):
            info, changed, left_out = load(info, steps)
            own |= changed
            for step in left_out:
                report.add('left out', f'{name}: {step}')
        if own:
            return name, info['img'].shape[:2], np.asarray(info['gt_seg_map']), False
        if not info.get('seg_map_path') and not ('img_path' in info and fileio.exists(name, backend_args=backend_args)):
            sample = dataset[index]
            label = sample['data_samples'].gt_sem_seg.data.squeeze(0).cpu().numpy()
            return name, tuple(sample['inputs'].shape[-2:]), label, False
    except Exception as error:  # whatever a foreign pipeline raises
        _read_files(info)
        raise UnusableError(f'{name}: {type(error).__name__}: {error}', 'broken') from error
    image = read_file(name, 'image', backend_args)
    if not info.get('seg_map_path'):
        raise UnusableError(name, 'no label')
    return name, image.shape[:2], read_file(info['seg_map_path'], 'label', backend_args), True


def check_classes(cfg: Config, dataset: Any, split: str) -> None:
    """Compare the classes that a dataset names with those of every head and with the class weights of its losses.

    Args:
        cfg: A mmseg config; without ``model``, the names alone are looked at.
        dataset: The dataset of a split, as built.
        split: ``train``, ``val`` or ``test``.

    Raises:
        InputError: If names are missing where they are needed, no list or not different, or a number differs.
    """
    place = f'{split}_dataloader.dataset.metainfo.classes'
    names = (getattr(dataset, 'metainfo', None) or {}).get('classes')
    if not names:
        scored = split != 'train' and 'IoUMetric' in str(cfg.get(f'{split}_evaluator'))
        expect(not scored, place, 'a name for each class', names)
        return
    expect(isinstance(names, list | tuple) and len(set(names)) == len(names), place, 'a list of different names', names)
    model = cfg.get('model') or {}
    model = model.get('module') or model  # inside test-time augmentation
    for path, head in _parts('model', {key: model.get(key) for key in ('decode_head', 'auxiliary_head')}):
        cls = MODELS.get(head['type']) if isinstance(head['type'], str) else head['type']
        if getattr(getattr(cls, 'loss_by_feat', None), '__module__', None) not in USUAL_LOSSES:
            continue
        owner, count = path if head.get('num_classes') else 'model', head.get('num_classes') or model.get('num_classes')
        expect(count in (None, len(names)), f'{owner}.num_classes', f'{len(names)}, the number of {place}', count)
        for where, loss in _parts(f'{path}.loss_decode', head.get('loss_decode')):
            weights = loss.get('class_weight')
            if isinstance(weights, list | tuple) and head.get('out_channels') != 1:
                expect(len(weights) == len(names), f'{where}.class_weight', f'{len(names)} values', len(weights))


def _parts(path: str, node: Any) -> list[tuple[str, Any]]:
    """Return the parts in a config, which stands for one or holds several by name or by number, with their places."""
    if isinstance(node, dict) and 'type' in node:
        return [(path, node)]
    return [part for key, inner in items(node) for part in _parts(f'{path}.{key}', inner)]


def _times(dataset: dict[str, Any]) -> list[int]:
    """Return how often a pass reads each dataset within wrappers, in the order of ``member_configs``."""
    inner = dataset.get('datasets') or ([dataset['dataset']] if 'dataset' in dataset else [])
    return [dataset.get('times', 1) * times for one in inner for times in _times(one)] or [1]


def check_samples(dataset: Any, report: DatasetReport, limit: int | None = None, times: int = 1) -> None:
    """Check the samples of one dataset and add the counts and findings to a report.

    Args:
        dataset: A mmseg dataset.
        report: Gets the counts and the findings.
        limit: Most samples to check; None for all.
        times: How often a pass reads the dataset, for the counts of pixels.
    """
    names = list(dataset.metainfo.get('classes') or ())
    if not report.classes:
        report.classes = [ClassCount(index, str(name)) for index, name in enumerate(names)]
    ignore = getattr(dataset, 'ignore_index', 255)
    report.images += len(dataset)
    two_valued, readable, binary = 0, 0, []
    if not names:
        report.add('classes', report.dataset)
    for index in range(len(dataset) if limit is None else min(limit, len(dataset))):
        report.checked += 1
        try:
            name, size, label, on_disk = read_sample(dataset, index, report)
            if label.ndim != 2:
                raise UnusableError(f'{name}: label of shape {label.shape}', 'channels')
            if label.dtype.kind == 'f':
                raise UnusableError(f'{name}: expected whole ids, got {label.dtype}', 'unreadable label')
        except UnusableError as unusable:
            report.add(unusable.kind, str(unusable))
            continue
        readable += 1
        if label.shape != tuple(size):
            report.add('size', f'{name}: image {tuple(size)}, label {label.shape} (height, width)')
        raw = set(np.unique(label).tolist()) if on_disk else set()
        two_valued += bool(raw) and raw <= {0, 255}
        binary += [name] if raw == {0, 255} else []
        if on_disk:
            label = ids_in_training(label.astype(np.int64), getattr(dataset, 'reduce_zero_label', False),
                                    getattr(dataset, 'label_map', None))
        values, counts = np.unique(label, return_counts=True)
        found = dict(zip(values.tolist(), counts.tolist(), strict=True))
        if list(found) == [ignore]:
            report.add('ignored', name)
        report.ignored_pixels += times * found.pop(ignore, 0)
        for count in report.classes:
            pixels = times * found.pop(count.id, 0)
            count.pixels, count.images = count.pixels + pixels, count.images + bool(pixels)
        if found and names:
            report.add('range', f'{name}: ids {list(found)[:8]} with {len(names)} classes (0 to {len(names) - 1})'
                       + ONE_CLASS * (len(names) == 1))
    if 2 * two_valued >= readable:  # one image of one class and void does not make a dataset binary
        for name in binary:
            report.add('binary', name)


def check_dataset(cfg: Config, split: str = 'train', limit: int | None = None) -> DatasetReport:
    """Check a split of the dataset that a config names.

    Args:
        cfg: A mmseg config with ``{split}_dataloader``.
        split: ``train``, ``val`` or ``test``.
        limit: Most samples to check; None for all.

    Returns:
        The report.

    Raises:
        InputError: If ``split`` is none of the three, ``limit`` is below 1, the config has no such dataloader, or as
            :func:`check_classes`.
    """
    expect(split in SPLITS, 'split', f'one of {", ".join(SPLITS)}', split)
    expect(limit is None or limit >= 1, 'limit', 'at least 1 sample or None', limit)
    settings: Any = (cfg.get(f'{split}_dataloader') or {}).get('dataset')
    expect(bool(settings), 'cfg', f'{split}_dataloader with a dataset', settings)
    register_all_modules(init_default_scope=False)
    init_default_scope(cfg.get('default_scope') or 'mmseg')
    kind = settings['type']
    report = DatasetReport(kind if isinstance(kind, str) else kind.__name__, split)
    try:
        datasets = [DATASETS.build(member) for member in member_configs(settings)]
    except (OSError, AssertionError, ValueError) as error:
        # A dataset of no samples cannot be serialised, which reads as a concatenation of nothing.
        if isinstance(error, ValueError) and 'concatenate' not in str(error):
            raise
        report.add('empty' if isinstance(error, ValueError) else 'not listed', str(error))
        return report
    for dataset, times in zip(datasets, _times(settings), strict=True):
        dataset.full_init()
        check_classes(cfg, dataset, split)
        check_samples(dataset, report, limit and limit - report.checked, times)
    labelled = sum(count.pixels for count in report.classes)
    for count in report.classes:
        count.percent = 100 * count.pixels / max(labelled, 1)
        if not count.pixels:
            report.add('absent', f'{count.id} {count.name}')
    report.ignored_percent = 100 * report.ignored_pixels / max(labelled + report.ignored_pixels, 1)
    report.findings.sort(key=lambda finding: not finding.is_error)
    return report
