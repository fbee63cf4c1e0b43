"""What the cache of decoded files gives is what the loaders give."""

import cv2
import numpy as np
import pytest
from mmcv.transforms import Compose
from mmseg.registry import TRANSFORMS

from bisenet_plugins.datasets.decoded import LoadDecoded
from bisenet_plugins.datasets.scenes.painter import paint_scene


@pytest.fixture(scope='module')
def scene() -> tuple[np.ndarray, np.ndarray]:
    return paint_scene((48, 64), 3, 0)


@pytest.fixture
def files(scene, tmp_path) -> dict:
    paths = dict(img_path=str(tmp_path / 'image.png'), seg_map_path=str(tmp_path / 'label.png'))
    for path, array in zip(paths.values(), scene):
        cv2.imwrite(path, array)
    return dict(paths, label_map={0: 255}, reduce_zero_label=False, seg_fields=[])


def load(transform, files: dict, **changes) -> dict:
    return transform({**files, **changes, 'seg_fields': []})


def test_cache_gives_what_the_loaders_give(files, tmp_path):
    plain = Compose([TRANSFORMS.build(dict(type=kind)) for kind in ('LoadImageFromFile', 'LoadAnnotations')])
    cached = LoadDecoded(str(tmp_path / 'cache'))
    wanted = load(plain, files)
    for results in (load(cached, files), load(cached, files), load(LoadDecoded(str(tmp_path / 'cache')), files)):
        assert results.keys() == wanted.keys()
        np.testing.assert_array_equal(results['img'], wanted['img'])
        np.testing.assert_array_equal(results['gt_seg_map'], wanted['gt_seg_map'])
        assert results['ori_shape'] == wanted['ori_shape'] and results['seg_fields'] == ['gt_seg_map']
        results['img'][:] = 0  # a transform that writes into the image does not reach the cache
    assert len(list((tmp_path / 'cache').iterdir())) == 2


def test_cache_decodes_anew_what_has_changed(files, scene, tmp_path):
    cached = LoadDecoded(str(tmp_path / 'cache'))
    load(cached, files)
    assert (load(cached, files, label_map=None)['gt_seg_map'] == scene[1]).all()
    cv2.imwrite(files['img_path'], np.zeros((8, 8, 3), np.uint8))
    assert load(cached, files)['img'].shape == (8, 8, 3)


def test_cache_replaces_a_damaged_entry(files, scene, tmp_path):
    cached = LoadDecoded(str(tmp_path / 'cache'))
    load(cached, files)
    for path in (tmp_path / 'cache').iterdir():
        path.write_bytes(path.read_bytes()[:100])
    np.testing.assert_array_equal(load(cached, files)['img'], scene[0])
    np.testing.assert_array_equal(load(cached, files)['img'], scene[0])


def test_cache_keeps_to_its_limit_and_goes_on_without_room(files, scene, tmp_path):
    cached = LoadDecoded(str(tmp_path / 'cache'), limit_gb=1e-5)
    np.testing.assert_array_equal(load(cached, files)['img'], scene[0])
    assert not list((tmp_path / 'cache').iterdir())
    (tmp_path / 'file').write_text('in the way')
    np.testing.assert_array_equal(load(LoadDecoded(str(tmp_path / 'file')), files)['img'], scene[0])


@pytest.mark.parametrize('settings, message', [
    (dict(limit_gb=0), 'limit_gb: expected a number above 0, got 0'),
    (dict(loaders=()), 'loaders: expected transforms that load'),
])
def test_cache_refuses_wrong_settings(settings, message):
    with pytest.raises(ValueError, match=message):
        LoadDecoded('cache', **settings)
