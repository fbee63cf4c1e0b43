"""Compare training runs: ``python -m benchmarks.compare_runs ours=LOG theirs=LOG --out benchmarks/results/NAME``."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from benchmarks.plots import figure_bytes
from bisenet_plugins.engine.curves_hook import read_history
from bisenet_plugins.files import write_atomically
from bisenet_plugins.timing import machine

__all__ = ['compare_runs', 'main']


def compare_runs(logs: Mapping[str, str | Path], out: str | Path, note: str = '') -> str:
    """Write ``out.json``, ``out.png`` and ``out.md`` for runs of the same protocol.

    Args:
        logs: For each run's name its ``scalars.json``.
        out: Path of the results without a suffix.
        note: What the runs have in common, for the table's head.

    Returns:
        The table as Markdown.

    Raises:
        ValueError: If a log is missing or holds no validation.
    """
    runs: dict[str, Any] = {}
    for name, path in logs.items():
        history = read_history([(path, 0)])
        scores = {step: values['mIoU'] for step, values in history.items() if 'mIoU' in values}
        if not scores:
            raise ValueError(f'expected the scalars.json of a validated run for {name}, got {path} without an mIoU')
        losses = {step: values['loss'] for step, values in history.items() if 'loss' in values}
        runs[name] = dict(
            iterations=max(history), best_mIoU=max(scores.values()), last_mIoU=scores[max(scores)], mIoU=scores,
            loss=losses)
    rows = [f'| {name} | {run["iterations"]} | {run["last_mIoU"]:.2f} | {run["best_mIoU"]:.2f} |'
            for name, run in runs.items()]
    head = ['| run | iterations | mIoU at the end | best mIoU |', '|---|---|---|---|']
    table = '\n'.join([*([note, ''] if note else []), *head, *rows]) + '\n'
    base = Path(out)
    write_atomically(base.with_suffix('.json'),
                     json.dumps(dict(note=note, machine=machine(), runs=runs), indent=1).encode())
    write_atomically(base.with_suffix('.png'), _draw(runs))
    write_atomically(base.with_suffix('.md'), f'# Runs of the same protocol\n\n{table}'.encode())
    return table


def _draw(runs: dict[str, Any]) -> bytes:
    """Draw loss and mIoU of every run over the iterations, each curve named at its end."""
    figure = Figure(figsize=(10, 3.6), dpi=100, layout='constrained')
    labels = dict(loss='training loss, sum of all heads (nats)', mIoU='validation mIoU in %')
    for axis, (key, label) in zip(figure.subplots(1, 2), labels.items()):
        for name, run in runs.items():
            steps, values = list(run[key]), list(run[key].values())
            line = axis.plot(steps, values, marker='o' if key == 'mIoU' else '', markersize=3)[0]
            if steps:
                axis.annotate(name, (steps[-1], values[-1]), xytext=(5, -3), textcoords='offset points', fontsize=8,
                              color=line.get_color(), annotation_clip=False)
        axis.set_xlim(right=1.4 * max(run['iterations'] for run in runs.values()))  # room for the names
        axis.set_xlabel('iteration')
        axis.set_ylabel(label)
        axis.grid(alpha=0.3)
    return figure_bytes(figure)


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description='Compare training runs.')
    parser.add_argument('runs', nargs='+', metavar='NAME=LOG', help="a name and the run's vis_data/scalars.json")
    parser.add_argument('--out', required=True, help='path of the .json, .png and .md, without a suffix')
    parser.add_argument('--note', default='', help='what the runs have in common')
    args = parser.parse_args(argv)
    wrong = [run for run in args.runs if '=' not in run]
    if wrong:
        parser.error(f'expected NAME=LOG, got {wrong[0]!r}')
    try:
        print(compare_runs(dict(run.split('=', 1) for run in args.runs), args.out, args.note))
    except ValueError as error:
        sys.exit(f'error: {error}')


if __name__ == '__main__':
    main()
