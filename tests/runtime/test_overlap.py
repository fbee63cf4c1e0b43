"""Reading, computing and writing beside each other: in order, with errors, without threads left behind."""

import dataclasses
import errno
import subprocess
import sys
import threading
import time
from contextlib import closing

import cv2
import numpy as np
import pytest

from bisenet_plugins import load_pretrained
from bisenet_plugins.runtime.backends import GRAPH_BACKENDS
from bisenet_plugins.runtime.overlap import overlapped
from bisenet_plugins.runtime.results import Summary, predict_sources
from bisenet_plugins.runtime.sources import Source
from tests.runtime.fakes import segmented


@pytest.fixture(autouse=True)
def no_thread_stays():
    before = set(threading.enumerate())
    yield
    new = set(threading.enumerate()) - before
    assert not [thread for thread in new if thread.name.startswith('overlapped')]


def slow(count, pause=0.02, log=None):
    for number in range(count):
        time.sleep(pause)
        if log is not None:
            log.append(number)
        yield number


@pytest.mark.parametrize(('workers', 'share'), [(1, 0.75), (3, 0.5)])
def test_slow_steps_overlap_and_keep_the_order(workers, share):
    """Each step waits, as for a file or an accelerator: one after the other they take three times as long."""
    written = []

    def work(number):
        time.sleep(0.02 * workers)
        return number

    start = time.perf_counter()
    for number in overlapped(slow(15), work, workers):
        time.sleep(0.02)
        written.append(number)
    took = time.perf_counter() - start
    assert written == list(range(15))
    assert took < share * (2 + workers) * 15 * 0.02


def test_several_are_worked_on_at_the_same_time():
    together = threading.Barrier(3, timeout=5)
    assert list(overlapped(range(6), lambda number: (together.wait(), number)[1], 3)) == list(range(6))


def test_only_a_few_items_are_read_ahead():
    log = []
    results = overlapped(slow(50, 0, log), str)
    assert next(results) == '0'
    time.sleep(0.1)
    assert len(log) <= 4
    results.close()
    assert len(log) <= 5


def test_an_error_of_the_source_comes_after_the_results_before_it():
    def broken():
        yield 1
        yield 2
        raise OSError('unplugged')

    got = []
    with pytest.raises(OSError, match='unplugged'):
        for result in overlapped(broken(), str, 2):
            got.append(result)
    assert got == ['1', '2']


def test_an_error_of_the_work_comes_after_the_results_before_it_and_ends_the_reading():
    log, got = [], []
    with pytest.raises(ZeroDivisionError):
        for result in overlapped(slow(1000, 0, log), lambda number: 6 // (3 - number), 2):
            got.append(result)
    assert got == [2, 3, 6]
    assert len(log) < 12


def test_an_interrupted_run_drops_what_waits():
    done = []

    def late(number):
        time.sleep(0.05)
        done.append(number)

    with pytest.raises(KeyboardInterrupt), closing(overlapped(range(50), late)) as results:
        next(results)
        raise KeyboardInterrupt
    assert len(done) <= 3


def test_no_worker_is_refused():
    with pytest.raises(ValueError, match='^workers: expected at least 1, got 0'):
        overlapped([], str, 0)


@pytest.mark.parametrize('backend', GRAPH_BACKENDS)
def test_images_that_share_the_cores_give_what_one_alone_gives(backend, monkeypatch):
    pytest.importorskip(backend)
    monkeypatch.setattr('bisenet_plugins.runtime.predictor.cores', lambda: 4)
    images = list(np.random.default_rng(0).integers(0, 256, (4, 90, 120, 3), np.uint8))
    alone, shared, several = (load_pretrained('bisenetv2-camvid', backend=backend, threads=threads)
                              for threads in (0, 0, 4))
    assert (shared.share_cores(), shared.threads, several.share_cores()) == (2, 2, 1)
    np.testing.assert_array_equal(list(overlapped(images, shared, 2)), alone(images))
    assert shared.share_cores() == 1  # the backend is made: its threads stay
    assert load_pretrained('bisenetv2-camvid', backend='torch').share_cores() == 1


FIRST_IMAGES = """
import threading, numpy
from bisenet_plugins import load_pretrained
predictor = load_pretrained('bisenetv2-mobilenetv2-camvid', backend='openvino')
print(predictor.share_cores())
threads = [threading.Thread(target=predictor, args=(numpy.zeros((64, 96, 3), numpy.uint8),)) for _ in range(2)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
"""


def test_two_first_images_do_not_wait_for_each_other_for_ever():
    """In one of three processes they did; OpenVINO then holds Python's lock, so that Ctrl-C does nothing."""
    pytest.importorskip('openvino')
    for _ in range(4):
        subprocess.run([sys.executable, '-c', FIRST_IMAGES], check=True, timeout=60)


def test_the_speed_leaves_out_what_was_done_when_the_time_began():
    assert Summary(frames=12, seconds=2.0, workers=2).speed == '5.0 images/s'
    assert Summary(frames=2, seconds=0.001, workers=2).speed == Summary().speed == ''


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


@pytest.mark.parametrize('workers', [1, 2])
@pytest.mark.parametrize('batch_size', [1, 3])
def test_a_stream_is_segmented_in_order(tmp_path, monkeypatch, batch_size, workers):
    monkeypatch.setattr(cv2, 'VideoCapture', SlowCamera)
    summary = segment(tmp_path, brightness, max_frames=7, batch_size=batch_size, workers=workers)
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


def test_ctrl_c_before_the_first_image_of_a_camera_is_no_success(tmp_path, monkeypatch):
    monkeypatch.setattr(cv2, 'VideoCapture', SlowCamera)
    with pytest.raises(KeyboardInterrupt):
        segment(tmp_path, lambda images: exec('raise KeyboardInterrupt'))


def test_a_stream_whose_frames_change_their_size_is_told_so(tmp_path, monkeypatch):
    monkeypatch.setattr(cv2, 'VideoCapture', SlowCamera)
    source = Source('camera', 'camera_0', index=0)

    def grown(images, scores=False):
        return [dataclasses.replace(found, mask=np.zeros(sides, np.uint8), image=np.zeros((*sides, 3), np.uint8))
                for image, found in zip(images, segmented(brightness)(images), strict=True)
                for sides in [(40, 60) if image[0, 0, 0] < 3 else (60, 90)]]

    summary = predict_sources(grown, [source], tmp_path, max_frames=6)
    (failure,) = summary.failed
    assert failure.startswith('camera 0: expected frames of one size, (') and 'disk' not in failure


def test_a_result_that_cannot_be_written_fails_the_source(tmp_path, monkeypatch):
    monkeypatch.setattr(cv2, 'VideoCapture', SlowCamera)
    monkeypatch.setattr('bisenet_plugins.runtime.results.write_atomically', full_disk)
    summary = segment(tmp_path, brightness)  # the camera has no end: it is the error that ends it
    assert (summary.done, summary.failed) == (0, ['camera 0: disk full'])


def test_a_full_disk_is_told_with_the_place_of_the_frames(tmp_path, monkeypatch):
    def full(target, content):
        raise OSError(errno.ENOSPC, 'No space left', str(target))

    monkeypatch.setattr(cv2, 'VideoCapture', SlowCamera)
    monkeypatch.setattr('bisenet_plugins.runtime.results.write_atomically', full)
    place = tmp_path / 'ids' / 'camera_0'
    assert segment(tmp_path, brightness).failed == [f'camera 0: [Errno {errno.ENOSPC}] No space left: {str(place)!r}']


def full_disk(*_):
    raise OSError('disk full')
