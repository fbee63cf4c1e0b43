"""Lists of sources are segmented without stopping at a bad one."""

import os

import cv2
import numpy as np
import pytest
from PIL import Image

from bisenet_plugins.runtime.results import Listener, predict_sources
from bisenet_plugins.runtime.sources import find_sources
from tests.runtime.fakes import segmented

COLOURS = [[255, 0, 0], [0, 255, 0]]


def halves(images):
    """Call the left half of every image class 0 and the right half class 1."""
    masks = []
    for image in images:
        mask = np.zeros(image.shape[:2], np.uint8)
        mask[:, mask.shape[1] // 2 :] = 1
        masks.append(mask)
    return masks


def run(inputs, out_dir, predictor=halves, **options):
    segment = segmented(predictor, COLOURS, 2)
    return predict_sources(segment, find_sources([str(path) for path in inputs]), out_dir, **options)


@pytest.fixture
def photos(tmp_path):
    folder = tmp_path / 'in'
    folder.mkdir()
    for name in ('a', 'b'):
        cv2.imwrite(str(folder / f'{name}.png'), np.full((16, 32, 3), 80, np.uint8))
    return folder


@pytest.fixture
def film(tmp_path):
    path = tmp_path / 'film.mp4'
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*'mp4v'), 10.0, (32, 16))
    for _ in range(5):
        writer.write(np.full((16, 32, 3), 80, np.uint8))
    writer.release()
    return path


def test_images_become_overlay_palette_and_ids(photos, tmp_path):
    out = tmp_path / 'out'
    summary = run([photos], out, save=('overlay', 'palette', 'ids'))
    assert (summary.done, summary.frames, summary.failed) == (2, 2, [])
    wanted = halves([np.zeros((16, 32, 3))])[0]
    np.testing.assert_array_equal(np.asarray(Image.open(out / 'ids' / 'a.png')), wanted)
    indexed = Image.open(out / 'palette' / 'a.png')
    assert indexed.mode == 'P'
    np.testing.assert_array_equal(np.asarray(indexed), wanted)
    assert np.asarray(indexed.convert('RGB'))[0, 31].tolist() == [0, 255, 0]
    overlay = cv2.imread(str(out / 'overlay' / 'a.jpg'))
    assert abs(int(overlay[8, 4, 2]) - 168) < 12 and abs(int(overlay[8, 28, 1]) - 168) < 12
    assert not list(out.rglob('*.partial'))


def test_bad_files_are_named_and_the_rest_is_done(photos, tmp_path):
    (photos / 'a1.png').write_bytes(b'no image')
    heard = []

    class Ear(Listener):
        def ended(self, source, failure):
            heard.append((source.name, failure is None))

    summary = run([photos, tmp_path / 'gone.png'], tmp_path / 'out', listener=Ear())
    assert summary.done == 2
    assert len(summary.failed) == 2
    assert 'a1.png: expected an image' in summary.failed[0] and 'gone.png: nothing there' in summary.failed[1]
    assert heard == [('a', True), ('a1', False), ('b', True), ('gone', False)]


def test_inputs_are_never_overwritten(photos, tmp_path):
    inside = tmp_path / 'ids' / 'a.png'
    inside.parent.mkdir()
    inside.write_bytes((photos / 'a.png').read_bytes())
    before = inside.read_bytes()
    summary = run([photos / 'a.png', inside], tmp_path, save=['ids'])
    # The first result would go to the second input; names alike get their suffix, so here nothing clashes.
    assert summary.done == 2 and inside.read_bytes() == before
    summary = run([inside], tmp_path, save=['ids'])
    assert 'is or holds one of the inputs, which is not overwritten' in summary.failed[0]
    assert inside.read_bytes() == before


def test_a_stopped_run_goes_on(photos, tmp_path):
    seen = []

    def stops(images):
        seen.append(len(images))
        if len(seen) == 2:
            raise KeyboardInterrupt
        return halves(images)

    with pytest.raises(KeyboardInterrupt):
        run([photos], tmp_path / 'out', predictor=stops)
    summary = run([photos], tmp_path / 'out', skip_existing=True)
    assert (summary.done, summary.skipped) == (1, 1)
    assert sorted(path.name for path in (tmp_path / 'out' / 'overlay').iterdir()) == ['a.jpg', 'b.jpg']


def test_a_video_becomes_a_video_and_maps_of_its_frames(film, tmp_path):
    sizes = []

    def counted(images):
        sizes.append(len(images))
        return halves(images)

    out = tmp_path / 'out'
    for _ in range(2):  # the second run replaces the first one's results
        summary = run([film], out, predictor=counted, save=('overlay', 'ids'), batch_size=2)
        assert (summary.done, summary.frames) == (1, 5)
    assert sizes[:3] == [2, 2, 1]
    capture = cv2.VideoCapture(str(out / 'overlay' / 'film.mp4'))
    assert (capture.get(cv2.CAP_PROP_FRAME_COUNT), capture.get(cv2.CAP_PROP_FPS)) == (5, 10)
    maps = sorted((out / 'ids' / 'film').iterdir())
    assert [path.name for path in maps] == [f'{number:06d}.png' for number in range(5)]
    assert sorted(path.name for path in (out / 'overlay').iterdir()) == ['film.mp4']
    assert sorted(path.name for path in (out / 'ids').iterdir()) == ['film']
    assert run([film], out, save=('overlay', 'ids'), max_frames=2).frames == 2
    assert len(list((out / 'ids' / 'film').iterdir())) == 2
    assert run([film], out, save=('overlay', 'ids'), skip_existing=True).skipped == 1


def test_a_stopped_video_leaves_no_half_file(film, tmp_path):
    def stops(images):
        raise KeyboardInterrupt

    calls = iter([halves, halves, stops])
    with pytest.raises(KeyboardInterrupt):
        run([film], tmp_path / 'out', lambda images: next(calls)(images), save=('overlay', 'ids'))
    assert not [path for path in (tmp_path / 'out').rglob('*') if path.is_file()]


def test_frames_that_a_killed_run_left_are_not_mixed_in(film, tmp_path):
    for owner in (os.getpid(), 2**22 + 1):  # a number that was given out again, and one of no process
        left = tmp_path / 'out' / 'ids' / f'.8244be22.{owner}.01234567.partial'
        left.mkdir(parents=True)
        (left / '000099.png').write_bytes(b'old')
        os.utime(left, (0, 0))
    run([film], tmp_path / 'out', save=['ids'], max_frames=1)
    assert [path.name for path in (tmp_path / 'out' / 'ids' / 'film').iterdir()] == ['000000.png']
    assert not list((tmp_path / 'out').rglob('.*.partial'))


def test_a_killed_run_leaves_nothing_for_ever(film, tmp_path):
    left = tmp_path / 'out' / 'overlay' / f'.8244be22.{2**22 + 1}.01234567.partial.mp4'
    left.parent.mkdir(parents=True)
    left.write_bytes(b'half')
    os.utime(left, (0, 0))
    other = left.with_name(f'.1.{2**22 + 2}.partial.mp4')
    other.write_bytes(b'of a process of another machine, which is at work')
    run([film], tmp_path / 'out', save=['overlay'])
    assert sorted(path.name for path in left.parent.iterdir()) == [other.name, 'film.mp4']


@pytest.mark.parametrize('name', ['notes.txt', 'gt.png', 'deep/a.png'])
def test_a_folder_with_other_files_is_not_replaced(film, tmp_path, name):
    kept = tmp_path / 'out' / 'ids' / 'film' / name
    kept.parent.mkdir(parents=True)
    kept.write_bytes(b'precious')
    summary = run([film], tmp_path / 'out', save=['ids'])
    assert summary.failed and f'film, which its results replace, got {name.split("/")[0]}' in summary.failed[0]
    assert kept.read_bytes() == b'precious'
    assert run([film], tmp_path / 'out', save=['ids'], skip_existing=True).skipped == 1


def test_a_folder_that_holds_an_input_is_not_replaced(film, photos, tmp_path):
    inside = tmp_path / 'out' / 'ids' / 'film' / '000000.png'
    inside.parent.mkdir(parents=True)
    inside.write_bytes((photos / 'a.png').read_bytes())
    summary = run([film, inside], tmp_path / 'out', save=['ids'])
    assert 'holds one of the inputs' in summary.failed[-1] and inside.exists()


def test_a_video_beside_the_folder_of_its_frames_leaves_their_results(film, photos, tmp_path):
    photos.rename(tmp_path / 'film')
    summary = run([film, *sorted((tmp_path / 'film').iterdir())], tmp_path / 'out', save=['ids'])
    assert not summary.failed
    sources = find_sources([str(film.parent)], recursive=True, exclude=[tmp_path / 'out'])
    summary = predict_sources(segmented(halves, COLOURS, 2), sources, tmp_path / 'out2', ['ids'])
    assert summary.failed == [] and (summary.done, summary.frames) == (3, 7)
    ids = tmp_path / 'out2' / 'ids'
    names = sorted(path.relative_to(ids).as_posix() for path in ids.rglob('*.png'))
    assert names == ['film/a.png', 'film/b.png', *[f'film_{film.suffix[1:]}/{number:06d}.png' for number in range(5)]]


def test_two_runs_over_one_video_do_not_take_frames_from_each_other(film, tmp_path):
    others = []

    def disturbed(images):
        if len(others) == 1:  # after the first frame
            others.append(run([film], tmp_path / 'out', save=['ids', 'overlay']).done)
        others.append(0) if not others else None
        return halves(images)

    assert run([film], tmp_path / 'out', disturbed, save=['ids', 'overlay']).done == 1 and others == [0, 1]
    assert len(list((tmp_path / 'out' / 'ids' / 'film').iterdir())) == 5


def test_a_video_may_have_the_longest_name(film, tmp_path):
    longest = film.rename(tmp_path / ('v' * (255 - len(film.suffix)) + film.suffix))
    run([longest], tmp_path / 'out', save=('overlay', 'ids'))
    assert (tmp_path / 'out' / 'overlay' / f'{longest.stem}.mp4').is_file()
    assert (tmp_path / 'out' / 'ids' / longest.stem).is_dir()


def test_wrong_arguments_are_named(tmp_path):
    for options, sentence in (
        (dict(save=['picture']), r"save: expected some of .*, got \['picture'\]"),
        (dict(batch_size=0), 'batch_size: expected at least 1, got 0'),
        (dict(opacity=1.5), 'opacity: expected a number from 0 to 1, got 1.5'),
    ):
        with pytest.raises(ValueError, match=sentence):
            run([], tmp_path, **options)


def test_what_a_backend_refuses_does_not_end_the_run(photos, film, tmp_path):
    def only_bright(images):
        if any(image.mean() < 50 for image in images):
            raise AssertionError('Guard failed')
        return halves(images)

    cv2.imwrite(str(photos / 'aa.png'), np.zeros((16, 32, 3), np.uint8))
    summary = run([photos, film], tmp_path / 'out', only_bright)
    assert (summary.done, len(summary.failed)) == (3, 1)
    assert summary.failed[0].endswith('aa.png: the network fails on it with AssertionError: Guard failed')


@pytest.mark.parametrize('rate', [23.976, 119.88, 239.761, 700.5])
def test_any_rate_is_written(tmp_path, rate):
    writer = cv2.VideoWriter(str(tmp_path / 'film.avi'), cv2.VideoWriter_fourcc(*'MJPG'), rate, (32, 16))
    for _ in range(4):
        writer.write(np.full((16, 32, 3), 80, np.uint8))
    writer.release()
    summary = run([tmp_path / 'film.avi'], tmp_path / 'out')
    assert (summary.done, summary.failed) == (1, [])
    found = cv2.VideoCapture(str(tmp_path / 'out' / 'overlay' / 'film.mp4')).get(cv2.CAP_PROP_FPS)
    assert found == pytest.approx(rate, rel=1e-3)
