"""Loss, learning rate and mIoU of a run as one plot beside its log, resumed runs included."""

from __future__ import annotations

import contextlib
import io
import json
import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mmengine.dist import master_only
from mmengine.hooks import Hook
from mmseg.registry import HOOKS

from ..files import write_atomically

__all__ = ['CurvesHook', 'draw_curves', 'read_history']

_KEY = 'curves_logs'


def read_history(logs: Sequence[tuple[str | os.PathLike[str], int]]) -> dict[int, dict[str, float]]:
    r"""Join the scalars that one run wrote over all its starts.

    Args:
        logs: For each start of the run, its ``scalars.json`` and the iteration it began at. What an earlier start wrote
            after the place where the next one took over is left out.

    Returns:
        Scalars by name for each step, in rising order; training and validation of a step are in one dictionary.

    Note:
        A last line truncated by a kill is skipped, and so is a missing file.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / 'scalars.json'
        >>> _ = path.write_text('{"loss": 2.0, "step": 1}\n{"mIoU": 50.0, "step": 1}\n{"loss": 1.')
        >>> read_history([(path, 0)])
        {1: {'loss': 2.0, 'mIoU': 50.0}}
    """
    history: dict[int, dict[str, float]] = {}
    ends = [*(begin for _, begin in logs[1:]), math.inf]
    for (path, _), end in zip(logs, ends):
        text = Path(path).read_text(encoding='utf-8', errors='replace') if Path(path).is_file() else ''
        for line in text.splitlines():
            with contextlib.suppress(ValueError, KeyError, TypeError, AttributeError):
                scalars = json.loads(line)
                if (step := int(scalars.pop('step'))) <= end:
                    history.setdefault(step, {}).update(
                        (name, float(value)) for name, value in scalars.items() if isinstance(value, int | float))
    return dict(sorted(history.items()))


def draw_curves(history: dict[int, dict[str, float]], title: str = '') -> bytes:
    """Draw loss, learning rate and mIoU over the iterations.

    Args:
        history: As from :func:`read_history`.
        title: Text above the curves.

    Returns:
        A PNG file's content.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12, 3.6), dpi=100, layout='constrained')
    names = [name for scalars in history.values() for name in scalars]
    losses = [name for name in dict.fromkeys(names) if name == 'loss' or name.rpartition('.')[2].startswith('loss')]
    panels = {'loss': sorted(losses, key=lambda name: name != 'loss'), 'learning rate': ['lr'], 'mIoU': ['mIoU']}
    for axis, (label, keys) in zip(figure.subplots(1, 3), panels.items(), strict=True):
        for name in keys:
            points = [(step, scalars[name]) for step, scalars in history.items() if name in scalars]
            if points:
                marker = 'o' if name == 'mIoU' or len(points) == 1 else ''
                thick = 1.6 if name in ('loss', 'lr', 'mIoU') else 0.8
                axis.plot(*zip(*points, strict=True), label=name, marker=marker, markersize=3, linewidth=thick)
        axis.set(xlabel='iteration', title=label)
        axis.grid(alpha=0.3)
        if 1 < len(keys) <= 10 and axis.lines:
            axis.legend(fontsize=7)
    figure.suptitle(title, fontsize=9)
    figure.savefig(buffer := io.BytesIO(), format='png')
    return buffer.getvalue()


@HOOKS.register_module()
class CurvesHook(Hook):
    """Draw ``curves.png`` beside the log after each validation and at the end of training.

    The scalars come from the ``scalars.json`` that ``LocalVisBackend`` writes. A resumed run writes its log to a new
    folder; which folders belong together is kept in the checkpoint, so that the plot shows the whole history.

    Args:
        filename: Name of the plot.

    Note:
        Without ``LocalVisBackend`` among the visualizer's backends there is nothing to draw, which is said once.

    Example:
        >>> CurvesHook().filename
        'curves.png'
    """

    priority = 'LOW'  # after the logger, which writes the scalars

    def __init__(self, filename: str = 'curves.png') -> None:
        self.filename, self._warned = filename, False

    def before_train(self, runner: Any) -> None:
        """Note where this start of the run writes."""
        logs = [list(entry) for entry in runner.message_hub.get_info(_KEY, []) if entry[0] != runner.timestamp]
        runner.message_hub.update_info(_KEY, [*logs, [runner.timestamp, runner.iter]])

    @master_only
    def after_val_epoch(self, runner: Any, metrics: dict[str, float] | None = None) -> None:
        """Draw what there is so far."""
        noted = runner.message_hub.get_info(_KEY, []) or [[runner.timestamp, 0]]
        logs = [(Path(runner.work_dir) / name / 'vis_data' / 'scalars.json', begin) for name, begin in noted]
        history = read_history(logs)
        if history:
            write_atomically(Path(runner.log_dir) / self.filename, draw_curves(history, runner.experiment_name))
        elif not self._warned:
            self._warned = True
            runner.logger.warning('CurvesHook found no scalars to draw; does the visualizer have a LocalVisBackend?')

    after_train = after_val_epoch
