"""What ``tools/predict.py`` does once its options are read."""

from __future__ import annotations

import sys
from argparse import Namespace
from pathlib import Path

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from ..engine.checkpoint import DamagedCheckpointError, RefusedCheckpointError, find_resumable
from .files import Listener, Summary, predict_sources
from .predictor import Predictor
from .sources import Source, find_sources

__all__ = ['run_predict']


def run_predict(args: Namespace, demo_dir: Path) -> int:
    """Segment what a command line names, with a progress bar, and say what came out.

    Args:
        args: Options of ``tools/predict.py``.
        demo_dir: Where the demo leaves its config and checkpoint, used when the command line names neither.

    Returns:
        The exit status: 0, or 1 if a source failed or nothing could be started.
    """
    console = Console(stderr=True, soft_wrap=True, highlight=False)
    try:
        config, checkpoint = _network(args, demo_dir)
        predictor = Predictor(config, checkpoint, args.device)
        sources = find_sources(args.inputs, args.recursive, exclude=[Path(args.out_dir)])
        summary = _with_progress(console, predictor, sources, args)
    except (FileNotFoundError, DamagedCheckpointError, RefusedCheckpointError, ValueError) as error:
        print(f'error: {error}', file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print('stopped; the same command with --skip-existing goes on', file=sys.stderr)
        return 1
    print(
        f'{summary.done} done ({summary.frames} pictures), {summary.skipped} skipped, {len(summary.failed)} failed; '
        f'results in {args.out_dir}'
    )
    return 1 if summary.failed else 0


def _network(args: Namespace, demo_dir: Path) -> tuple[Path, Path]:
    """Find config and checkpoint: those named, or those of the demo."""
    if args.config and args.checkpoint:
        return Path(args.config), Path(args.checkpoint)
    if args.config or args.checkpoint:
        raise ValueError('--config and --checkpoint go together, one of them is missing')
    configs = sorted(demo_dir.glob('*.py'), key=lambda path: path.stat().st_mtime)
    checkpoint = find_resumable(demo_dir)
    if not configs or checkpoint is None:
        raise ValueError(f'name a network by --config and --checkpoint, or run "make demo" first ({demo_dir} has none)')
    return configs[-1], checkpoint


def _with_progress(console: Console, predictor: Predictor, sources: list[Source], args: Namespace) -> Summary:
    """Segment the sources under a bar; failures are printed as they come."""
    columns = (
        TextColumn('{task.description}'),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console) as bar:
        return predict_sources(
            predictor,
            sources,
            args.out_dir,
            predictor.palette,
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
