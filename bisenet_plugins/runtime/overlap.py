"""Reading and computing beside what the caller does: nothing waits for a file that need not.

Reading a video, segmenting and writing it are three kinds of work that go on at the same time, and several images may
be segmented at once.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from ..errors import expect

__all__ = ['overlapped']

Item = TypeVar('Item')
Result = TypeVar('Result')
_END: Any = object()


def overlapped(items: Iterable[Item], work: Callable[[Item], Result], workers: int = 1
               ) -> Generator[Result, None, None]:
    """Yield ``work(item)`` of all items in order, while threads read and work on the next ones.

    Args:
        items: Where they come from; only one thread touches it.
        work: What is done with each.
        workers: Items that are worked on at the same time; two more are read or done already.

    Raises:
        InputError: If ``workers`` is below one.

    Note:
        An error of ``items`` or ``work`` is raised after the results before it. Closing the iterator, also by an error
        or by Ctrl-C, waits for what is being read or worked on and drops the rest.

    Example:
        >>> list(overlapped(range(5), str))
        ['0', '1', '2', '3', '4']
    """
    expect(workers >= 1, 'workers', 'at least 1', workers)
    return _overlapped(iter(items), work, workers)


def _overlapped(items: Any, work: Callable[[Any], Any], workers: int) -> Generator[Any, None, None]:
    with ThreadPoolExecutor(1, 'overlapped') as reader, ThreadPoolExecutor(workers, 'overlapped') as pool:
        def submit() -> Any:
            read = reader.submit(next, items, _END)
            return pool.submit(lambda: _END if (item := read.result()) is _END else work(item))

        waiting = deque(submit() for _ in range(workers + 2))
        try:
            while (found := waiting.popleft().result()) is not _END:
                waiting.append(submit())
                yield found
        finally:
            for executor in (reader, pool):
                executor.shutdown(wait=False, cancel_futures=True)
