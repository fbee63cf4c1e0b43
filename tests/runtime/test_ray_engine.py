"""Actors write what one process writes. What needs Ray itself is skipped without it."""

import sys
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import pytest

from bisenet_plugins.runtime import ray_engine
from bisenet_plugins.runtime.ray_engine import RayActor, predict_on_ray
from bisenet_plugins.runtime.results import Listener, predict_sources
from bisenet_plugins.runtime.sources import Source, find_sources

PALETTE = np.repeat(np.arange(256, dtype=np.uint8)[:, None], 3, axis=1)


def make_predictor(steps: int):
    """A predictor that cuts brightness into steps; made in the actor."""
    def predictor(images):
        return [image[..., 0] // steps for image in images]
    return predictor, PALETTE


@pytest.fixture
def pictures(tmp_path) -> Path:
    """Twelve pictures, one that is cut short, and one in a folder below."""
    folder = tmp_path / 'in'
    (folder / 'deep').mkdir(parents=True)
    rng = np.random.default_rng(0)
    for number in range(12):
        cv2.imwrite(str(folder / f'{number:02d}.png'), rng.integers(0, 255, (24, 32, 3)).astype(np.uint8))
    (folder / 'bad.png').write_bytes((folder / '00.png').read_bytes()[:20])
    cv2.imwrite(str(folder / 'deep' / 'last.png'), np.full((8, 8, 3), 90, np.uint8))
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob('*') if path.is_file()}


def columns(sources: list[Source]) -> dict[str, np.ndarray]:
    return dict(number=np.arange(len(sources)), kind=np.array([source.kind for source in sources]),
                name=np.array([source.name for source in sources]),
                path=np.array([str(source.path) for source in sources]))


def test_actor_writes_what_one_process_writes_and_skips_what_is_there(pictures, tmp_path):
    sources = find_sources([str(pictures), str(tmp_path / 'nothing.png')], recursive=True)
    save = ('overlay', 'palette', 'ids')
    wanted = predict_sources(make_predictor(9)[0], sources, tmp_path / 'one', PALETTE, save)
    actor = RayActor(partial(make_predictor, 9), str(tmp_path / 'actor'), dict(save=save))
    rows = actor(columns(sources))
    assert contents(tmp_path / 'actor') == contents(tmp_path / 'one')
    assert int(rows['done'].sum()) == wanted.done == 13
    assert [failure for failure in rows['failure'].tolist() if failure] == wanted.failed and len(wanted.failed) == 2
    again = actor(columns(sources))
    assert int(again['skipped'].sum()) == 13 and int(again['frames'].sum()) == 0


@pytest.mark.slow
def test_cluster_writes_what_one_process_writes_and_resumes(pictures, tmp_path):
    pytest.importorskip('ray')
    sources = find_sources([str(pictures)], recursive=True)
    predict_sources(make_predictor(9)[0], sources, tmp_path / 'one', PALETTE)
    heard = []

    class Ear(Listener):
        def ended(self, source, failure):
            heard.append((source.name, failure is None))

    run = partial(predict_on_ray, partial(make_predictor, 9), sources, tmp_path / 'ray', workers=2, listener=Ear())
    first = run()
    assert (first.done, first.skipped, len(first.failed)) == (13, 0, 1) and 'bad.png' in first.failed[0]
    assert contents(tmp_path / 'ray') == contents(tmp_path / 'one')
    assert sorted(heard) == sorted((source.name, source.name != 'bad') for source in sources)
    (tmp_path / 'ray' / 'overlay' / '03.jpg').unlink()
    second = run()
    assert (second.done, second.skipped, len(second.failed)) == (1, 12, 1)
    assert contents(tmp_path / 'ray') == contents(tmp_path / 'one')


@pytest.mark.parametrize('resources, workers, on_gpu, wanted', [
    (dict(CPU=2.0), None, False, (2, dict(num_cpus=1.0))),
    (dict(CPU=2.0), 3, False, (3, dict(num_cpus=0.666))),
    (dict(CPU=8.0, GPU=2.0), None, True, (2, dict(num_cpus=1.0, num_gpus=1.0))),
    (dict(CPU=8.0, GPU=1.0), 4, True, (4, dict(num_cpus=1.0, num_gpus=0.25))),
])
def test_shares_let_every_actor_start(resources, workers, on_gpu, wanted):
    assert ray_engine._shares(resources, workers, on_gpu) == wanted


@pytest.mark.parametrize('number, workers, wanted', [(3, 2, 3), (100, 2, 16), (1_000_000, 2, 1000)])
def test_blocks_are_neither_few_nor_great(number, workers, wanted):
    assert ray_engine._num_blocks(number, workers) == wanted


@pytest.mark.parametrize('settings, message', [
    (dict(workers=0), 'workers is 0, one or more is wanted'),
    (dict(save=['film']), r"save is \['film'\], some of"),
    (dict(batch_size=0), 'batch_size is 0, one or more is wanted'),
    (dict(opacity=2.0), 'opacity is 2.0, a number from 0 to 1 is wanted'),
    (dict(sources=[Source('camera', 'camera_0', index=0)]), 'camera 0 is among the inputs, a cluster takes files only'),
    (dict(sources=[Source('image', 'a', Path('out/overlay/a.jpg'))]), 'lies in the folder for results'),
])
def test_refuses_wrong_settings(settings, message):
    with pytest.raises(ValueError, match=message):
        predict_on_ray(**{**dict(load=partial(make_predictor, 9), sources=[], out_dir='out'), **settings})


def test_refuses_gpus_that_are_not_there():
    with pytest.raises(ValueError, match='the cluster has no GPU'):
        ray_engine._shares(dict(CPU=2.0), None, True)


def test_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, 'ray', None)
    with pytest.raises(ImportError, match='bisenet-plugins.ray'):
        predict_on_ray(partial(make_predictor, 9), [Source('image', 'a', Path('a.png'))], 'out')


def test_nothing_to_do_needs_no_cluster():
    assert predict_on_ray(partial(make_predictor, 9), [], 'out').done == 0
