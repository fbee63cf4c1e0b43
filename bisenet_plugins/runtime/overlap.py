"""Reading ahead and writing behind: what waits for files runs beside what computes.

Decoding, segmenting and drawing a video are three kinds of work that need not wait for each other. Both helpers keep
the order, hold a few items only, hand errors on to the caller, and leave no thread behind.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

from ..errors import expect

__all__ = ['WriteBehind', 'read_ahead']

Item = TypeVar('Item')
_END: Any = object()


def read_ahead(items: Iterable[Item], depth: int = 2) -> Generator[Item, None, None]:
    """Yield items in order while a thread gets the next ones.

    Args:
        items: Where they come from; only the thread touches it.
        depth: Most items that wait.

    Raises:
        InputError: If ``depth`` is below one.

    Note:
        An error of ``items`` is raised after the items before it. Closing the iterator, also by an error or by Ctrl-C,
        waits for the item that is being read and drops the rest.

    Example:
        >>> list(read_ahead(range(5)))
        [0, 1, 2, 3, 4]
    """
    expect(depth >= 1, 'depth', 'at least 1', depth)
    return _read_ahead(iter(items), depth)


def _read_ahead(items: Any, depth: int) -> Generator[Item, None, None]:
    with ThreadPoolExecutor(1, 'read-ahead') as pool:
        waiting = deque(pool.submit(next, items, _END) for _ in range(depth))
        try:
            while (item := waiting.popleft().result()) is not _END:
                waiting.append(pool.submit(next, items, _END))
                yield item
        finally:
            for future in waiting:
                future.cancel()


class WriteBehind:
    """Carry out calls one after the other in a thread.

    Args:
        depth: Most calls that wait; the next one waits for room.

    Raises:
        InputError: If ``depth`` is below one.

    Note:
        An error of a call is raised by a later call or at the end, once; the calls after it are dropped. Leaving by
        an error, Ctrl-C included, drops what still waits.

    Example:
        >>> done = []
        >>> with WriteBehind() as behind:
        ...     for number in range(3):
        ...         behind(done.append, number)
        >>> done
        [0, 1, 2]
    """

    def __init__(self, depth: int = 2) -> None:
        expect(depth >= 1, 'depth', 'at least 1', depth)
        self.depth = depth
        self._pool = ThreadPoolExecutor(1, 'write-behind')
        self._waiting: deque[Future[None]] = deque()
        self._failed = False

    def __enter__(self) -> WriteBehind:
        """Return the caller."""
        return self

    def __call__(self, function: Callable[..., Any], *args: Any) -> None:
        """Have ``function(*args)`` called after all earlier calls."""
        while len(self._waiting) >= self.depth or self._waiting and self._waiting[0].done():
            self._waiting.popleft().result()
        self._waiting.append(self._pool.submit(self._run, function, *args))

    def _run(self, function: Callable[..., Any], *args: Any) -> None:
        if not self._failed:
            try:
                function(*args)
            except BaseException:
                self._failed = True
                raise

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Wait for the calls that are left, or drop them."""
        try:
            while kind is None and self._waiting:
                self._waiting.popleft().result()
        finally:
            self._pool.shutdown(cancel_futures=True)
