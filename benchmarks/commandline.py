"""What ``benchmarks/benchmark.py`` does once its options are read."""

from __future__ import annotations

import shlex
import sys
import tempfile
from argparse import Namespace
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config

from benchmarks.harness import Report, environment
from benchmarks.kernels import picture_logits, run_mask, run_matmul
from benchmarks.pairs import run_pipeline
from benchmarks.plot import plot_scaling, plot_speed
from benchmarks.runs import load_picture, run_scaling, run_subjects
from benchmarks.subjects import parse_subject
from benchmarks.train_step import run_train_step

__all__ = ['run_benchmark']

PAPER_ITERATIONS = 5000


def run_benchmark(args: Namespace) -> str:
    """Carry a benchmark out, write its JSON and picture, and return its table.

    Args:
        args: Options of ``benchmarks/benchmark.py``.

    Raises:
        ValueError: If the options do not fit together.
    """
    if args.threads:
        torch.set_num_threads(args.threads)
    if args.benchmark == 'plot':
        plot_speed(args.files, args.out, _scores(args.miou))
        return f'drawn: {args.out}'
    if args.device.startswith('cuda') and not torch.cuda.is_available():
        raise ValueError(f'device is {args.device}, PyTorch finds no GPU here; --device cpu works everywhere')
    report = _BENCHMARKS[args.benchmark](args)
    report.command = f'python benchmarks/benchmark.py {shlex.join(sys.argv[1:])}'
    report.environment = environment(args.device)
    if args.out:
        report.write(args.out)
        picture = Path(args.out).with_suffix('.png')
        if report.benchmark == 'scaling':
            plot_scaling(args.out, picture)
        elif report.benchmark in ('subjects', 'pipeline') and any(row.get('gmacs') for row in report.rows):
            plot_speed([args.out], picture)
    return report.table()


def _subjects(args: Namespace) -> Report:
    iterations = args.iterations or (PAPER_ITERATIONS if args.paper_protocol else 30)
    specs = [_spec(text) for text in args.subjects]
    size = tuple(args.size) if args.size else None
    for spec in specs:
        if spec['way'] != 'artefact':
            spec.update(size=size)
    height, width = args.picture_size
    report, _ = run_subjects(specs, load_picture(args.picture, (height, width)), iterations, 3, args.device,
                             not args.no_memory, args.picture if args.read_file else None, args.format)
    report.settings.update(network_size=size, paper_protocol=args.paper_protocol)
    scores = _scores(args.miou)
    for row in report.rows:
        if row['name'] in scores:
            row['miou'] = scores[row['name']]
    return report


def _pipeline(args: Namespace) -> Report:
    height, width = args.picture_size
    picture = load_picture(args.picture, (height, width))
    extra = [_spec(text) for text in args.extra]
    scored = None if args.scored is None else dict(Config.fromfile(args.scored).val_dataloader.dataset)
    with tempfile.TemporaryDirectory() as folder:
        return run_pipeline(args.folder or folder, picture, args.iterations or 10, tuple(args.size or (512, 1024)),
                            args.narrow, extra, args.device, not args.no_memory, args.weights, scored, args.classes)


def _mask(args: Namespace) -> Report:
    height, width = args.picture_size
    network = tuple(args.size or (height // 2, width // 2))
    logits = picture_logits(load_picture(args.picture, (height, width)), args.classes,
                            (network[0] // 8, network[1] // 8))
    return run_mask(logits.to(args.device), network, (height, width), args.iterations or 20)


def _matmul(args: Namespace) -> Report:
    size = tuple(args.size or (512, 1024))
    specs = [_spec(text) for text in args.subjects]
    for spec in specs:
        if spec['way'] != 'artefact':
            spec.update(size=size)
    picture = load_picture(args.picture, size) if specs else None
    return run_matmul(args.iterations or 20, args.side, specs, picture, args.device)


def _scaling(args: Namespace) -> Report:
    sizes = [(256 * 2**power, 512 * 2**power) for power in range(args.steps)]
    return run_scaling(_spec(args.subject), sizes, args.iterations or 3, args.picture, args.device)


def _train_step(args: Namespace) -> Report:
    return run_train_step(args.batch, tuple(args.crop), args.iterations or 2, args.rounds, args.device, args.amp,
                          args.ohem)


def _spec(text: str) -> dict[str, Any]:
    return dict(parse_subject(text))


def _scores(texts: list[str] | None) -> dict[str, float]:
    """Read ``NAME=PERCENT``."""
    scores = {}
    for text in texts or []:
        name, equals, value = text.rpartition('=')
        try:
            scores[name] = float(value)
        except ValueError:
            equals = ''
        if not equals:
            raise ValueError(f'--miou is {text!r}, NAME=PERCENT is wanted')
    return scores


_BENCHMARKS = {'run': _subjects, 'pipeline': _pipeline, 'mask': _mask, 'matmul': _matmul, 'scaling': _scaling,
               'train-step': _train_step}
