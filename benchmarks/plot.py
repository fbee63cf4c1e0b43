"""Pictures of benchmarks: score against speed, and time against pixels."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import ScalarFormatter

from bisenet_plugins.files import write_atomically

__all__ = ['plot_scaling', 'plot_speed']


def plot_speed(
    files: Sequence[str | os.PathLike[str]], out: str | os.PathLike[str], miou: Mapping[str, float] | None = None
) -> None:
    """Draw mIoU against frames a second where every mIoU is known, otherwise multiply-adds.

    Args:
        files: JSON files of benchmarks of subjects.
        out: The PNG.
        miou: Scores in percent by subject, over those that the files have.

    Raises:
        ValueError: If no row has a speed and a value to draw.
    """
    rows: list[dict[str, Any]] = []
    for file in files:
        with open(file) as opened:
            rows += [row for row in json.load(opened)['rows'] if 'ms' in row]
    for row in rows:
        row['miou'] = (miou or {}).get(row['name'], row.get('miou'))
    key = 'miou' if rows and all(row['miou'] is not None for row in rows) else 'gmacs'
    rows = [row for row in rows if row.get(key) is not None]
    if not rows:
        raise ValueError(f'{[str(file) for file in files]} have no row with a speed and an mIoU or multiply-adds')
    figure = Figure(figsize=(7, 4.5), dpi=100, layout='constrained')
    axis = figure.subplots()
    for row in rows:
        axis.plot(1000 / row['ms']['p50'], row[key], 'o', label=row['name'])
    axis.legend(fontsize=8, loc='center left', bbox_to_anchor=(1, 0.5))
    if key == 'gmacs':
        axis.set_yscale('log')
        for use in (axis.yaxis.set_major_formatter, axis.yaxis.set_minor_formatter):
            use(ScalarFormatter())
    axis.set_xlabel('frames a second (median, from a decoded picture to its class map)')
    axis.set_ylabel('mIoU in percent' if key == 'miou' else 'multiply-adds of the network in thousand millions')
    axis.margins(0.15)
    axis.grid(alpha=0.3)
    _write(figure, out)


def plot_scaling(file: str | os.PathLike[str], out: str | os.PathLike[str]) -> None:
    """Draw the time of every stage against the picture's pixels, with the fitted exponents.

    Args:
        file: JSON file of a benchmark ``scaling``.
        out: The PNG.

    Raises:
        ValueError: If the file is of another benchmark.
    """
    with open(file) as opened:
        content = json.load(opened)
    if content.get('benchmark') != 'scaling':
        raise ValueError(f'{file} is of the benchmark {content.get("benchmark")!r}, scaling is wanted')
    figure = Figure(figsize=(8, 4.5), dpi=100, layout='constrained')
    axis = figure.subplots()
    pixels = [row['megapixels'] for row in content['rows']]
    for stage, exponent in content['checks']['exponents'].items():
        values = [(row['ms'] if stage == 'whole' else row['stages_ms'][stage])['p50'] for row in content['rows']]
        axis.loglog(pixels, values, 'o-', label=f'{stage}: pixels to the power {exponent:.2f}', markersize=3)
    axis.set_xlabel('million pixels')
    axis.set_ylabel('milliseconds (median)')
    axis.grid(alpha=0.3, which='both')
    axis.legend(fontsize=8, loc='center left', bbox_to_anchor=(1, 0.5))
    _write(figure, out)


def _write(figure: Figure, out: str | os.PathLike[str]) -> None:
    buffer = io.BytesIO()
    FigureCanvasAgg(figure).print_png(buffer)
    write_atomically(out, buffer.getvalue())
