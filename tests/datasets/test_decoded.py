"""What is decoded quickly, or kept decoded, is what the loaders give."""

import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from mmcv.transforms import Compose
from mmseg.registry import TRANSFORMS
from PIL import Image

from bisenet_plugins.datasets import decoded
from bisenet_plugins.datasets.decoded import LoadDecoded, decode_png
from bisenet_plugins.datasets.scenes.painter import paint_scene

LOADERS = dict(type='LoadImageFromFile'), dict(type='LoadAnnotations')


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
    plain = Compose([TRANSFORMS.build(step) for step in LOADERS])
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


def test_cache_is_counted_seldom_and_not_at_all_once_it_is_full(files, tmp_path, monkeypatch):
    counts, glob, entry = [], Path.glob, 48 * 64 * 4 + 2 * 128
    monkeypatch.setattr(Path, 'glob', lambda self, pattern: counts.append(pattern) or glob(self, pattern))
    both = [LoadDecoded(str(tmp_path / 'cache'), limit_gb=200.5 * entry / 1e9) for _ in range(2)]
    kept, often = [], []
    for number in range(280):  # another map of labels, another entry
        load(both[number % 2], files, label_map={number: 255})
        if number in (99, 239, 279):
            kept.append(len(list((tmp_path / 'cache').iterdir())) / 2)
            often.append(counts.count('*.npy'))
    assert kept[0] == 100 and 200 <= kept[1] == kept[2] <= 202, 'the two share the room'
    assert often[0] <= 70 and often[1] == often[2]


@pytest.mark.parametrize('settings, message', [
    (dict(limit_gb=0), 'limit_gb: expected a number above 0, got 0'),
    (dict(loaders=()), 'loaders: expected transforms that load'),
])
def test_cache_refuses_wrong_settings(settings, message):
    with pytest.raises(ValueError, match=message):
        LoadDecoded('cache', **settings)


def png(path: Path, kind: str) -> None:
    """Write an image of one of the kinds of PNG there are."""
    color, label = paint_scene((48, 64), 3, 0)
    image = Image.fromarray(color[..., ::-1])
    if kind in ('RGBA', 'L', 'LA', '1', 'P'):
        image.convert(kind).save(path)
    elif kind == 'sixteen bits':
        cv2.imwrite(str(path), color.astype(np.uint16) * 257)
    elif kind == 'orientation':
        exif = Image.Exif()
        exif[0x112] = 6
        image.save(path, exif=exif)
    elif kind == 'transparent color':
        image.save(path, transparency=tuple(color[0, 0, ::-1].tolist()))
    elif kind == 'gamma':
        image.save(path)
        content = path.read_bytes()
        chunk = b'gAMA' + (22222).to_bytes(4, 'big')
        path.write_bytes(content[:33] + b'\0\0\0\4' + chunk + zlib.crc32(chunk).to_bytes(4, 'big') + content[33:])
    elif kind in ('cut off', 'damaged', 'no end', 'empty', 'trailing bytes'):
        image.save(path)
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= (kind == 'damaged') * 255
        keep = {'cut off': len(content) // 2, 'no end': -12, 'empty': 0}.get(kind, len(content))
        path.write_bytes(bytes(content[:keep]) + b'more' * (kind == 'trailing bytes'))
    else:
        image.save(path, format=kind)


@pytest.mark.parametrize('kind', [
    'png', 'RGBA', 'L', 'LA', '1', 'P', 'sixteen bits', 'orientation', 'transparent color', 'gamma', 'cut off',
    'damaged', 'no end', 'empty', 'trailing bytes', 'jpeg', 'bmp'])
def test_every_kind_of_file_is_decoded_as_opencv_does(files, kind, tmp_path):
    pytest.importorskip('kornia_rs', reason='extra png')
    plain = Compose([TRANSFORMS.build(step) for step in LOADERS])
    png(Path(files['img_path']), kind)
    try:
        wanted = load(plain, files)
    except Exception as error:
        with pytest.raises(type(error)):
            load(LoadDecoded(), files)
    else:
        np.testing.assert_array_equal(load(LoadDecoded(), files)['img'], wanted['img'])
        fast = decode_png(Path(files['img_path']).read_bytes(), 3)
        assert (fast is not None) == (kind in ('png', 'gamma', 'no end')), 'half-decoded or not decoded quickly'


@pytest.mark.parametrize('changes', [dict(reduce_zero_label=True), dict(label_map={1: 0, 2: 255, 3: 1}),
                                     dict(reduce_zero_label=True, label_map={0: 3, 254: 7, 255: 9})])
def test_labels_are_mapped_as_mmseg_does(files, changes):
    pytest.importorskip('kornia_rs', reason='extra png')
    cv2.imwrite(files['seg_map_path'], np.arange(48 * 64).reshape(48, 64).astype(np.uint8))
    plain = Compose([TRANSFORMS.build(step) for step in LOADERS])
    np.testing.assert_array_equal(load(LoadDecoded(), files, **changes)['gt_seg_map'],
                                  load(plain, files, **changes)['gt_seg_map'])


def test_without_the_extra_the_loaders_decode(files, scene, monkeypatch):
    monkeypatch.setattr(decoded, '_decoder', lambda: None)
    np.testing.assert_array_equal(load(LoadDecoded(), files)['img'], scene[0])
