"""Time commands in fresh processes, from the shell to the result: ``python -m benchmarks.cold_start``.

Scenario: each command starts after the one before has ended; files are in the operating system's cache.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import cv2

from benchmarks.harness import Report, load_images, options, parse, save
from bisenet_plugins.runtime.backends import GRAPH_BACKENDS, installed
from bisenet_plugins.timing import interleave, spread
from bisenet_plugins.weights.store import pretrained_names

__all__ = ['commands', 'main', 'time_commands']

ROOT = Path(__file__).resolve().parents[1]
CLI = '-m', 'bisenet_cli'


def commands(before: str | None = None) -> dict[str, tuple[str, tuple[str, ...]]]:
    """Return what is timed, by name: folder of the package, and arguments of Python.

    Args:
        before: Checkout of an earlier version, whose prediction is timed beside this one's.
    """
    here, predict = str(ROOT), (*CLI, 'predict', 'photo.png')
    found: dict[str, tuple[str, tuple[str, ...]]] = {}
    if before:  # every version has this script
        found['bisenet predict, before'] = (before, (f'{Path(before).resolve()}/tools/predict.py', 'photo.png'))
    name = pretrained_names()[0]
    return {**found, 'bisenet predict': (here, predict),
            **{f'bisenet predict --backend {backend}': (here, (*predict, '--pretrained', name, '--backend', backend))
               for backend in (*installed(GRAPH_BACKENDS), 'torch')},
            'bisenet --help': (here, (*CLI, '--help')),
            'bisenet predict --help': (here, (*CLI, 'predict', '--help')),
            'import mmseg.apis': (here, ('-c', 'import mmseg.apis')),
            'import mmseg.apis, bisenet_plugins': (here, ('-c', 'import mmseg.apis, bisenet_plugins')),
            'import torch': (here, ('-c', 'import torch')),
            'python': (here, ('-c', ''))}


def time_commands(rounds: int, size: tuple[int, int], before: str | None = None, least: float = 0.0) -> Report:
    """Time all commands in turn.

    Args:
        rounds: Rounds that count; one more warms up the system's file cache.
        size: Height and width of the photograph.
        before: As for :func:`commands`.
        least: Seconds that the rounds take at least.

    Raises:
        RuntimeError: If a command fails.
    """
    report = Report('cold_start', settings=dict(scenario='fresh process', image=list(size), rounds=rounds,
                                                least_seconds=least))
    with tempfile.TemporaryDirectory() as folder:
        cv2.imwrite(str(Path(folder) / 'photo.png'), load_images(None, size)[0])

        def run(place: str, arguments: Sequence[str]) -> None:
            done = subprocess.run([sys.executable, '-W', 'ignore', *arguments], cwd=folder, capture_output=True,
                                  text=True, env={**os.environ, 'PYTHONPATH': place}, check=False)
            if done.returncode:
                raise RuntimeError(f'{arguments} failed: {done.stderr[-500:]}')

        seconds = interleave({name: partial(run, *command) for name, command in commands(before).items()}, rounds, 1,
                             least)
    report.rows = [dict(name=name, ms=spread(series)) for name, series in seconds.items()]
    report.compare(seconds, 'bisenet predict, before' if before else 'bisenet predict --backend torch')
    ours, theirs = (1000 * sorted(seconds[name])[len(seconds[name]) // 2] for name in (
        'import mmseg.apis, bisenet_plugins', 'import mmseg.apis'))
    report.checks['importing bisenet_plugins adds to mmseg.apis, ms'] = round(ours - theirs, 1)
    return report


def main(argv: Sequence[str] | None = None) -> None:
    parser = options('Time commands in fresh processes, from the shell to the result.', rounds=5)
    parser.add_argument('--before', metavar='DIR', help='checkout of an earlier version to compare with')
    parser.add_argument('--image-size', nargs=2, type=int, default=(360, 480), metavar=('H', 'W'),
                        help='size of the photograph (default: 360 480)')
    args = parse(parser, argv)
    save(time_commands(args.rounds, tuple(args.image_size), args.before, args.seconds), args.out, argv)


if __name__ == '__main__':
    main()
