"""Reading, computing and writing beside each other: in order, with errors, without threads left behind."""

import threading
import time

import pytest

from bisenet_plugins.inference.overlap import WriteBehind, read_ahead


@pytest.fixture(autouse=True)
def no_thread_stays():
    before = set(threading.enumerate())
    yield
    new = set(threading.enumerate()) - before
    assert not [thread for thread in new if thread.name in ('read-ahead', 'write-behind')]


def slow(count, pause=0.02, log=None):
    for number in range(count):
        time.sleep(pause)
        if log is not None:
            log.append(number)
        yield number


def test_three_slow_steps_overlap_and_keep_the_order():
    """Each step waits, as for a file or an accelerator: one after the other they take three times as long."""
    written = []

    def write(number):
        time.sleep(0.02)
        written.append(number)

    start = time.perf_counter()
    with WriteBehind() as behind:
        for number in read_ahead(slow(15)):
            time.sleep(0.02)
            behind(write, number)
    took = time.perf_counter() - start
    assert written == list(range(15))
    assert took < 0.75 * 3 * 15 * 0.02


def test_only_a_few_items_are_read_ahead():
    log = []
    items = read_ahead(slow(50, 0, log), depth=3)
    assert next(items) == 0
    time.sleep(0.1)
    assert len(log) <= 6
    items.close()
    assert len(log) <= 7


def test_an_error_of_the_source_comes_after_the_items_before_it():
    def broken():
        yield 1
        raise OSError('unplugged')

    got = []
    with pytest.raises(OSError, match='unplugged'):
        for item in read_ahead(broken()):
            got.append(item)
    assert got == [1]


def test_an_error_of_a_call_is_raised_once_and_drops_the_calls_behind_it():
    done = []

    def fails():
        raise OSError('disk full')

    with pytest.raises(OSError, match='disk full'), WriteBehind(depth=1) as behind:
        behind(done.append, 1)
        behind(fails)
        for number in range(100):
            time.sleep(0.01)
            behind(done.append, number)
    assert done == [1]
    with pytest.raises(OSError, match='disk full'), WriteBehind() as behind:
        behind(fails)


def test_an_interrupted_run_drops_what_waits():
    done = []

    def late(number):
        time.sleep(0.05)
        done.append(number)

    with pytest.raises(KeyboardInterrupt), WriteBehind(depth=5) as behind:
        for number in range(5):
            behind(late, number)
        raise KeyboardInterrupt
    assert len(done) <= 2


def test_no_room_is_refused():
    with pytest.raises(ValueError, match='depth is 0, one or more is wanted'):
        read_ahead([], 0)
    with pytest.raises(ValueError, match='depth is 0, one or more is wanted'):
        WriteBehind(0)
