"""Plots of reports: speed, accuracy against speed, growth; points are named where they stand."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter, NullLocator, StrMethodFormatter

from bisenet_plugins.files import write_atomically

__all__ = ['figure_bytes', 'plot_growth', 'plot_speed']


def _median(ms: Mapping[str, float]) -> float:
    """Read a median; reports of the first version call it ``p50``."""
    return ms['median'] if 'median' in ms else ms['p50']


def plot_speed(
    files: Sequence[str | os.PathLike[str]], out: str | os.PathLike[str], miou: Mapping[str, float] | None = None
) -> None:
    """Draw mIoU against images/s where the scores differ by a point or more, else a bar of images/s for each candidate.

    Args:
        files: JSON reports of candidates.
        out: The PNG.
        miou: Scores in percent by name, over those that the reports have.

    Raises:
        ValueError: If no row has a speed.
    """
    rows: list[dict[str, Any]] = []
    for file in files:
        with open(file) as opened:
            rows += [row for row in json.load(opened)['rows'] if 'ms' in row]
    if not rows:
        raise ValueError(f'expected rows with a speed, got none in {list(map(str, files))}')
    for row in rows:
        row.update(speed=1000 / _median(row['ms']), miou=(miou or {}).get(row['name'], row.get('miou')))
    scores = [row['miou'] for row in rows if row['miou'] is not None]
    scored = len(scores) == len(rows) and max(scores) - min(scores) >= 1
    figure = Figure(figsize=(8, 4.5 if scored else 1 + 0.5 * len(rows)), dpi=100, layout='constrained')
    axis = figure.subplots()
    axis.grid(alpha=0.3, axis='both' if scored else 'x')
    axis.set_xlabel('images/s, median, from decoded image to mask')
    if scored:
        axis.set_ylabel('mIoU in %')
        axis.plot([row['speed'] for row in rows], [row['miou'] for row in rows], 'o')
        axis.margins(0.2)
        _name_points(figure, axis, rows)
    else:
        known = [[*([f'{row["gmacs"]:.1f} GMACs'] if row.get('gmacs') else []),
                  *([f'{row["miou"]:.2f} % mIoU'] if row['miou'] is not None else [])] for row in rows]
        names = ['\n'.join([row['name'], *([', '.join(more)] if more else [])]) for row, more in zip(rows, known)]
        bars = axis.barh(names, [row['speed'] for row in rows])
        axis.bar_label(bars, fmt='%.1f', padding=3, fontsize=8)
        axis.invert_yaxis()
        axis.margins(x=0.15)
    write_atomically(out, figure_bytes(figure))


def _name_points(figure: Figure, axis: Any, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write each point's name beside it, in the first place that covers no other name."""
    figure.draw_without_rendering()  # limits are known from here on
    taken: list[Any] = []
    for row in rows:
        for shift in (4, -12, 16, -24, 28, -36):
            text = axis.annotate(row['name'], (row['speed'], row['miou']), xytext=(6, shift),
                                 textcoords='offset points', fontsize=8)
            box = text.get_window_extent()
            if shift == -36 or not any(box.overlaps(other) for other in taken):
                taken.append(box)
                break
            text.remove()


def plot_growth(file: str | os.PathLike[str], out: str | os.PathLike[str]) -> None:
    """Draw time and memory against what grows, a column for each axis, with the fitted exponents.

    Args:
        file: JSON report of ``growth``.
        out: The PNG.

    Raises:
        ValueError: If the report is of another benchmark.
    """
    with open(file) as opened:
        content = json.load(opened)
    if content.get('benchmark') != 'growth':
        raise ValueError(f'expected a report of growth, got {file} of {content.get("benchmark")}')
    axes = list(dict.fromkeys(row['axis'] for row in content['rows']))
    powers = {one['axis']: one for one in content['checks']['exponents']}
    figure = Figure(figsize=(3.2 * len(axes), 5.6), dpi=100, layout='constrained')
    panels = figure.subplots(2, len(axes), squeeze=False, sharex='col', sharey='row')
    for column, axis in zip(panels.T, axes):
        rows = [row for row in content['rows'] if row['axis'] == axis]
        values = [row['value'] for row in rows]
        column[0].loglog(values, [row['ms']['median'] for row in rows], 'o-', markersize=4)
        column[1].loglog(values, [row['prediction_mb'] for row in rows], 'o-', markersize=4, label='one prediction')
        column[1].loglog(values, [2 * row['largest_pair_mb'] for row in rows], 'k--', linewidth=1,
                         label='twice the largest pair of maps')
        for panel, kind in zip(column, ('time', 'memory')):
            if axis in powers:
                panel.set_title(f'{kind} ~ {axis} to the power {powers[axis][kind]:.2f}', fontsize=8)
            panel.set_xticks(values, [f'{value / 1e6:.2g}' if axis == 'pixels' else str(value) for value in values])
            panel.xaxis.set_minor_locator(NullLocator())
            panel.yaxis.set_major_formatter(StrMethodFormatter('{x:g}'))
            panel.yaxis.set_minor_formatter(NullFormatter())
            panel.grid(alpha=0.3, which='both')
        column[1].set_xlabel('million pixels' if axis == 'pixels' else axis)
    for panel, label in zip(panels[:, 0], ('time, ms (median)', 'memory beyond the loaded network, MiB')):
        panel.set_ylabel(label, fontsize=8)
    panels[1, 0].legend(fontsize=7)
    write_atomically(out, figure_bytes(figure))


def figure_bytes(figure: Figure) -> bytes:
    """Render a figure as PNG.

    Args:
        figure: The figure.
    """
    buffer = io.BytesIO()
    FigureCanvasAgg(figure).print_png(buffer)
    return buffer.getvalue()
