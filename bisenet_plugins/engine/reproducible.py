"""Randomness as a function of the seed and the place in the run, so that a resumed run equals an uninterrupted one.

Three registered parts work together: the sampler says at which place of the data stream an index stands, the transform
seeds each sample's augmentations from that place, and the hook seeds what the model draws (dropout) from the iteration.
Nothing depends on how long a worker process has lived, nor on how many workers there are.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sized
from itertools import chain, count, repeat
from typing import Any

import numpy as np
import torch
from mmcv.transforms import BaseTransform
from mmengine.dist import get_dist_info, get_world_size, sync_random_seed
from mmengine.dist.dist import all_reduce_params
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmseg.registry import DATA_SAMPLERS, HOOKS, TRANSFORMS
from torch.utils.data import Sampler

from ..errors import expect

__all__ = ['PlacedIndex', 'ReproducibleTrainingHook', 'ResumableSampler', 'SeedSample', 'sync_buffers']


class PlacedIndex(int):
    """An index into a dataset that remembers its place in the stream of all samples.

    It is an ``int`` otherwise. The place survives ``+``, ``-`` and ``%``, by which datasets that join or
    repeat others find the index inside one of them.

    Args:
        value: The index.
        place: How many samples, over all processes, came before this one since the start of training.
        seed: The seed of the run.

    Example:
        >>> index = PlacedIndex(7, place=41, seed=0) % 5
        >>> int(index), index.place
        (2, 41)
    """

    place: int
    seed: int

    def __new__(cls, value: int, place: int = 0, seed: int = 0) -> PlacedIndex:
        """Make the integer and attach the place."""
        index = super().__new__(cls, value)
        index.place, index.seed = place, seed
        return index

    def __add__(self, other: int) -> PlacedIndex:
        """Add, keeping the place."""
        return PlacedIndex(int(self) + int(other), self.place, self.seed)

    def __sub__(self, other: int) -> PlacedIndex:
        """Subtract, keeping the place."""
        return PlacedIndex(int(self) - int(other), self.place, self.seed)

    def __mod__(self, other: int) -> PlacedIndex:
        """Take the remainder, keeping the place."""
        return PlacedIndex(int(self) % int(other), self.place, self.seed)


@DATA_SAMPLERS.register_module()
class ResumableSampler(Sampler):
    """Endless stream of indices for iteration-based training that can start at any place.

    It stands in ``train_dataloader.sampler`` where mmengine's ``InfiniteSampler`` would; every pass over the dataset
    has its own order, drawn from the seed and the number of the pass.

    Args:
        dataset: The dataset; only its length is used.
        shuffle: Draw a new order for each pass. Without it the order is that of the dataset.
        seed: The seed of the run, equal in all processes. None draws one and shares it.

    Raises:
        InputError: If the dataset is empty.

    Note:
        An epoch-based loop would never end with it.

    Example:
        >>> sampler = ResumableSampler(range(4), shuffle=True, seed=0)
        >>> stream = iter(sampler)
        >>> first = [int(next(stream)) for _ in range(8)]
        >>> sampler.skip(5)
        >>> [int(index) for index, _ in zip(sampler, range(3))] == first[5:]
        True
    """

    def __init__(self, dataset: Sized, shuffle: bool = True, seed: int | None = None) -> None:
        self.rank, self.world_size = get_dist_info()
        self.size = len(dataset)
        expect(self.size > 0, 'dataset', 'at least one sample', self.size)
        self.shuffle, self.start = shuffle, 0
        self.seed = sync_random_seed() if seed is None else seed

    def skip(self, num_samples: int) -> None:
        """Start later: the next pass through the sampler begins after so many samples of this process.

        Args:
            num_samples: Samples that this process has used since training began.

        Raises:
            InputError: If ``num_samples`` is negative.
        """
        expect(num_samples >= 0, 'num_samples', 'zero or more', num_samples)
        self.start = num_samples

    def __iter__(self) -> Iterator[PlacedIndex]:
        """Yield indices from the starting place on, for ever."""
        drawn = -1
        order: list[int] = []
        for place in count(self.start * self.world_size + self.rank, self.world_size):
            number, offset = divmod(place, self.size)
            if number != drawn:
                drawn, order = number, list(range(self.size))
                if self.shuffle:
                    order = np.random.default_rng([self.seed, number]).permutation(self.size).tolist()
            yield PlacedIndex(order[offset], place, self.seed)

    def __len__(self) -> int:
        """Return the number of samples in one pass."""
        return self.size

    def set_epoch(self, epoch: int) -> None:
        """Accept mmengine's call at the start of an epoch; the stream does not depend on it."""


@TRANSFORMS.register_module()
class SeedSample(BaseTransform):
    """Seed Python's, numpy's and torch's generators from the place of the sample in the run.

    It stands first in the training pipeline, before anything random.

    Raises:
        RuntimeError: If the index has no place because the sampler is not a ``ResumableSampler``.

    Note:
        When a dataset draws another sample itself (a broken image, a mosaic of several), that one continues the random
        numbers of the first.

    Example:
        >>> results = SeedSample()({'sample_idx': PlacedIndex(3, place=12, seed=0)})
        >>> once = random.random()
        >>> results = SeedSample()({'sample_idx': PlacedIndex(3, place=12, seed=0)})
        >>> once == random.random()
        True
    """

    _seeded = False  # of the process: joined datasets each have a pipeline, and one may draw from another

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Seed the generators and hand the sample on unchanged."""
        index = results.get('sample_idx')
        if isinstance(index, PlacedIndex):
            seed_everything(index.seed, index.place, cuda=False)
            SeedSample._seeded = True
        elif not self._seeded:
            raise RuntimeError("train_dataloader: expected dict(type='ResumableSampler') with SeedSample, got an index "
                               f'{index!r} without its place in the run, from another sampler or from a dataset that '
                               'chooses by itself; with such a one, or in epochs, leave SeedSample out')
        return results


def seed_everything(*key: int, cuda: bool) -> None:
    """Seed all generators from a few whole numbers.

    Args:
        key: Numbers that together name the place in the run.
        cuda: Seed the accelerators too; of no use in a worker that only loads data.
    """
    first, second = (int(word) for word in np.random.SeedSequence(key).generate_state(2))
    random.seed(first)
    np.random.seed(second)
    (torch.manual_seed if cuda else torch.default_generator.manual_seed)(first)


@HOOKS.register_module()
class ReproducibleTrainingHook(Hook):
    """Make every iteration's random numbers depend on the seed, the iteration and the process alone.

    It also lets a resumed run skip used data at once on mmengine versions that would load and drop it, and averages the
    running statistics of normalisation layers over the processes before each validation, so that all processes
    evaluate, and the checkpoint holds, the same network.

    Note:
        Needs ``randomness=dict(seed=...)`` for the same run twice; without, one is drawn and kept in the checkpoint.

    Example:
        >>> from types import SimpleNamespace
        >>> hook, runner = ReproducibleTrainingHook(), SimpleNamespace(seed=0, iter=5, rank=0)
        >>> hook.before_train_iter(runner, batch_idx=5)
        >>> drawn = torch.rand(2)
        >>> hook.before_train_iter(runner, batch_idx=5)
        >>> torch.equal(torch.rand(2), drawn)
        True
    """

    priority = 'VERY_HIGH'

    def before_train(self, runner: Any) -> None:
        """Skip the data that was used before a resumed run was stopped."""
        loop = runner.train_loop
        iterator = getattr(loop, 'dataloader_iterator', None)
        sampler = getattr(loop.dataloader, 'sampler', None)
        if not isinstance(sampler, ResumableSampler):
            runner.logger.warning(
                f'train_dataloader.sampler is {type(sampler).__name__}: a resumed run will see other random numbers '
                'than an uninterrupted one; ResumableSampler, with SeedSample first in the pipeline, repeats them')
        elif iterator is not None and not hasattr(iterator, 'skip_iter') and runner.iter and loop.dataloader.batch_size:
            sampler.skip(runner.iter * loop.dataloader.batch_size)
            # the loop asks for the used batches first: it gets as many times nothing
            loop.dataloader_iterator = chain(repeat(None, runner.iter), type(iterator)(loop.dataloader))

    def before_train_iter(self, runner: Any, batch_idx: int = 0, data_batch: Any = None) -> None:
        """Seed what the model draws in this iteration, and a first batch that is loaded in this process."""
        seed_everything(runner.seed, runner.iter, runner.rank, cuda=True)

    before_train_epoch = before_train_iter

    def before_val_epoch(self, runner: Any) -> None:
        """Evaluate the same network in all processes."""
        sync_buffers(runner)


def sync_buffers(runner: Any) -> None:
    """Average the floating-point buffers (running means and variances) over all processes.

    Args:
        runner: Its network, wrapped for distribution or not, and the averages that its hooks keep of that.
    """
    if get_world_size() == 1:
        return
    averages = [hook.ema_model.module for hook in runner.hooks if hasattr(hook, 'ema_model')]
    for network in (runner.model.module if is_model_wrapper(runner.model) else runner.model, *averages):
        all_reduce_params([buffer for buffer in network.buffers() if buffer.is_floating_point()], op='mean')
