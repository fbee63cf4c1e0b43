"""Timing: interleaved rounds, their statistics, and a description of the machine that the figures come from."""

from __future__ import annotations

import contextlib
import os
import platform
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

from .errors import expect

__all__ = ['cores', 'cpu_name', 'interleave', 'machine', 'spread', 'told_by_cores']

PACKAGES = ('numpy', 'opencv-python', 'opencv-python-headless', 'mmcv', 'onedl-mmcv', 'mmengine', 'onedl-mmengine',
            'mmsegmentation', 'onedl-mmsegmentation', 'onnxruntime', 'openvino', 'tensorrt')


def cpu_name() -> str:
    """Return the processor's name as far as the system tells it."""
    return (told_by_cores('model name') or [platform.processor() or platform.machine()])[0]


def told_by_cores(name: str) -> list[str]:
    """Return what Linux tells under a name for each core; nothing on other systems.

    Args:
        name: As in ``/proc/cpuinfo``.
    """
    info = Path('/proc/cpuinfo')
    lines = info.read_text().splitlines() if info.is_file() else []
    return [line.partition(':')[2].strip() for line in lines if line.startswith(name)]


def cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else os.cpu_count() or 1


def machine() -> dict[str, Any]:
    """Describe what timings depend on: processor, threads, load and versions.

    Returns:
        ``cpu``, ``cores`` (those that this process may use), ``threads`` (PyTorch's), ``gpu``, ``load_average``,
        ``python``, ``torch`` and ``versions`` of the packages that compute; JSON-able.

    Example:
        >>> machine()['cores'] >= 1
        True
    """
    import torch

    versions = {}
    for package in PACKAGES:
        with contextlib.suppress(metadata.PackageNotFoundError):
            versions[package] = metadata.version(package)
    load = [round(value, 2) for value in os.getloadavg()] if hasattr(os, 'getloadavg') else None
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else None
    return dict(cpu=cpu_name(), cores=cores(), threads=torch.get_num_threads(), gpu=gpu, load_average=load,
                python=platform.python_version(), torch=torch.__version__, versions=versions)


def interleave(calls: Mapping[str, Callable[[], Any]], rounds: int = 10, warmup: int = 2,
               least: float = 0.0) -> dict[str, list[float]]:
    """Time several calls in turn, so that whatever slows the machine down slows all of them.

    Args:
        calls: What to time, by name. On a GPU a call must wait for its own result.
        rounds: Rounds that count.
        warmup: Rounds before them that do not.
        least: Seconds that the rounds that count take together at least; further rounds fill them up.

    Returns:
        Seconds of every round by name; the entries of one round belong together.

    Raises:
        InputError: If ``rounds`` is below one.

    Example:
        >>> [len(seconds) for seconds in interleave(dict(a=int, b=str), 4).values()]
        [4, 4]
    """
    expect(rounds >= 1, 'rounds', 'at least 1', rounds)
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    number, begin = 0, 0.0
    while number < warmup + rounds or time.perf_counter() - begin < least:
        if number == warmup:
            begin = time.perf_counter()
        for name, call in calls.items():
            start = time.perf_counter()
            call()
            seconds[name].append(time.perf_counter() - start)
        number += 1
    return {name: found[warmup:] for name, found in seconds.items()}


def spread(seconds: Sequence[float]) -> dict[str, float]:
    """Summarise timings in milliseconds.

    Args:
        seconds: Seconds of each round, in any order; at least one.

    Example:
        >>> spread([0.003, 0.001, 0.002])
        {'median': 2.0, 'p90': 3.0, 'min': 1.0, 'max': 3.0, 'rounds': 3}
    """
    ordered = sorted(round(1000 * value, 4) for value in seconds)
    p90 = ordered[min(len(ordered) - 1, int(0.9 * len(ordered)))]
    return dict(median=round(statistics.median(ordered), 4), p90=p90, min=ordered[0], max=ordered[-1],
                rounds=len(ordered))
