"""Inputs of a command line become images."""

import os
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from bisenet_plugins.errors import InputError
from bisenet_plugins.runtime.sources import Source, find_sources, open_source


def written(path: Path, value: int = 100) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(cv2.imencode(path.suffix, np.full((8, 12, 3), value, np.uint8))[1].tobytes())
    return path


def video(path: Path, frames: int = 3) -> Path:
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*'mp4v'), 10.0, (32, 16))
    for number in range(frames):
        writer.write(np.full((16, 32, 3), 60 * number, np.uint8))
    writer.release()
    return path


def listed(*inputs, **options):
    return [(source.kind, source.name) for source in find_sources([str(text) for text in inputs], **options)]


def test_a_name_of_dots_does_not_lead_out_of_the_folder(tmp_path):
    for name in ('..mp4', '...mp4'):
        (tmp_path / name).touch()
        assert find_sources([str(tmp_path / name)])[0].name == name


def test_a_pattern_leaves_results_out(tmp_path):
    for name in ('a.png', 'ids/a.png'):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    found = find_sources([f'{tmp_path}/**/*.png'], exclude=[tmp_path / 'ids'])
    assert [source.path for source in found] == [tmp_path / 'a.png']


def test_files_folders_patterns_and_cameras(tmp_path):
    for name in ('b.png', 'a.jpg', 'sub/c.png', 'notes.txt', 'out/overlay/a.jpg'):
        written(tmp_path / name) if not name.endswith('txt') else (tmp_path / name).write_text('text')
    assert listed(tmp_path) == [('image', 'a'), ('image', 'b')]
    deep = listed(tmp_path, recursive=True, exclude=[tmp_path / 'out'])
    assert deep == [('image', 'a'), ('image', 'b'), ('image', 'sub/c')]
    assert listed(tmp_path / '*.png') == [('image', 'b')]
    assert listed(tmp_path / '**' / '*.png') == [('image', 'b'), ('image', 'c')]
    assert listed('2', tmp_path / 'film.mp4') == [('camera', 'camera_2'), ('missing', 'film')]
    assert listed(tmp_path / 'notes.txt') == [('image', 'notes')], 'a file named outright is tried'


def test_what_matches_nothing_is_not_forgotten(tmp_path):
    assert listed(tmp_path, tmp_path / '*.png') == [('missing', tmp_path.name), ('missing', '*')]
    with pytest.raises(InputError, match='nothing there that can be read'), open_source(find_sources(['x'])[0]):
        pass


def test_each_file_comes_once_under_a_name_of_its_own(tmp_path):
    for name in ('a.png', 'a.jpg', 'one/a.png', 'two/a.png'):
        written(tmp_path / name)
    assert listed(tmp_path / 'a.png', tmp_path / 'a.png') == [('image', 'a')]
    assert listed(tmp_path) == [('image', 'a_jpg'), ('image', 'a_png')]
    several = [tmp_path / 'one' / 'a.png', tmp_path / 'two' / 'a.png']
    assert listed(*several) == [('image', 'one/a_png'), ('image', 'two/a_png')]
    more = listed(written(tmp_path / 'more' / 'one' / 'a.png'), *several)
    assert more == [('image', 'more/one/a_png'), ('image', f'{tmp_path.name}/one/a_png'), ('image', 'two/a_png')], (
        'no name comes to mean another file')
    shutil.rmtree(tmp_path / 'more')
    upwards = [tmp_path / 'one' / '..' / 'one' / 'a.png', tmp_path / 'one' / '..' / 'two' / 'a.png']
    assert listed(*upwards) == [('image', 'one/a_png'), ('image', 'two/a_png')], 'results stay in their folder'
    assert listed(tmp_path, recursive=True)[2:] == [('image', 'one/a'), ('image', 'two/a')]
    for name in ('one.mp4', 'two.png'):  # the frames of a video go to a folder of its name
        written(tmp_path / name) if name.endswith('png') else (tmp_path / name).touch()
    assert listed(tmp_path, recursive=True)[2:] == [
        ('image', 'one/a'), ('video', 'one_mp4'), ('image', 'two/a'), ('image', 'two')]


def test_links_to_one_content_are_files_of_their_own(tmp_path):
    """As DVC and git-annex keep data."""
    store = written(tmp_path / 'store' / 'd41d8c.png')
    for name in ('a.png', 'b.png'):
        (tmp_path / 'data' / name).parent.mkdir(exist_ok=True)
        (tmp_path / 'data' / name).symlink_to(store)
    (tmp_path / 'other').symlink_to(tmp_path / 'data')
    assert listed(tmp_path / 'data', tmp_path / 'other' / 'a.png') == [('image', 'a'), ('image', 'b')]


@pytest.mark.parametrize('suffix', ['.jfif', '.jpe', '.pnm', '.pbm'])
def test_images_of_rare_suffixes_are_found_and_read(tmp_path, suffix):
    encoded = {'.pnm': '.ppm', '.pbm': '.pbm'}.get(suffix, '.jpg')
    content = cv2.imencode(encoded, np.full((8, 12) if suffix == '.pbm' else (8, 12, 3), 255, np.uint8))[1].tobytes()
    (tmp_path / f'a{suffix}').write_bytes(content)
    (source,) = find_sources([str(tmp_path)])
    with open_source(source) as frames:
        assert [frame.image.shape for frame in frames] == [(8, 12, 3)]


def test_videos_of_rare_suffixes_are_found(tmp_path):
    suffixes = '.3gp .flv .m2ts .mts .ogv .ts'.split()
    for suffix in suffixes:
        (tmp_path / f'{suffix[1:]}{suffix}').touch()
    assert listed(tmp_path) == [('video', suffix[1:]) for suffix in suffixes]


def test_linked_folders_are_followed_once_and_pipes_left_alone(tmp_path):
    written(tmp_path / 'far' / 'a.png')
    (tmp_path / 'near').mkdir()
    (tmp_path / 'near' / 'link').symlink_to(tmp_path / 'far')
    (tmp_path / 'far' / 'loop').symlink_to(tmp_path / 'far')
    os.mkfifo(tmp_path / 'near' / 'pipe.png')
    (tmp_path / 'near' / 'linked.png').symlink_to(tmp_path / 'near' / 'pipe.png')
    assert listed(tmp_path / 'near', recursive=True) == [('image', 'link/a')]
    assert listed(tmp_path / 'near') == [('missing', 'near')] == listed(tmp_path / 'near', recursive=False)
    assert listed(tmp_path / 'near' / 'pipe.png', '²') == [('missing', 'pipe'), ('missing', '²')]


def test_what_cannot_be_opened_is_named(tmp_path):
    (tmp_path / 'gone.png').symlink_to(tmp_path / 'nowhere.png')
    (source,) = find_sources([str(tmp_path)])
    with pytest.raises(InputError, match=r'gone\.png: No such file'), open_source(source) as frames:
        next(iter(frames))
    (camera,) = find_sources(['123456789012345678901234567890'])
    with pytest.raises(InputError, match='camera 1234.*: expected a number'), open_source(camera):
        pass


def test_an_image_is_read_as_bgr(tmp_path):
    path = tmp_path / 'grün 1.png'
    image = np.zeros((4, 6, 3), np.uint8)
    image[..., 0] = 255
    path.write_bytes(cv2.imencode('.png', image)[1].tobytes())
    with open_source(find_sources([str(path)])[0]) as frames:
        assert (frames.length, frames.fps) == (1, 0.0)
        (frame,) = list(frames)
    np.testing.assert_array_equal(frame.image, image)


@pytest.mark.parametrize('content', [b'', b'no image', None])
def test_a_damaged_image_is_named(tmp_path, content):
    path = written(tmp_path / 'bad.png')
    path.write_bytes(path.read_bytes()[:40] if content is None else content)
    with pytest.raises(InputError, match='bad.png'), open_source(find_sources([str(path)])[0]) as frames:
        list(frames)


def test_a_video_is_read_frame_by_frame(tmp_path):
    with open_source(find_sources([str(video(tmp_path / 'film.mp4'))])[0]) as frames:
        assert (frames.length, frames.fps) == (3, 10.0)
        read = list(frames)
    assert [frame.number for frame in read] == [0, 1, 2]
    assert [abs(int(frame.image.mean()) - 60 * frame.number) < 8 for frame in read] == [True] * 3


def test_a_damaged_video_or_an_absent_camera_is_named(tmp_path):
    (tmp_path / 'film.mp4').write_bytes(b'no film')
    source = find_sources([str(tmp_path / 'film.mp4')])[0]
    assert source.kind == 'video'
    with pytest.raises(InputError, match='film.mp4: cannot be opened as a video'), open_source(source):
        pass
    with pytest.raises(InputError, match='camera 97: cannot be opened as a camera'):
        open_source(Source('camera', 'camera_97', index=97)).__enter__()


def test_a_camera_has_no_length(monkeypatch):
    class Camera:
        def __init__(self, index):
            self.left = 2

        def isOpened(self):  # noqa: N802
            return True

        def get(self, key):
            return 0.0

        def read(self):
            self.left -= 1
            return self.left >= 0, np.zeros((2, 2, 3), np.uint8)

        def release(self):
            self.left = 0

    monkeypatch.setattr(cv2, 'VideoCapture', Camera)
    with open_source(find_sources(['0'])[0]) as frames:
        assert (frames.length, frames.fps) == (None, 25.0)
        assert [frame.number for frame in frames] == [0, 1]
        with pytest.raises(InputError, match='camera 0: expected frames that can be read, got 0'):
            list(frames)
