"""Time one training step, and its memory: mmseg's BiSeNet V2 against ours, ``python -m benchmarks.train_step``."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
from mmengine.optim import AmpOptimWrapper, OptimWrapper
from mmengine.structures import PixelData
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample
from mmseg.utils import register_all_modules

from benchmarks.harness import (
    Report,
    apart,
    load_image,
    options,
    parse,
    peak_memory_mb,
    ratio,
    save,
    synchronised,
)
from benchmarks.pairs import pair_configs, pair_weights
from bisenet_plugins.timing import spread

__all__ = ['main', 'time_train_step', 'train_steps']


def time_train_step(
    batch: int, crop: tuple[int, int], steps: int, rounds: int = 1, device: str = 'cpu', amp: bool = False,
    ohem: bool = False, classes: int = 19
) -> Report:
    """Time training steps of both networks, each round in a fresh process for each.

    Args:
        batch: Images in a batch.
        crop: Height and width of a crop.
        steps: Steps that count in each process; one more warms up.
        rounds: How often the two processes take turns.
        device: Where it runs.
        amp: Whether it runs in mixed precision, which needs a GPU.
        ohem: Whether the losses take hard pixels only.
        classes: Number of classes.

    Returns:
        The report; ``checks`` has the loss of both networks' first step, which starts from the same weights, and the
        share of the peak memory.

    Raises:
        ValueError: If ``steps`` or ``rounds`` is below one.
    """
    if steps < 1 or rounds < 1:
        raise ValueError(f'expected steps and rounds of at least 1, got {steps} and {rounds}')
    report = Report('train_step', settings=dict(
        batch=batch, crop=list(crop), steps=steps, rounds=rounds, amp=amp, ohem=ohem, classes=classes))
    times: dict[str, list[float]] = dict(mmseg=[], ours=[])
    memory: dict[str, float] = {}
    losses: dict[str, float] = {}
    for _ in range(rounds):
        for name in times:
            found = apart(train_steps, name, batch, crop, steps, device, amp, ohem, classes)
            times[name] += found['seconds']
            memory[name] = max(memory.get(name, 0.0), found['peak_memory_mb'])
            losses[name] = found['first_loss']
    for name, series in times.items():
        report.rows.append(dict(name=name, ms=spread(series), peak_memory_mb=memory[name]))
    report.ratios = [dict(of='mmseg', over='ours', **ratio(times['mmseg'], times['ours']))]
    report.checks = dict(first_loss=losses, share_of_peak_memory=round(memory['ours'] / memory['mmseg'], 3))
    return report


def train_steps(
    name: str, batch: int, crop: tuple[int, int], steps: int, device: str, amp: bool, ohem: bool, classes: int
) -> dict[str, Any]:
    """Take training steps in this process.

    Args:
        name: ``mmseg`` or ``ours``.
        batch: Images in a batch.
        crop: Height and width of a crop.
        steps: Steps that count; one more warms up.
        device: Where it runs.
        amp: Whether it runs in mixed precision.
        ohem: Whether the losses take hard pixels only.
        classes: Number of classes.

    Returns:
        ``seconds`` of each step, ``peak_memory_mb`` and ``first_loss``.
    """
    register_all_modules(init_default_scope=True)
    configs = pair_configs(crop, classes=classes, ohem=ohem)
    weights = pair_weights(configs, load_image(None, (256, 512)))[name]
    model: Any = MODELS.build(configs[name].model)
    model.load_state_dict(weights)
    model.to(device).train()
    for head in (model.decode_head, *model.auxiliary_head):
        if head.dropout is not None:
            head.dropout.p = 0.0  # so that the first losses of the two are equal
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-4, momentum=0.9, weight_decay=5e-4)
    wrapper = (AmpOptimWrapper if amp else OptimWrapper)(optimizer=optimizer)
    generator = torch.Generator().manual_seed(0)
    inputs = [torch.randint(0, 256, (3, *crop), dtype=torch.uint8, generator=generator) for _ in range(batch)]
    samples = []
    for _ in range(batch):
        coarse = torch.randint(0, classes, (1, 1, 8, 16), generator=generator).float()
        label = torch.nn.functional.interpolate(coarse, crop)[0].long()
        meta = dict(img_shape=crop, ori_shape=crop)
        samples.append(SegDataSample(metainfo=meta, gt_sem_seg=PixelData(data=label)))
    seconds, first = [], 0.0
    for step in range(steps + 1):
        call = partial(model.train_step, dict(inputs=list(inputs), data_samples=[s.clone() for s in samples]), wrapper)
        start = time.perf_counter()
        logged = synchronised(call, device)()
        spent = time.perf_counter() - start
        if step == 0:
            first = float(logged['loss'])
        else:
            seconds.append(spent)
    return dict(seconds=seconds, peak_memory_mb=peak_memory_mb(device), first_loss=round(first, 5))


def main(argv: Sequence[str] | None = None) -> None:
    parser = options("Time one training step of mmseg's BiSeNet V2 and of ours, in processes of their own.", rounds=1)
    parser.add_argument('--steps', type=int, default=2, help='steps that count in each round (default: %(default)s)')
    parser.add_argument('--batch', type=int, default=8, help='images in a batch (default: %(default)s)')
    parser.add_argument('--crop', nargs=2, type=int, default=(512, 1024), metavar=('H', 'W'),
                        help='size of a crop (default: 512 1024)')
    parser.add_argument('--amp', action='store_true', help='mixed precision (needs a GPU)')
    parser.add_argument('--ohem', action='store_true', help='losses of hard pixels only')
    args = parse(parser, argv)
    try:
        report = time_train_step(
            args.batch, tuple(args.crop), args.steps, args.rounds, args.device, args.amp, args.ohem)
    except ValueError as error:
        sys.exit(f'error: {error}')
    save(report, args.out, argv)


if __name__ == '__main__':
    main()
