"""Name classes and labels that do not fit before a network learns from them or is scored on them."""

from __future__ import annotations

from typing import Any

import numpy as np
from mmengine.hooks import Hook
from mmengine.model import BaseTTAModel, is_model_wrapper
from mmseg.datasets.transforms import LoadAnnotations
from mmseg.registry import HOOKS
from PIL import Image
from torch.nn import ModuleList

from ..datasets.check import SPLITS, check_classes
from ..errors import InputError, expect
from ..metrics import check_ids

__all__ = ['LabelCheckHook']


def plain_network(runner: Any) -> Any:
    """Return the network of a runner inside its wrappers."""
    network = runner.model
    while is_model_wrapper(network) or isinstance(network, BaseTTAModel):
        network = network.module
    return network


def reads_8_bits(part: Any) -> bool:
    """Return whether mmseg's own loader reads the labels of a dataset, or of all those in it, or is in a pipeline."""
    if isinstance(part, list | tuple):
        return any(map(reads_8_bits, part))
    if joined := getattr(part, 'datasets', None):
        return all(map(reads_8_bits, joined))
    inner = (getattr(part, name, None) for name in ('dataset', 'pipeline', 'transforms', 'subroutines', 'load'))
    return type(part) is LoadAnnotations or any(reads_8_bits(one) for one in inner if one is not part)


@HOOKS.register_module()
class LabelCheckHook(Hook):
    """End a training or a test at the first label with an id outside the classes, and name the file and the ids.

    mmseg's metrics leave such pixels out silently, and its losses fail without naming the file. Files of more than 8
    bits are looked into once each where mmseg's loader reads them, because it keeps the lowest 8 bits only. Before the
    first step, the classes of the datasets are compared with the model's. ``train`` and ``test`` of this project add
    this hook to every config.

    Raises:
        InputError: Before running, if the numbers of classes differ; while running, if a label has such an id or is
            padded with it.

    Example:
        >>> LabelCheckHook().priority
        'VERY_HIGH'
    """

    priority = 'VERY_HIGH'

    def __init__(self) -> None:
        self._seen: set[str] = set()
        self._own_loader: set[str] = set()

    def before_run(self, runner: Any) -> None:
        """Check the classes of the datasets that are read."""
        for split in SPLITS:
            if (loader := getattr(getattr(runner, f'_{split}_loop', None), 'dataloader', None)) is not None:
                check_classes(runner.cfg, loader.dataset, split)
                self._own_loader |= set() if reads_8_bits(loader.dataset) else {split}

    def _before_iter(self, runner: Any, batch_idx: int, data_batch: Any = None, mode: str = 'train') -> None:
        """Check the labels of a batch that is learned from or scored."""
        network = plain_network(runner)
        count: Any = getattr(network, 'num_classes', None)
        samples = data_batch.get('data_samples') if isinstance(data_batch, dict) and count is not None else None
        head = getattr(network, 'decode_head', None)
        ignored = getattr(head[-1] if isinstance(head, ModuleList) else head, 'ignore_index', 255)
        padding = getattr(network, 'data_preprocessor', None)
        size, divisor = (getattr(padding, name, None) or () for name in ('size', 'size_divisor'))
        value = getattr(padding, 'seg_pad_val', ignored)
        if samples and isinstance(samples[0], list | tuple):  # variants of the same images
            samples = samples[0]
        labelled = [sample for sample in samples or () if 'gt_sem_seg' in sample]
        if divisor:  # the largest sides of the batch, rounded up
            shapes = zip(*(sample.gt_sem_seg.shape for sample in labelled))
            size = tuple(-(-max(sides) // divisor) * divisor for sides in shapes)
        for sample in labelled:
            path = str(sample.get('seg_map_path') or sample.get('img_path') or 'a label')
            if mode not in self._own_loader and path not in self._seen:
                self._check_depth(path)
            check_ids(sample.gt_sem_seg.data.numpy(force=True), count, ignored, path)
            pads = mode == 'train' and any(side < whole for side, whole in zip(sample.gt_sem_seg.shape, size))
            expect(not pads or value == ignored, 'model.data_preprocessor.seg_pad_val',
                   f'{ignored}, the ignore_index of the head, as {path} is padded to {size}', value)

    def after_val_epoch(self, runner: Any, metrics: dict[str, float] | None = None) -> None:
        """Say where nothing was scored."""
        if metrics and all(isinstance(value, float) and value != value for value in metrics.values()):
            runner.logger.warning('val_dataloader: no pixel is labelled, so that every metric is nan and no checkpoint '
                                  'is the best')

    def _check_depth(self, path: str) -> None:
        """Refuse a file whose ids do not fit into 8 bits."""
        self._seen.add(path)
        try:
            with Image.open(path) as image:
                deep = np.asarray(image) if image.mode.startswith(('I', 'F')) else None
        except OSError:  # no file, or one of a format that only the dataset's own loader knows
            return
        if deep is not None and (lost := deep[(deep != deep.clip(0, 255)) | (deep % 1 != 0)]).size:
            raise InputError(f'{path}: expected whole class ids from 0 to 255, as 8 bits are read, got a label of '
                             f'{deep.dtype} with {lost[0]}')
