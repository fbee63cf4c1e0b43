"""A progress bar for a run over many sources."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

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

from ..runtime.results import Listener
from ..runtime.sources import Source


@contextmanager
def progress_bar(total: int) -> Iterator[Listener]:
    """Show a bar on stderr, and print failures above it as they come.

    Args:
        total: How many sources there are.
    """
    console = Console(stderr=True, soft_wrap=True, highlight=False)
    columns = (TextColumn('{task.description}', markup=False), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(),
               TimeRemainingColumn())
    with Progress(*columns, console=console) as bar:
        yield _Bar(bar, total)


class _Bar(Listener):
    """One bar for the sources, and one for the frames of the video that is open."""

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
