"""Reading ahead and writing behind: what waits for files runs beside what computes.

Decoding, segmenting and drawing a video are three kinds of work that need not wait for each other. Both helpers keep
the order, hold a few items only, hand errors on to the caller, and leave no thread behind.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Generator, Iterable
from types import TracebackType
from typing import Any, TypeVar

__all__ = ['WriteBehind', 'read_ahead']

Item = TypeVar('Item')
_PAUSE_S = 0.2
"""How long a wait lasts before it looks whether it is still wanted; also lets Ctrl-C through on every system."""


def read_ahead(items: Iterable[Item], depth: int = 2) -> Generator[Item, None, None]:
    """Yield items in order while a thread gets the next ones.

    Args:
        items: Where they come from; it is only touched by the thread.
        depth: Most items that wait.

    Raises:
        ValueError: If ``depth`` is below one.

    Note:
        An error of ``items`` is raised after the items before it. Closing the iterator, also by an error or by Ctrl-C,
        waits for the item that is being read and drops the rest.

    Example:
        >>> list(read_ahead(range(5)))
        [0, 1, 2, 3, 4]
    """
    if depth < 1:
        raise ValueError(f'depth is {depth}, one or more is wanted')
    return _read_ahead(items, depth)


def _read_ahead(items: Iterable[Item], depth: int) -> Generator[Item, None, None]:
    waiting: queue.Queue[tuple[str, Any]] = queue.Queue(depth)
    unwanted = threading.Event()

    def hand_over(kind: str, value: Any) -> None:
        while not unwanted.is_set():
            try:
                return waiting.put((kind, value), timeout=_PAUSE_S)
            except queue.Full:
                continue

    def read() -> None:
        try:
            for item in items:
                hand_over('item', item)
                if unwanted.is_set():
                    return
            hand_over('end', None)
        except BaseException as error:  # raised again where the items are used
            hand_over('error', error)

    thread = threading.Thread(target=read, name='read-ahead', daemon=True)
    thread.start()
    try:
        while True:
            try:
                kind, value = waiting.get(timeout=_PAUSE_S)
            except queue.Empty:
                continue
            if kind == 'item':
                yield value
            elif kind == 'error':
                raise value
            else:
                return
    finally:
        unwanted.set()
        thread.join()


class WriteBehind:
    """Carry out calls one after the other in a thread.

    Args:
        depth: Most calls that wait; the next one waits for room.

    Raises:
        ValueError: If ``depth`` is below one.

    Note:
        An error of a call is raised by the next call or at the end, once; the calls after it are dropped. Leaving by
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
        if depth < 1:
            raise ValueError(f'depth is {depth}, one or more is wanted')
        self._waiting: queue.Queue[tuple[Callable[..., Any], tuple[Any, ...]] | None] = queue.Queue(depth)
        self._unwanted = threading.Event()
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._work, name='write-behind', daemon=True)

    def __enter__(self) -> WriteBehind:
        """Start the thread."""
        self._thread.start()
        return self

    def __call__(self, function: Callable[..., Any], *args: Any) -> None:
        """Have ``function(*args)`` called after all earlier calls."""
        self._hand_over((function, args))

    def _hand_over(self, call: tuple[Callable[..., Any], tuple[Any, ...]] | None) -> None:
        while True:
            self._raise()
            try:
                return self._waiting.put(call, timeout=_PAUSE_S)
            except queue.Full:
                continue

    def _raise(self) -> None:
        if self._error is not None:
            error, self._error = self._error, None
            raise error

    def _work(self) -> None:
        while True:
            call = self._waiting.get()
            if call is None:
                return
            if self._unwanted.is_set():
                continue
            try:
                call[0](*call[1])
            except BaseException as error:  # raised again in the thread that asks for more, or at the end
                self._unwanted.set()
                self._error = error

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Wait for the calls that are left, or drop them."""
        if kind is not None:
            self._unwanted.set()
        try:
            self._finish()
        except KeyboardInterrupt:
            self._unwanted.set()
            self._finish()
            raise
        if kind is None:
            self._raise()

    def _finish(self) -> None:
        """Wait until the thread has ended."""
        while self._thread.is_alive():
            try:
                self._waiting.put(None, timeout=_PAUSE_S)
                self._thread.join()
            except queue.Full:
                continue
