"""How long something takes: clocks, statistics, the machine, and one JSON form for every figure.

Read this first; ``benchmark_subjects.py`` says what can be timed, the other ``benchmark_*.py`` are the benchmarks, and
``benchmarks/benchmark.py`` is their command line.
"""

from __future__ import annotations

import importlib.metadata
import json
import multiprocessing
import os
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import torch

from benchmarks.compare_runs import machine
from bisenet_plugins.files import write_atomically

__all__ = ['Report', 'apart', 'environment', 'interleave', 'peak_memory_mb', 'ratio', 'spread', 'synchronise']

SCHEMA = 1
PACKAGES = ('numpy', 'opencv-python', 'mmcv', 'onedl-mmcv', 'mmengine', 'onedl-mmengine', 'mmsegmentation',
            'onedl-mmsegmentation', 'onnxruntime', 'openvino', 'tensorrt')
Result = TypeVar('Result')


def environment(device: str = 'cpu') -> dict[str, Any]:
    """Describe what figures depend on: machine, threads, load and versions.

    Args:
        device: Where the network runs.

    Example:
        >>> environment()['threads'] == torch.get_num_threads()
        True
    """
    versions = {}
    for package in PACKAGES:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return dict(machine(), threads=torch.get_num_threads(), device=device, versions=versions,
                load_average=[round(value, 2) for value in os.getloadavg()] if hasattr(os, 'getloadavg') else None)


def synchronise(device: str) -> None:
    """Wait until a GPU has done what it was given.

    Args:
        device: Where the network runs; on the CPU there is nothing to wait for.
    """
    if device.startswith('cuda'):
        torch.cuda.synchronize(device)


def interleave(
    functions: Mapping[str, Callable[[], Any]], iterations: int, warmup: int = 3, device: str = 'cpu',
    states: Mapping[str, Callable[[], Any]] | None = None
) -> dict[str, list[float]]:
    """Time functions in turn, so that what slows the machine down slows all of them.

    Args:
        functions: What to time, by name.
        iterations: Rounds that count.
        warmup: Rounds before them that do not.
        device: Where the network runs.
        states: By the functions' names, what brings the process into the state that a function is timed in; where
            that differs from the state before, the function runs once more, uncounted.

    Returns:
        Seconds of every round by name; the entries of one round belong together.

    Raises:
        ValueError: If ``iterations`` is below one.

    Example:
        >>> [len(times) for times in interleave(dict(a=int, b=str), 4, 1).values()]
        [4, 4]
    """
    if iterations < 1:
        raise ValueError(f'iterations is {iterations}, one or more is wanted')
    times: dict[str, list[float]] = {name: [] for name in functions}
    current: Any = None
    for number in range(warmup + iterations):
        for name, function in functions.items():
            state = (states or {}).get(name, current)
            if state is not current:
                current = state
                state()
                function()
            synchronise(device)
            start = time.perf_counter()
            function()
            synchronise(device)
            if number >= warmup:
                times[name].append(time.perf_counter() - start)
    return times


def spread(seconds: Sequence[float]) -> dict[str, float]:
    """Summarise times in milliseconds.

    Args:
        seconds: Times, in any order.

    Example:
        >>> spread([0.003, 0.001, 0.002])
        {'p50': 2.0, 'p90': 3.0, 'p99': 3.0, 'mean': 2.0, 'min': 1.0, 'runs': 3}
    """
    ordered = sorted(1000 * value for value in seconds)

    def rank(share: float) -> float:
        return round(ordered[min(len(ordered) - 1, int(share * len(ordered)))], 4)

    return dict(p50=round(statistics.median(ordered), 4), p90=rank(0.9), p99=rank(0.99),
                mean=round(statistics.fmean(ordered), 4), min=round(ordered[0], 4), runs=len(ordered))


def ratio(slow: Sequence[float], fast: Sequence[float]) -> dict[str, float]:
    """Compare two interleaved series round by round.

    Args:
        slow: Times of what the other is compared with.
        fast: Times of the other in the same rounds.

    Returns:
        How many times faster: of the medians, and the 10th and 90th of a hundred rounds.

    Example:
        >>> ratio([2.0, 4.0, 6.0], [1.0, 2.0, 2.0])
        {'of_medians': 2.0, 'p10': 2.0, 'p90': 3.0}
    """
    rounds = sorted(a / b for a, b in zip(slow, fast, strict=True))
    return dict(of_medians=round(statistics.median(slow) / statistics.median(fast), 3),
                p10=round(rounds[int(0.1 * len(rounds))], 3),
                p90=round(rounds[min(len(rounds) - 1, int(0.9 * len(rounds)))], 3))


def peak_memory_mb(device: str = 'cpu') -> float:
    """Return the most memory that this process has held, in MiB: on the GPU where one is named, else resident.

    Args:
        device: Where the network runs.

    Example:
        >>> peak_memory_mb() > 10
        True
    """
    if device.startswith('cuda'):
        return round(torch.cuda.max_memory_allocated(device) / 2**20, 1)
    status = Path('/proc/self/status')
    if status.is_file():  # unlike getrusage, this forgets the process that started this one
        line = next((line for line in status.read_text().splitlines() if line.startswith('VmHWM:')), None)
        if line is not None:
            return round(int(line.split()[1]) / 1024, 1)
    import resource

    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1)


def apart(function: Callable[..., Result], *args: Any) -> Result:
    """Call a function in a fresh process, whose peak memory is its own.

    Args:
        function: A function of a module.
        args: Its arguments; they and the result travel by pickle.
    """
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context('spawn')) as pool:
        return pool.submit(_with_threads, torch.get_num_threads(), function, *args).result()


def _with_threads(threads: int, function: Callable[..., Result], *args: Any) -> Result:
    torch.set_num_threads(threads)
    return function(*args)


@dataclass
class Report:
    """The figures of one benchmark.

    Args:
        benchmark: Its name.
        command: The command line that gives it again.
        settings: What was asked for: sizes, iterations, precision, whether files are read within the time.
        rows: One dictionary for each thing that was timed; ``name``, and ``ms`` or ``stages_ms`` with the times.
        ratios: Comparisons within this run: ``of``, ``over`` and the figures of :func:`ratio`.
        checks: What was verified beside the times.
        environment: As from :func:`environment`.
    """

    benchmark: str
    command: str = ''
    settings: dict[str, Any] = field(default_factory=dict)
    rows: list[dict[str, Any]] = field(default_factory=list)
    ratios: list[dict[str, Any]] = field(default_factory=list)
    checks: dict[str, Any] = field(default_factory=dict)
    environment: dict[str, Any] = field(default_factory=dict)

    def compare(self, times: Mapping[str, Sequence[float]], base: str) -> None:
        """Add the ratio of every series to one of them.

        Args:
            times: Series by name, as from :func:`interleave`.
            base: Name of the series that the others are compared with.
        """
        for name, series in times.items():
            if name != base:
                self.ratios.append(dict(of=base, over=name, **ratio(times[base], series)))

    def write(self, out: str | os.PathLike[str]) -> None:
        """Write the figures as JSON.

        Args:
            out: The file.
        """
        content = dict(schema=SCHEMA, **self.__dict__)
        write_atomically(out, (json.dumps(content, indent=1) + '\n').encode())

    def table(self) -> str:
        """Return the figures as Markdown.

        Example:
            >>> print(Report('x', rows=[dict(name='a', ms=spread([0.01]), gmacs=2.0)]).table())
            | name | p50 ms | p90 ms | p99 ms | a second | gmacs |
            |---|---|---|---|---|---|
            | a | 10.00 | 10.00 | 10.00 | 100.0 | 2.0 |
        """
        extra = [key for key in dict.fromkeys(key for row in self.rows for key in row)
                 if key not in ('name', 'ms', 'stages_ms')]
        stages = list(dict.fromkeys(stage for row in self.rows for stage in row.get('stages_ms', {})))
        head = ['name', 'p50 ms', 'p90 ms', 'p99 ms', 'a second', *stages, *extra]
        lines = []
        for row in self.rows:
            ms = row.get('ms')
            times = [f'{ms[key]:.2f}' for key in ('p50', 'p90', 'p99')] if ms else [''] * 3
            parts = row.get('stages_ms', {})
            lines.append([row['name'], *times, f'{1000 / ms["p50"]:.1f}' if ms else '',
                          *(f'{parts[stage]["p50"]:.2f}' if stage in parts else '' for stage in stages),
                          *(str(row.get(key, '')) for key in extra)])
        text = _markdown(head, lines)
        text += [f'{row["of"]} / {row["over"]}: {row["of_medians"]:.2f} x ({row["p10"]:.2f} to {row["p90"]:.2f})'
                 for row in self.ratios]
        for name, value in self.checks.items():
            if isinstance(value, list):
                keys = list(dict.fromkeys(key for row in value for key in row))
                text += ['', f'{name}:', *_markdown(keys, [[str(row.get(key, '')) for key in keys] for row in value])]
            else:
                text.append(f'{name}: {value}')
        return '\n'.join(text)


def _markdown(head: list[str], rows: list[list[str]]) -> list[str]:
    """Return the lines of a table."""
    return [f'| {" | ".join(head)} |', '|' + '---|' * len(head), *(f'| {" | ".join(row)} |' for row in rows)]
