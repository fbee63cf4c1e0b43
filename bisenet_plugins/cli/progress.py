"""The progress of a run over many sources: a bar where rich is installed, else what failed."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any

from ..errors import printable
from ..runtime.results import Listener
from ..runtime.sources import Source


@contextmanager
def progress_bar(total: int) -> Iterator[Listener]:
    """Show a bar on stderr, and print failures above it as they come.

    Args:
        total: How many sources there are.
    """
    if find_spec('rich') is None:
        yield _Plain()
        return
    from rich import console, progress

    columns = (progress.TextColumn('{task.description}', markup=False), progress.BarColumn(),
               progress.MofNCompleteColumn(), progress.TimeElapsedColumn(), progress.TimeRemainingColumn())
    terminal = console.Console(stderr=True, soft_wrap=True, highlight=False)
    with progress.Progress(*columns, console=terminal) as bar:
        yield _Bar(bar, total)


class _Plain(Listener):
    """Say what failed."""

    def ended(self, source: Source, failure: str | None) -> None:
        """Say what failed."""
        if failure is not None:
            print(f'failed: {printable(failure)}', file=sys.stderr)


class _Bar(Listener):
    """One bar for the sources, and one for the frames of the video that is open."""

    def __init__(self, bar: Any, total: int) -> None:
        self.bar = bar
        self.overall = bar.add_task('sources', total=total)
        self.current: Any = None

    def started(self, source: Source) -> None:
        """Open a bar for a video."""
        if source.kind in ('video', 'camera'):
            self.current = self.bar.add_task(printable(source.name), total=None)

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
            self.bar.console.print(f'failed: {printable(failure)}', markup=False)
        self.bar.advance(self.overall)
