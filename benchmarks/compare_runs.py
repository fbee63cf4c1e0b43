"""Training runs side by side: a table, the curves, and the figures as JSON."""

from __future__ import annotations

import io
import json
import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from bisenet_plugins.engine.curves_hook import read_history
from bisenet_plugins.files import write_atomically

__all__ = ['compare_runs', 'machine']


def machine() -> dict[str, Any]:
    """Describe the machine that figures come from.

    Example:
        >>> machine()['torch'] == torch.__version__
        True
    """
    cpu = platform.processor() or platform.machine()
    info = Path('/proc/cpuinfo')
    if info.is_file():
        names = [line.partition(':')[2] for line in info.read_text().splitlines() if line.startswith('model name')]
        cpu = names[0].strip() if names else cpu
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else None
    return dict(cpu=cpu, cores=torch.multiprocessing.cpu_count(), gpu=gpu, python=platform.python_version(),
                torch=torch.__version__)


def compare_runs(logs: Mapping[str, str | Path], out: str | Path, note: str = '') -> str:
    """Write ``out.json``, ``out.png`` and ``out.md`` for runs of the same protocol.

    Args:
        logs: For each run's name its ``scalars.json``.
        out: Path of the results without an ending.
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
            raise ValueError(f'{name}: {path} holds no mIoU; give the scalars.json of a run that was validated')
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
    write_atomically(base.with_suffix('.md'), table.encode())
    return table


def _draw(runs: dict[str, Any]) -> bytes:
    """Draw loss and mIoU of every run over the iterations."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 3.6), dpi=100, layout='constrained')
    canvas = FigureCanvasAgg(figure)
    titles = dict(loss='training loss (sum of all heads)', mIoU='val mIoU')
    for axis, (key, title) in zip(figure.subplots(1, 2), titles.items()):
        for name, run in runs.items():
            marker = 'o' if key == 'mIoU' else ''
            axis.plot(list(run[key]), list(run[key].values()), label=name, marker=marker, markersize=3)
        axis.set_title(title)
        axis.set_xlabel('iteration')
        axis.grid(alpha=0.3)
        axis.legend(fontsize=8)
    buffer = io.BytesIO()
    canvas.print_png(buffer)
    return buffer.getvalue()
