"""Random numbers depend on the seed and the place in the run, not on workers or restarts."""

import copy
import itertools
import pickle
import random
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmengine.hooks import EMAHook
from mmengine.model import ExponentialMovingAverage
from torch import nn
from torch.utils.data import DataLoader, Dataset

from bisenet_plugins.engine import PlacedIndex, ReproducibleTrainingHook, ResumableSampler, SeedSample, reproducible


class Noise(Dataset):
    """Return the index and what the three generators draw after seeding."""

    def __init__(self):
        self.seed = SeedSample()

    def __len__(self):
        return 5

    def __getitem__(self, index):
        self.seed({'sample_idx': index})
        return torch.tensor([int(index), random.random(), np.random.rand(), torch.rand(()).item()], dtype=torch.float64)


def batches(count, start=0, workers=0, seed=3):
    dataset = Noise()
    sampler = ResumableSampler(dataset, shuffle=True, seed=seed)
    sampler.skip(start * 2)
    loader = DataLoader(dataset, batch_size=2, sampler=sampler, num_workers=workers)
    return torch.stack(list(itertools.islice(loader, count)))


@pytest.mark.parametrize('change', [pickle.dumps, copy.deepcopy, lambda index: index % 3, lambda index: index - 2,
                                    lambda index: index + 1])
def test_an_index_keeps_its_place(change):
    index = PlacedIndex(7, place=41, seed=5)
    changed = change(index)
    changed = pickle.loads(changed) if isinstance(changed, bytes) else changed
    assert (changed.place, changed.seed) == (41, 5)
    assert int(changed) in (7, 1, 5, 8)


def test_a_pass_holds_every_sample_once_and_passes_differ():
    stream = [int(index) for index in itertools.islice(ResumableSampler(range(50), seed=0), 100)]
    assert sorted(stream[:50]) == sorted(stream[50:]) == list(range(50))
    assert stream[:50] != stream[50:]
    other = [int(index) for index in itertools.islice(ResumableSampler(range(50), seed=1), 50)]
    assert other != stream[:50]
    plain = [int(index) for index in itertools.islice(ResumableSampler(range(3), shuffle=False, seed=1), 5)]
    assert plain == [0, 1, 2, 0, 1]


def test_processes_share_one_stream(monkeypatch):
    together = [int(index) for index in itertools.islice(ResumableSampler(range(7), seed=0), 20)]
    parts = []
    for rank in range(2):
        monkeypatch.setattr('bisenet_plugins.engine.reproducible.get_dist_info', lambda rank=rank: (rank, 2))
        sampler = ResumableSampler(range(7), seed=0)
        sampler.skip(3)
        parts.append([(int(index), index.place) for index in itertools.islice(sampler, 7)])
    joined = list(itertools.chain.from_iterable(zip(*parts, strict=True)))
    assert joined == [(together[place], place) for place in range(6, 20)]


@pytest.mark.parametrize('workers', [0, 2])
def test_a_resumed_stream_has_the_same_samples_and_augmentations(workers):
    wanted = batches(6)
    got = batches(3, start=3, workers=workers)
    torch.testing.assert_close(got, wanted[3:], rtol=0, atol=0)
    assert len(set(wanted[..., 1].flatten().tolist())) == 12, 'each sample has random numbers of its own'


def test_wrong_arguments_are_named(monkeypatch):
    with pytest.raises(ValueError, match='dataset: expected at least one sample, got 0'):
        ResumableSampler([])
    with pytest.raises(ValueError, match='num_samples: expected zero or more, got -1'):
        ResumableSampler(range(3), seed=0).skip(-1)
    monkeypatch.setattr(SeedSample, '_seeded', False)
    with pytest.raises(RuntimeError, match='train_dataloader: expected .* got an index 3 without its place'):
        SeedSample()({'sample_idx': 3})


def test_a_sample_drawn_by_the_dataset_itself_continues():
    seed = SeedSample()
    seed({'sample_idx': PlacedIndex(0, 9, 1)})
    first = random.random()
    seed({'sample_idx': PlacedIndex(0, 9, 1)})
    seed({'sample_idx': 4})
    assert random.random() == first


def fake_runner(iteration, loader=None, rank=0, iterator=None):
    loop = SimpleNamespace(dataloader=loader, dataloader_iterator=iterator)
    warned = []
    logger = SimpleNamespace(warning=warned.append)
    return SimpleNamespace(seed=7, iter=iteration, rank=rank, train_loop=loop, logger=logger, warned=warned)


def test_dropout_depends_on_iteration_and_process_alone():
    hook = ReproducibleTrainingHook()
    drawn = {}
    for key in [(4, 0), (4, 1), (5, 0), (4, 0)]:
        hook.before_train_iter(fake_runner(*key[:1], rank=key[1]), 0)
        value = torch.rand(3).tolist()
        assert drawn.setdefault(key, value) == value
    assert len({tuple(value) for value in drawn.values()}) == 3


class OldIterator:
    """mmengine 0.10.7's endless iterator, which starts its workers at once and cannot skip."""

    def __init__(self, loader):
        self.loader = iter(loader)

    def __iter__(self):
        return self

    def __next__(self):
        return next(self.loader)


def test_old_mmengine_skips_without_loading():
    class Counting(Noise):
        loaded = 0

        def __getitem__(self, index):
            Counting.loaded += 1
            return super().__getitem__(index)

    dataset = Counting()
    loader = DataLoader(dataset, batch_size=2, sampler=ResumableSampler(dataset, seed=3))
    runner = fake_runner(4, loader, iterator=OldIterator(loader))
    ReproducibleTrainingHook().before_train(runner)
    iterator = runner.train_loop.dataloader_iterator
    assert [next(iterator) for _ in range(4)] == [None] * 4
    assert Counting.loaded == 0
    torch.testing.assert_close(next(iterator), batches(5)[4], rtol=0, atol=0)


def test_averages_of_the_weights_are_evaluated_alike_too(monkeypatch):
    summed = []
    monkeypatch.setattr(reproducible, 'get_world_size', lambda: 2)
    monkeypatch.setattr(reproducible, 'all_reduce_params', lambda buffers, op: summed.extend(buffers))
    network = nn.BatchNorm2d(2)
    hook = EMAHook()
    hook.ema_model = ExponentialMovingAverage(network)
    ReproducibleTrainingHook().before_val_epoch(SimpleNamespace(model=network, hooks=[hook]))
    own = [network.running_mean, network.running_var, hook.ema_model.module.running_mean,
           hook.ema_model.module.running_var]
    assert [id(buffer) for buffer in summed] == [id(buffer) for buffer in own]


def test_another_sampler_is_warned_of():
    loader = DataLoader(Noise(), batch_size=2)
    runner = fake_runner(4, loader, iterator=OldIterator(loader))
    ReproducibleTrainingHook().before_train(runner)
    assert 'SequentialSampler: a resumed run will see other random numbers' in runner.warned[0]


def test_an_image_drawn_from_a_joined_dataset_continues_the_first_ones_numbers(monkeypatch):
    """Each of the joined datasets has a pipeline of its own, and with it a SeedSample of its own."""
    monkeypatch.setattr(SeedSample, '_seeded', False)
    first, second = SeedSample(), SeedSample()
    first(dict(sample_idx=PlacedIndex(3, place=12, seed=0)))
    wanted = random.random()
    first(dict(sample_idx=PlacedIndex(3, place=12, seed=0)))
    second(dict(sample_idx=1))
    assert random.random() == wanted
