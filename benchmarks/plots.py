"""Plots of reports: accuracy against speed, and time against pixels. Every point and line is named where it stands."""

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

__all__ = ['figure_bytes', 'plot_scaling', 'plot_speed']


def _median(ms: Mapping[str, float]) -> float:
    """Read a median; reports of the first version call it ``p50``."""
    return ms['median'] if 'median' in ms else ms['p50']


def _plain(axis: Any) -> None:
    """Write the numbers of a logarithmic axis in full."""
    for kind in (axis.set_major_formatter, axis.set_minor_formatter):
        kind(ScalarFormatter())


def plot_speed(
    files: Sequence[str | os.PathLike[str]], out: str | os.PathLike[str], miou: Mapping[str, float] | None = None
) -> None:
    """Draw mIoU against images/s where every mIoU is known, else the network's GMACs.

    Args:
        files: JSON reports of candidates.
        out: The PNG.
        miou: Scores in percent by name, over those that the reports have.

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
        raise ValueError(f'expected rows with a speed and an mIoU or GMACs, got none in {list(map(str, files))}')
    figure = Figure(figsize=(7, 4.5), dpi=100, layout='constrained')
    axis = figure.subplots()
    if key == 'gmacs':
        axis.set_yscale('log')
        _plain(axis.yaxis)
    last: list[tuple[float, float]] = []
    axis.margins(0.2)
    for row in sorted(rows, key=lambda row: row[key]):
        x = 1000 / _median(row['ms'])
        axis.plot(x, row[key], 'o', color='C0')
        last.append((x, row[key]))
    figure.draw_without_rendering()  # limits are known from here on
    taken: list[Any] = []
    for row, place in zip(sorted(rows, key=lambda row: row[key]), last):
        for shift in ((6, 4), (6, -12), (6, 16), (6, -24), (6, 28), (6, -36)):  # the first place that is free
            text = axis.annotate(row['name'], place, xytext=shift, textcoords='offset points', fontsize=8)
            box = text.get_window_extent()
            if not any(box.overlaps(other) for other in taken):
                break
            text.remove()
        else:
            text = axis.annotate(row['name'], place, xytext=(6, 4), textcoords='offset points', fontsize=8)
        taken.append(text.get_window_extent())
    axis.set_xlabel('speed in images/s (median, from a decoded image to its mask)')
    axis.set_ylabel('mIoU in %' if key == 'miou' else 'GMACs of the network')
    axis.grid(alpha=0.3)
    write_atomically(out, figure_bytes(figure))


def plot_scaling(file: str | os.PathLike[str], out: str | os.PathLike[str]) -> None:
    """Draw the time of every stage against the image's pixels, with the fitted exponents.

    Args:
        file: JSON report of ``scaling``.
        out: The PNG.

    Raises:
        ValueError: If the report is of another benchmark.
    """
    with open(file) as opened:
        content = json.load(opened)
    if content.get('benchmark') != 'scaling':
        raise ValueError(f'expected a report of scaling, got {file} of {content.get("benchmark")}')
    figure = Figure(figsize=(8, 4.5), dpi=100, layout='constrained')
    axis = figure.subplots()
    pixels = [row['megapixels'] for row in content['rows']]
    ends = []
    for stage, exponent in content['checks']['exponents'].items():
        values = [_median(row['ms'] if stage == 'whole' else row['stages_ms'][stage]) for row in content['rows']]
        line = axis.loglog(pixels, values, 'o-', markersize=3)[0]
        ends.append((values[-1], f'{stage}, pixels^{exponent:.2f}', line.get_color()))
    floor = 0.0
    for value, text, colour in sorted(ends):  # at the line's end, moved up where it would cover the one below
        floor = max(value, 1.35 * floor)
        axis.annotate(text, (pixels[-1], floor), xytext=(8, -3), textcoords='offset points', fontsize=8, color=colour,
                      annotation_clip=False)
    for one in (axis.xaxis, axis.yaxis):
        one.set_major_formatter(ScalarFormatter())
    axis.set_xlim(right=pixels[-1] * 4)
    axis.set_xlabel('image in megapixels')
    axis.set_ylabel('time in ms (median)')
    axis.grid(alpha=0.3, which='both')
    write_atomically(out, figure_bytes(figure))


def figure_bytes(figure: Figure) -> bytes:
    """Render a figure as PNG.

    Args:
        figure: The figure.
    """
    buffer = io.BytesIO()
    FigureCanvasAgg(figure).print_png(buffer)
    return buffer.getvalue()
