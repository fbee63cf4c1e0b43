"""Throughput of the Ray engine against one process, on the same pictures in the same run."""

from __future__ import annotations

import json
import os
import tempfile
import time
from collections.abc import Callable
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch

from bisenet_plugins.datasets.scenes.painter import paint_scene
from bisenet_plugins.files import write_atomically
from bisenet_plugins.runtime.predictor import Predictor
from bisenet_plugins.runtime.ray_engine import predict_on_ray
from bisenet_plugins.runtime.results import predict_sources
from bisenet_plugins.runtime.sources import find_sources

__all__ = ['load_network', 'measure_ray']


def load_network(config: str, checkpoint: str | None, device: str) -> tuple[Callable[[Any], Any], np.ndarray]:
    """Load a predictor and its palette, here or in an actor."""
    torch.manual_seed(0)  # without a checkpoint every process must make the same random weights
    predictor = Predictor(config, checkpoint, device)
    return predictor, predictor.palette


def measure_ray(
    config: str | os.PathLike[str],
    checkpoint: str | os.PathLike[str] | None = None,
    device: str = 'cpu',
    workers: int = 2,
    pictures: int = 20,
    sides: tuple[int, int] = (512, 1024),
    out: str | os.PathLike[str] | None = None,
    command: str = '',
) -> dict[str, Any]:
    """Segment the same drawn scenes in one process, on Ray, and in one process again.

    Args:
        config: Config of the network.
        checkpoint: Its weights; None takes random ones, which cost the same.
        device: Where the network runs.
        workers: Number of actors.
        pictures: How many scenes are drawn; one more is a file that cannot be read.
        sides: Their height and width.
        out: JSON file to write.
        command: What was typed, for the record.

    Returns:
        Pictures a second of both ways, for Ray with and without starting up, which is what a second run takes that has
        nothing left to do (None where starting takes most of the time); the ratios; the counts of both runs; and the
        share of pixels whose classes are equal.

    Raises:
        ImportError: If Ray is not installed.
        ValueError: If ``pictures`` or ``workers`` is below one.
    """
    if pictures < 1 or workers < 1:
        raise ValueError(f'pictures is {pictures} and workers {workers}, one or more of each are wanted')
    paths = [None if path is None else str(Path(path).absolute()) for path in (config, checkpoint)]
    load = partial(load_network, str(paths[0]), paths[1], device)
    save = ('ids',)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / 'in').mkdir()
        for number in range(pictures):
            cv2.imwrite(str(folder / 'in' / f'{number:04d}.png'), paint_scene(sides, 11, number)[0])
        (folder / 'in' / 'unreadable.png').write_bytes(b'no picture')
        sources = find_sources([str(folder / 'in')])
        predictor, palette = load()
        predict_sources(predictor, sources[:1], folder / 'warm', palette, save)
        spent = []
        for turn in ('first', 'second'):
            if turn == 'second':
                begun = time.perf_counter()
                summary = predict_on_ray(load, sources, folder / 'ray', save, workers=workers, on_gpu=device != 'cpu')
                whole = time.perf_counter() - begun
                again = predict_on_ray(load, sources, folder / 'ray', save, workers=workers, on_gpu=device != 'cpu')
                idle = time.perf_counter() - begun - whole
            start = time.perf_counter()
            predict_sources(predictor, sources, folder / turn, palette, save)
            spent.append(time.perf_counter() - start)
        equal = _agreement(folder / 'first', folder / 'ray')
    one = pictures / (sum(spent) / 2)
    # a difference of two times tells something only where it is not the smaller part
    working = pictures / (whole - idle) if whole > 2 * idle else None
    record = dict(
        command=command,
        config=Path(config).name,
        sides=list(sides),
        pictures=pictures,
        workers=workers,
        cores=os.cpu_count(),
        load=os.getloadavg()[0] if hasattr(os, 'getloadavg') else None,
        one_process=dict(threads=torch.get_num_threads(), pictures_per_second=round(one, 2),
                         seconds=[round(value, 2) for value in spent]),
        ray=dict(
            version=metadata.version('ray'),
            seconds=round(whole, 2),
            seconds_with_nothing_to_do=round(idle, 2),
            pictures_per_second=round(pictures / whole, 2),
            pictures_per_second_without_start=working and round(working, 2),
        ),
        ratio=round(pictures / whole / one, 2),
        ratio_without_start=working and round(working / one, 2),
        done=summary.done,
        failed=len(summary.failed),
        resumed=dict(done=again.done, skipped=again.skipped, failed=len(again.failed)),
        equal_pixels=equal,
    )
    if out is not None:
        write_atomically(out, (json.dumps(record, indent=2) + '\n').encode())
    return record


def _agreement(one: Path, other: Path) -> float:
    """Return the share of pixels with equal classes; 0 if not the same files are there."""
    names = [sorted(str(path.relative_to(folder)) for path in folder.rglob('*.png')) for folder in (one, other)]
    if names[0] != names[1]:
        return 0.0
    shares = [
        np.mean(np.asarray(cv2.imread(str(one / name), cv2.IMREAD_UNCHANGED))
                == np.asarray(cv2.imread(str(other / name), cv2.IMREAD_UNCHANGED)))
        for name in names[0]
    ]
    return round(float(np.mean(shares)), 6)
