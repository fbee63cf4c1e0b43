"""What all benchmarks share: options, reports as JSON, ratios, peak memory, and the image that is timed.

Timing itself is :mod:`bisenet_plugins.timing`.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import shlex
import statistics
import sys
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import cv2
import numpy as np
import torch

from bisenet_plugins.datasets.scenes.painter import paint_scene
from bisenet_plugins.files import read_image, write_atomically
from bisenet_plugins.runtime.sources import find_sources
from bisenet_plugins.timing import machine, told_by_cores

__all__ = ['Report', 'apart', 'cpu_state', 'image_files', 'load_image', 'load_images', 'options', 'parse',
           'peak_memory_mb', 'ratio', 'save', 'spread_out', 'synchronised']

SCHEMA = 3
DRAWN = 8
"""Scenes that are drawn where no images are given, all different."""
Result = TypeVar('Result')
_BEFORE: dict[str, Any] = {}
"""State of the processor when the command line was read."""


def options(description: str, rounds: int, image: bool = False) -> argparse.ArgumentParser:
    """Start the command line of a benchmark.

    Args:
        description: What it times.
        rounds: Default number of rounds that count.
        image: Whether it works on images whose size can be chosen.
    """
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument('--out', help='JSON file of the report, such as benchmarks/results/NAME.json')
    parser.add_argument('--rounds', type=int, default=rounds, help='rounds that count at least (default: %(default)s)')
    parser.add_argument('--seconds', type=float, default=0, help='seconds that they take at least (default: 0)')
    parser.add_argument('--threads', type=int, help="threads on the CPU (default: PyTorch's own)")
    parser.add_argument('--device', default='cpu', help='where networks run (default: %(default)s)')
    if image:
        parser.add_argument('--images', nargs='+', metavar='PATH', help='images, or folders of them, which take turns '
                            f'(default: {DRAWN} drawn street scenes)')
        parser.add_argument('--image-size', nargs=2, type=int, default=(1024, 2048), metavar=('H', 'W'),
                            help='size that it is scaled to (default: 1024 2048)')
    return parser


def parse(parser: argparse.ArgumentParser, argv: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line, and set the number of threads.

    Args:
        parser: As from :func:`options`.
        argv: The arguments; None takes the process's own.
    """
    args = parser.parse_args(argv)
    _BEFORE.update(cpu_state())
    if args.device.startswith('cuda') and not torch.cuda.is_available():
        parser.error(f'expected a device that this machine has, got {args.device} without a GPU')
    if args.threads:
        torch.set_num_threads(args.threads)
    return args


def cpu_state() -> dict[str, Any]:
    """Return what shows whether a processor was slowed down; take it before and after timing.

    Returns:
        ``mhz``, the mean clock that the system reports, and ``throttled``, how often its cores were throttled so far;
        None for what the system does not tell, as in most virtual machines.
    """
    clocks = [float(clock) for clock in told_by_cores('cpu MHz')]
    counts = [int(path.read_text()) for path in
              Path('/sys/devices/system/cpu').glob('cpu[0-9]*/thermal_throttle/core_throttle_count')]
    return dict(mhz=round(statistics.mean(clocks)) if clocks else None, throttled=sum(counts) if counts else None)


def load_image(path: str | None, size: tuple[int, int]) -> np.ndarray:
    """Read an image, or draw a street scene, at a size.

    Args:
        path: The file; None draws.
        size: Height and width.

    Shape:
        - Output: ``(H, W, 3)`` uint8 BGR.
    """
    if path is None:
        image = np.ascontiguousarray(paint_scene((min(size[0], 512), min(size[1], 1024)), 0, 0)[0][..., ::-1])
    else:
        image = read_image(Path(path))
    if image.shape[:2] != tuple(size):
        image = cv2.resize(image, (size[1], size[0]), interpolation=cv2.INTER_CUBIC)
    return image


def load_images(paths: Sequence[str] | None, size: tuple[int, int], most: int = 32) -> list[np.ndarray]:
    """Read images, or draw street scenes, at a size.

    Args:
        paths: Files and folders; None draws eight scenes.
        size: Height and width.
        most: Images taken, spread over all that there are.

    Shape:
        - Output: ``(H, W, 3)`` uint8 BGR each.

    Raises:
        ValueError: If a folder holds no image.
    """
    if not paths:
        return [cv2.resize(np.ascontiguousarray(paint_scene((256, 512), 0, number)[0][..., ::-1]), size[::-1],
                           interpolation=cv2.INTER_CUBIC) for number in range(DRAWN)]
    return [load_image(path, size) for path in spread_out(image_files(paths), most)]


def image_files(paths: Sequence[str]) -> list[str]:
    """List files, those of folders included.

    Args:
        paths: Files and folders.
    """
    sources = find_sources(paths)
    if any(source.kind != 'image' for source in sources):
        raise ValueError(f'expected images or folders of them, got {" ".join(paths)}')
    return [str(source.path) for source in sources]


def spread_out(items: Sequence[Any], most: int) -> list[Any]:
    """Take at most so many items, at equal distances.

    Args:
        items: The items.
        most: How many.

    Example:
        >>> spread_out(range(10), 3)
        [0, 3, 6]
    """
    return list(items) if len(items) <= most else [items[number * len(items) // most] for number in range(most)]


def synchronised(call: Callable[[], Any], device: str) -> Callable[[], Any]:
    """Return a call that waits for its result where it runs on a GPU.

    Args:
        call: What to time.
        device: Where it runs.
    """
    if not device.startswith('cuda'):
        return call

    def waits() -> Any:
        result = call()
        torch.cuda.synchronize(device)
        return result

    return waits


def ratio(slow: Sequence[float], fast: Sequence[float]) -> dict[str, float]:
    """Compare two interleaved series round by round.

    Args:
        slow: Seconds of what is compared against.
        fast: Seconds of the other in the same rounds.

    Returns:
        How many times faster: the ratio of the medians, and the 10th and 90th percentile of the rounds' own ratios.

    Example:
        >>> ratio([2.0, 4.0, 6.0], [1.0, 2.0, 2.0])
        {'of_medians': 2.0, 'p10': 2.0, 'p90': 3.0}
    """
    rounds = sorted(a / b for a, b in zip(slow, fast, strict=True))
    return dict(of_medians=round(statistics.median(slow) / statistics.median(fast), 3),
                p10=round(rounds[int(0.1 * len(rounds))], 3),
                p90=round(rounds[min(len(rounds) - 1, int(0.9 * len(rounds)))], 3))


def peak_memory_mb(device: str = 'cpu') -> float:
    """Return the most memory in MiB that this process has held: on the GPU if one is named, else resident.

    Args:
        device: Where the network runs.

    Example:
        >>> peak_memory_mb() > 10
        True
    """
    if device.startswith('cuda'):
        return round(torch.cuda.max_memory_allocated(device) / 2**20, 1)
    status = Path('/proc/self/status')
    if status.is_file():  # unlike getrusage, this does not count the process that started this one
        line = next((line for line in status.read_text().splitlines() if line.startswith('VmHWM:')), None)
        if line is not None:
            return round(int(line.split()[1]) / 1024, 1)
    import resource

    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1)


def apart(function: Callable[..., Result], *args: Any, preload: str | None = None) -> Result:
    """Call a function in a fresh process, whose peak memory is its own.

    Args:
        function: A function of a module.
        args: Its arguments; they and the result are pickled.
        preload: Shared library that the process is started with, such as an allocator.
    """
    before = os.environ.get('LD_PRELOAD')
    if preload:
        os.environ['LD_PRELOAD'] = preload
    try:
        with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context('spawn')) as pool:
            return pool.submit(_with_threads, torch.get_num_threads(), function, *args).result()
    finally:
        if preload:
            os.environ.pop('LD_PRELOAD')
            if before is not None:
                os.environ['LD_PRELOAD'] = before


def _with_threads(threads: int, function: Callable[..., Result], *args: Any) -> Result:
    torch.set_num_threads(threads)
    return function(*args)


@dataclass
class Report:
    """The figures of one benchmark.

    Args:
        benchmark: Its name, which is its module's.
        settings: Sizes, rounds and whatever else was chosen.
        rows: One dictionary for each thing that was timed: ``name``, and ``ms`` or ``stages_ms`` with the times.
        ratios: Comparisons within this run: ``of``, ``over`` and the figures of :func:`ratio`.
        checks: What was verified beside the times.
        command: The command line that reproduces it.
        machine: As from :func:`bisenet_plugins.timing.machine`, with the processor's state ``before`` and ``after``.
    """

    benchmark: str
    settings: dict[str, Any] = field(default_factory=dict)
    rows: list[dict[str, Any]] = field(default_factory=list)
    ratios: list[dict[str, Any]] = field(default_factory=list)
    checks: dict[str, Any] = field(default_factory=dict)
    command: str = ''
    machine: dict[str, Any] = field(default_factory=dict)

    def compare(self, seconds: Mapping[str, Sequence[float]], base: str) -> None:
        """Add the ratio of every series to one of them.

        Args:
            seconds: Series by name, as from :func:`bisenet_plugins.timing.interleave`.
            base: The series that the others are compared with.
        """
        for name, series in seconds.items():
            if name != base:
                self.ratios.append(dict(of=base, over=name, **ratio(seconds[base], series)))

    def write(self, out: str | os.PathLike[str]) -> None:
        """Write the report as JSON.

        Args:
            out: The file.
        """
        write_atomically(out, (json.dumps(dict(schema=SCHEMA, **self.__dict__), indent=1) + '\n').encode())

    def table(self) -> str:
        """Return the report as Markdown.

        Example:
            >>> print(Report('x', rows=[dict(name='a', ms=dict(median=10.0, p90=12.0, min=9.0), gmacs=2.0)]).table())
            | name | median ms | p90 ms | min ms | per second | gmacs |
            |---|---|---|---|---|---|
            | a | 10.00 | 12.00 | 9.00 | 100.0 | 2.0 |
        """
        extra = [key for key in dict.fromkeys(key for row in self.rows for key in row)
                 if key not in ('name', 'ms', 'stages_ms')]
        stages = list(dict.fromkeys(stage for row in self.rows for stage in row.get('stages_ms', {})))
        head = ['name', 'median ms', 'p90 ms', 'min ms', 'per second', *stages, *extra]
        lines = []
        for row in self.rows:
            ms, parts = row.get('ms'), row.get('stages_ms', {})
            lines.append([row['name'], *([f'{ms[key]:.2f}' for key in ('median', 'p90', 'min')] if ms else [''] * 3),
                          f'{1000 / ms["median"]:.1f}' if ms else '',
                          *(f'{parts[stage]["median"]:.2f}' if stage in parts else '' for stage in stages),
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


def save(report: Report, out: str | None, argv: Sequence[str] | None = None) -> None:
    """Print a report; write it with its command and its machine.

    Args:
        report: The figures.
        out: JSON file; None only prints.
        argv: Arguments of the command line; None takes the process's own.
    """
    arguments = sys.argv[1:] if argv is None else list(argv)
    report.command = f'python -m benchmarks.{report.benchmark} {shlex.join(arguments)}'.strip()
    report.machine = dict(machine(), before=dict(_BEFORE), after=cpu_state())
    if out is not None:
        report.write(out)
    print(report.table())
