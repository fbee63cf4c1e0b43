"""Reading, computing and writing beside each other: in order, with errors, without threads left behind."""

import threading
import time

import cv2
import numpy as np
import pytest

from bisenet_plugins.runtime.overlap import WriteBehind, read_ahead
from bisenet_plugins.runtime.results import predict_sources
from bisenet_plugins.runtime.sources import Source
from tests.runtime.fakes import segmented


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
    with pytest.raises(ValueError, match='^depth: expected at least 1, got 0'):
        read_ahead([], 0)
    with pytest.raises(ValueError, match='^depth: expected at least 1, got 0'):
        WriteBehind(0)


class SlowCamera:
    """A camera without an end, whose images are as bright as their number."""

    def __init__(self, index):
        self.number = -1

    def isOpened(self):  # noqa: N802
        return True

    def get(self, key):
        return 10.0 if key == cv2.CAP_PROP_FPS else 0.0

    def read(self):
        time.sleep(0.01)
        self.number += 1
        return True, np.full((4, 6, 3), self.number, np.uint8)

    def release(self):
        self.number = None  # reading on would fail


def brightness(images):
    time.sleep(0.01)
    return [image[..., 0] for image in images]


def segment(tmp_path, predictor, **options):
    source = Source('camera', 'camera_0', index=0)
    return predict_sources(segmented(predictor), [source], tmp_path, save=('ids',), **options)


@pytest.mark.parametrize('batch_size', [1, 3])
def test_a_stream_is_segmented_in_order(tmp_path, monkeypatch, batch_size):
    monkeypatch.setattr(cv2, 'VideoCapture', SlowCamera)
    summary = segment(tmp_path, brightness, max_frames=7, batch_size=batch_size)
    assert (summary.done, summary.frames, summary.failed) == (1, 7, [])
    written = sorted((tmp_path / 'ids' / 'camera_0').iterdir())
    assert [int(cv2.imread(str(path))[0, 0, 0]) for path in written] == list(range(7))


def test_ctrl_c_at_a_camera_keeps_what_was_segmented(tmp_path, monkeypatch):
    monkeypatch.setattr(cv2, 'VideoCapture', SlowCamera)

    def stopped(images):
        if images[0][0, 0, 0] == 3:
            raise KeyboardInterrupt
        return brightness(images)

    summary = segment(tmp_path, stopped)
    assert (summary.done, summary.frames) == (1, 3)
    assert len(list((tmp_path / 'ids' / 'camera_0').iterdir())) == 3


def test_a_result_that_cannot_be_written_fails_the_source(tmp_path, monkeypatch):
    monkeypatch.setattr(cv2, 'VideoCapture', SlowCamera)
    monkeypatch.setattr('bisenet_plugins.runtime.results.write_atomically', full_disk)
    summary = segment(tmp_path, brightness)  # the camera has no end: it is the error that ends it
    assert (summary.done, summary.failed) == (0, ['camera 0: disk full'])


def full_disk(*_):
    raise OSError('disk full')
