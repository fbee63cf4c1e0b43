"""A video that was not written whole, or cannot be read whole, is named and leaves nothing behind."""

import cv2
import numpy as np

from bisenet_plugins.runtime import results
from bisenet_plugins.runtime.results import predict_sources
from bisenet_plugins.runtime.sources import find_sources
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


def test_the_first_frames_of_it_can_be_asked_for(tmp_path):
    assert run(film(tmp_path / 'film.mp4'), tmp_path / 'out', max_frames=3).frames == 3


def test_an_odd_image_is_skipped_by_name(tmp_path):
    from bisenet_plugins import load_pretrained

    for name, sides in (('a', (30, 40)), ('odd', (20000, 10)), ('z', (30, 40))):
        cv2.imwrite(str(tmp_path / f'{name}.png'), np.zeros((*sides, 3), np.uint8))
    predictor = load_pretrained('bisenetv2-mobilenetv2-camvid', backend='torch')
    summary = predict_sources(predictor.segment, find_sources([str(tmp_path)]), tmp_path / 'out')
    assert summary.done == 2 and 'odd.png: image: expected sides that stay at least one pixel' in summary.failed[0]
