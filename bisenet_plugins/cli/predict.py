"""What ``tools/predict.py`` does once its options are read."""

from __future__ import annotations

import sys
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from ..errors import DeployError
from ..runtime import load_pretrained
from ..runtime.predictor import Predictor
from ..runtime.results import Listener, Summary, predict_sources
from ..runtime.sources import Source, find_sources
from ..weights import pretrained_names
from ..weights.checkpoint import DamagedCheckpointError, RefusedCheckpointError, find_resumable

__all__ = ['run_predict']

MANY = 100
"""So many images repay the seconds in which a network is converted."""


def run_predict(args: Namespace, demo_dir: Path) -> int:
    """Segment what a command line names, with a progress bar, and say what came out.

    Args:
        args: Options of ``tools/predict.py``.
        demo_dir: Where the demo leaves its config and checkpoint, used when the command line names no network and none
            comes with the package.

    Returns:
        The exit status: 0, or 1 if a source failed or nothing could be started.
    """
    console = Console(stderr=True, soft_wrap=True, highlight=False)
    try:
        sources = find_sources(args.inputs, args.recursive, exclude=[Path(args.out_dir)])
        many = len(sources) >= MANY or any(source.kind in ('video', 'camera') for source in sources)
        predictor = _predictor(args, demo_dir, many)
        summary = _with_progress(console, predictor, predictor.palette, sources, args)
    except (FileNotFoundError, ImportError, DamagedCheckpointError, RefusedCheckpointError, DeployError,
            ValueError) as error:
        print(f'error: {error}', file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print('interrupted; run the same command with --skip-existing to go on', file=sys.stderr)
        return 1
    print(
        f'{summary.done} done ({summary.frames} pictures), {summary.skipped} skipped, {len(summary.failed)} failed; '
        f'results in {args.out_dir}'
    )
    return 1 if summary.failed else 0


def _predictor(args: Namespace, demo_dir: Path, many: bool) -> Predictor:
    """Load the network that is named, else the first that comes with the package, else the demo's."""
    if args.model is not None:
        if args.backend != 'auto':
            raise ValueError(f'--model has a backend of its own, --backend {args.backend} cannot change it')
        if args.config or args.checkpoint or args.pretrained:
            raise ValueError('--model takes the place of --config and --checkpoint and of --pretrained, both are given')
        return Predictor(args.model)
    backend: Any = 'torch' if args.backend == 'auto' and not many else args.backend
    settings: dict[str, Any] = dict(backend=backend, device=args.device)
    if (args.config or args.checkpoint) and args.pretrained:
        raise ValueError('--pretrained takes the place of --config and --checkpoint, both are given')
    if args.config and args.checkpoint:
        return Predictor(Path(args.config), Path(args.checkpoint), **settings)
    if args.config or args.checkpoint:
        raise ValueError('--config and --checkpoint go together, one of them is missing')
    shipped = args.pretrained or next(iter(pretrained_names()), None)
    if shipped:
        return load_pretrained(shipped, **settings)
    configs = sorted(demo_dir.glob('*.py'), key=lambda path: path.stat().st_mtime)
    checkpoint = find_resumable(demo_dir)
    if not configs or checkpoint is None:
        raise ValueError(f'name a network by --config and --checkpoint, or run "make demo" first ({demo_dir} has none)')
    return Predictor(configs[-1], checkpoint, **settings)


def _columns() -> tuple[ProgressColumn, ...]:
    """Return what a bar shows."""
    return (
        TextColumn('{task.description}'),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )


def _with_progress(console: Console, predictor: Callable[[Any], Any], palette: np.ndarray, sources: list[Source],
                   args: Namespace) -> Summary:
    """Segment the sources under a bar; failures are printed as they come."""
    with Progress(*_columns(), console=console) as bar:
        return predict_sources(
            predictor,
            sources,
            args.out_dir,
            palette,
            args.save,
            args.opacity,
            args.batch_size,
            args.skip_existing,
            args.max_frames,
            _Bar(bar, len(sources)),
        )


class _Bar(Listener):
    """Show a run as one bar for the sources, and one for the frames of the video that is open."""

    def __init__(self, bar: Progress, total: int) -> None:
        self.bar = bar
        self.overall = bar.add_task('sources', total=total)
        self.current: TaskID | None = None

    def started(self, source: Source) -> None:
        """Open a bar for a video."""
        if source.kind in ('video', 'camera'):
            self.current = self.bar.add_task(source.name, total=None)

    def advanced(self, source: Source, number: int, length: int | None) -> None:
        """Advance the video's bar."""
        if self.current is not None:
            self.bar.update(self.current, completed=number + 1, total=length)

    def ended(self, source: Source, failure: str | None) -> None:
        """Advance the bar of sources, and say what failed."""
        if self.current is not None:
            self.bar.remove_task(self.current)
            self.current = None
        if failure is not None:
            self.bar.console.print(f'failed: {failure}', markup=False)
        self.bar.advance(self.overall)
