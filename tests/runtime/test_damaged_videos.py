"""A video that was not written whole, or cannot be read whole, is named and leaves nothing behind."""

import cv2
import numpy as np
import pytest

from bisenet_plugins.errors import InputError
from bisenet_plugins.runtime import results
from bisenet_plugins.runtime.results import predict_sources
from bisenet_plugins.runtime.sources import Source, find_sources, open_source
from tests.runtime.fakes import segmented


def zeros(images):
    return [np.zeros(image.shape[:2], np.uint8) for image in images]


def film(path, code='mp4v', frames=40):
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*code), 10.0, (64, 48))
    for number in range(frames):
        writer.write(np.random.default_rng(number).integers(0, 256, (48, 64, 3), dtype=np.uint8))
    writer.release()
    return path


def run(path, out_dir, **options):
    return predict_sources(segmented(zeros), find_sources([str(path)]), out_dir, **options)


def test_a_full_disk_is_noticed(tmp_path, monkeypatch):
    """OpenCV's writer takes every frame and says nothing."""
    path, writer = film(tmp_path / 'film.mp4', frames=5), cv2.VideoWriter

    class Full:
        """A writer whose disk takes three frames."""

        fourcc = writer.fourcc

        def __init__(self, *args):
            self.inner, self.left = writer(*args), 3

        def write(self, frame):
            self.left -= 1
            if self.left >= 0:
                self.inner.write(frame)

        def isOpened(self):  # noqa: N802, OpenCV's name
            return True

        def release(self):
            self.inner.release()

    monkeypatch.setattr(results.cv2, 'VideoWriter', Full)
    summary = run(path, tmp_path / 'out')
    assert summary.done == 0 and len(summary.failed) == 1
    assert 'was not written whole: expected 5 frames, got 3; is the disk full?' in summary.failed[0]
    assert not [path for path in (tmp_path / 'out').rglob('*') if path.is_file()]


def test_a_truncated_video_is_named(tmp_path):
    path = film(tmp_path / 'film.avi', 'MJPG')
    assert run(path, tmp_path / 'whole').frames == 40
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    summary = run(path, tmp_path / 'out')
    assert 'film.avi: expected 40 frames, got' in summary.failed[0] and 'truncated' in summary.failed[0]
    assert not [path for path in (tmp_path / 'out').rglob('*') if path.is_file()]


@pytest.mark.parametrize('damaged', [3, 37])
def test_a_video_that_stops_at_a_damaged_frame_is_named(tmp_path, damaged):
    path = film(tmp_path / 'film.avi', 'MJPG')
    content = path.read_bytes()
    chunks = content[:content.rindex(b'idx1')].split(b'00dc')
    chunk = chunks[damaged - 40]
    chunks[damaged - 40] = chunk[:4] + bytes(len(chunk) - 4)
    path.write_bytes(b'00dc'.join(chunks) + content[content.rindex(b'idx1'):])
    assert path.stat().st_size == len(content)
    summary = run(path, tmp_path / 'out')
    assert f'film.avi: expected 40 frames, got {damaged}, then a damaged one' in summary.failed[0]
    assert not [path for path in (tmp_path / 'out').rglob('*') if path.is_file()]


class Counting:
    """A video as Matroska counts it: by its duration, as if all frames took equally long."""

    def __init__(self, times, seconds, fps):
        self.times, self.at = times, -1
        self.facts = {cv2.CAP_PROP_FRAME_COUNT: int(seconds * fps), cv2.CAP_PROP_FPS: fps}

    def isOpened(self):  # noqa: N802, OpenCV's name
        return True

    def read(self):
        self.at += 1
        return self.at < len(self.times), np.zeros((4, 6, 3), np.uint8)

    def get(self, key):
        return self.facts[key] if key in self.facts else 1000 * self.times[self.at]

    def release(self):
        pass


def test_frames_of_varying_length_are_not_missed(tmp_path, monkeypatch):
    times = np.cumsum([0, *[0.033, 0.2, 0.066, 0.066] * 7, 0.033]).tolist()

    def read(name, kept, seconds=times[-1] + 0.033):
        monkeypatch.setattr(cv2, 'VideoCapture', lambda path: Counting(kept, seconds, 30.0))
        with open_source(Source('video', 'film', tmp_path / name)) as frames:
            return len(list(frames))

    assert read('film.mkv', times) == 30
    assert read('film.webm', times, times[-1] + 0.3) == 30, 'a longer sound track'
    assert read('film.mpg', [*times[:-1], 0.0]) == 30, 'a last frame without a time'
    with pytest.raises(InputError, match='film.mkv: expected 78 frames, got 12; the video is truncated'):
        read('film.mkv', times[:12])
    even = [number / 30 for number in range(150)]
    assert read('film.mov', even[:149], 5.0) == 149, 'headers may be off by one'
    with pytest.raises(InputError, match='film.mov: expected 150 frames, got 147; the video is truncated'):
        read('film.mov', even[:147], 5.0)


def test_the_first_frames_of_it_can_be_asked_for(tmp_path):
    assert run(film(tmp_path / 'film.mp4'), tmp_path / 'out', max_frames=3).frames == 3


def test_an_odd_image_is_skipped_by_name(tmp_path):
    from bisenet_plugins import load_pretrained

    for name, sides in (('a', (30, 40)), ('odd', (20000, 10)), ('z', (30, 40))):
        cv2.imwrite(str(tmp_path / f'{name}.png'), np.zeros((*sides, 3), np.uint8))
    predictor = load_pretrained('bisenetv2-mobilenetv2-camvid', backend='torch')
    summary = predict_sources(predictor.segment, find_sources([str(tmp_path)]), tmp_path / 'out')
    assert summary.done == 2 and 'odd.png: image: expected sides that stay at least one pixel' in summary.failed[0]
