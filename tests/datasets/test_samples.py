"""The one loader of labelled samples."""

import re
from pathlib import Path

import cv2
import numpy as np
import pytest
from mmcv.transforms import BaseTransform, LoadImageFromFile
from mmengine.config import Config
from mmseg.datasets import BaseSegDataset
from mmseg.datasets.transforms import LoadAnnotations, PackSegInputs
from mmseg.registry import DATASETS
from PIL import Image

from bisenet_plugins.datasets import samples
from bisenet_plugins.datasets.decoded import LoadDecoded
from bisenet_plugins.datasets.samples import dataset_samples, labelled, load_samples, read_samples, synthetic_samples
from bisenet_plugins.errors import expect
from bisenet_plugins.runtime.preprocess import as_channels
from bisenet_plugins.runtime.sources import find_sources

SCENES = dict(type='StreetSceneDataset', length=5, size=(32, 48))


@pytest.fixture
def dataset(tmp_path):
    """Two images of 48 x 64 pixels, all of whose pixels are not labelled."""
    for kind, shape in (('images', (48, 64, 3)), ('labels', (48, 64))):
        (tmp_path / kind).mkdir()
        for name in 'ab':
            cv2.imwrite(str(tmp_path / kind / f'{name}.png'), np.full(shape, 11, np.uint8))
    return dict(type='CamVidDataset', data_root=str(tmp_path), test_mode=True,
                data_prefix=dict(img_path='images', seg_map_path='labels'))


PIPELINES = [(), [dict(type='LoadImageFromFile'), dict(type='Resize', scale=(32, 24)), dict(type='LoadAnnotations'),
                  dict(type='PackSegInputs')], [dict(type='PackSegInputs')], [dict(type='LoadAnnotations')]]


@pytest.mark.parametrize('pipeline', PIPELINES, ids=len)
def test_samples_come_before_any_transform(dataset, pipeline):
    samples = list(dataset_samples(dict(dataset, pipeline=pipeline)))
    assert [(sample.image.shape, sample.label.shape) for sample in samples] == [((48, 64, 3), (48, 64))] * 2
    assert [sample.name for sample in samples] == ['a.png', 'b.png'] and (samples[0].label == 255).all()


def test_loaders_named_by_their_classes_are_not_added_again(dataset, monkeypatch):
    steps = [dict(type=LoadImageFromFile), dict(type=LoadAnnotations), dict(type=PackSegInputs)]
    monkeypatch.setattr(samples, 'LoadImageFromFile', None)
    monkeypatch.setattr(samples, 'LoadAnnotations', None)
    assert labelled(list(dataset_samples(dict(dataset, pipeline=steps))))


class Remap(BaseTransform):
    """An own step that writes other ids, into the array that it was given."""

    def transform(self, results):
        results['gt_seg_map'][results['gt_seg_map'] == 255] = 7
        results['img'] = 255 - results['img']
        return results


class Read(BaseTransform):
    """An own loader in place of ``LoadAnnotations``."""

    def transform(self, results):
        return dict(results, gt_seg_map=cv2.imread(results['seg_map_path'], 0) - 4)


class Flip(BaseTransform):
    """An own step that moves pixels."""

    def transform(self, results):
        return dict(results, gt_seg_map=results['gt_seg_map'][:, ::-1], img=results['img'][:, ::-1])


@pytest.mark.parametrize('steps', [
    [LoadAnnotations, Remap], [dict(type='LoadAnnotations'), dict(type='RandomCrop', crop_size=(8, 8)), Remap],
    [dict(type='RandomApply', prob=1.0, transforms=[dict(type=LoadAnnotations), dict(type=Remap)])],
    [dict(type=LoadDecoded, loaders=[dict(type='LoadImageFromFile'), dict(type='LoadAnnotations'), dict(type=Remap)])],
    [Read], [Read, Flip], [LoadAnnotations, Remap, Flip, lambda results: None]], ids=range(7))
def test_own_label_steps_count_and_images_stay_as_loaded(dataset, tmp_path, steps):
    cv2.imwrite(str(tmp_path / 'labels' / 'a.png'), np.repeat([[11, 3]], 32, 1).repeat(48, 0))
    steps = [dict(type=step) if isinstance(step, type) else step for step in steps]
    pipeline = [dict(type='LoadImageFromFile'), dict(type='Resize', scale=(32, 24)), *steps, PIPELINES[1][-1]]
    first, _ = dataset_samples(dict(dataset, pipeline=pipeline))
    inverted = any(isinstance(step, dict) and step['type'] == LoadDecoded for step in steps)
    assert (first.image == (244 if inverted else 11)).all() and first.image.shape == (48, 64, 3)
    assert (first.label[:, :32] == 7).all()
    assert (first.label[:, 32:] == (-1 % 256 if steps[0]['type'] is Read else 3)).all()


def test_a_dataset_without_labels_yields_images(dataset):
    dataset['data_prefix'] = dict(img_path='images')
    samples = list(dataset_samples(dict(dataset, pipeline=PIPELINES[1])))
    assert len(samples) == 2 and samples[0].label is None and not labelled(samples)


def test_wrapped_datasets_are_added_up_and_a_limit_spreads(dataset):
    joined = dict(type='ConcatDataset', datasets=[dict(type='RepeatDataset', times=3, dataset=SCENES), dataset])
    assert [sample.name for sample in dataset_samples(joined, 3)] == [
        'street_scene_000000', 'street_scene_000003', 'b.png']


@pytest.mark.parametrize(('color_type', 'channels'), [('grayscale', 1), ('color', 3)])
def test_samples_have_an_axis_of_channels(dataset, color_type, channels):
    sample = next(dataset_samples(dict(dataset, pipeline=[dict(type='LoadImageFromFile', color_type=color_type)])))
    assert sample.image.shape == (48, 64, channels) and as_channels(sample.image, channels) is sample.image


def test_drawn_scenes_need_no_pipeline():
    sample = next(dataset_samples(SCENES))
    assert sample.image.shape == (32, 48, 3) and sample.label.shape == (32, 48)


def test_files_with_labels_of_the_same_names(dataset, tmp_path):
    path = tmp_path / 'images' / 'a.png'
    sample, = read_samples([path], tmp_path / 'labels')
    assert (sample.name, sample.label.shape) == ('a.png', (48, 64)) and next(read_samples([path])).label is None
    with pytest.raises(ValueError, match='a.png: expected a readable label, got no such file'):
        list(read_samples([path], tmp_path))
    for content, told in ((b'', 'bytes that are none'), (b'text', 'bytes that are none'),
                          ((tmp_path / 'labels' / 'a.png').read_bytes()[:50], 'image file is truncated')):
        (tmp_path / 'a.png').write_bytes(content)
        with pytest.raises(ValueError, match=f'a.png: expected a readable label, got {told}'):
            list(read_samples([path], tmp_path))
    for shape in ((3, 3), (48, 64, 3)):
        cv2.imwrite(str(tmp_path / 'a.png'), np.zeros(shape, np.uint8))
        with pytest.raises(ValueError, match=re.escape(f'a.png: expected a label of (48, 64), its image\'s height and '
                                                       f'width, got {shape}')):
            list(read_samples([path], tmp_path))
    (tmp_path / 'text.png').write_bytes(b'text')
    with pytest.raises(ValueError, match='text.png: expected an image'):
        list(read_samples([tmp_path / 'text.png']))


def test_two_images_of_one_label_are_refused_before_either_is_read(tmp_path):
    for names in (('a/0.png', 'b/0.png'), ('0.jpg', '0.png')):
        first, other = (tmp_path / name for name in names)
        with pytest.raises(ValueError, match=re.escape(f"lab/0.png: expected the label of one image, got '{first} and "
                                                       f"{other}'")):
            next(read_samples([first, tmp_path / '1.png', other], tmp_path / 'lab', failed=[]))
    (tmp_path / 'lab').mkdir()
    for name in ('0.jpg', 'lab/0.png', 'lab/0_mask.png'):  # with a label each
        cv2.imwrite(str(tmp_path / name), np.zeros((4, 6), np.uint8))
    given = dict(type='BaseSegDataset', img_suffix='.jpg', seg_map_suffix='_mask.png')
    paths = [tmp_path / '0.jpg', tmp_path / 'lab/0.png']
    assert len(list(read_samples(paths, tmp_path / 'lab', dataset=given))) == 2
    assert len(list(read_samples(paths))) == 2, 'without labels names do not count'


@pytest.mark.parametrize('mode', ['L', 'P', '1', 'I;16'])
def test_indexed_labels_hold_ids(dataset, tmp_path, mode):
    ids = np.arange(48 * 64).reshape(48, 64) % 2
    label = Image.fromarray((ids * (255 if mode == '1' else 1)).astype(np.uint16 if mode == 'I;16' else np.uint8))
    if mode == 'P':
        label.putpalette([9, 8, 7, 250, 120, 3])
    (label.convert(mode) if mode == '1' else label).save(tmp_path / 'a.png')
    assert Image.open(tmp_path / 'a.png').mode == mode
    sample, = read_samples([tmp_path / 'images' / 'a.png'], tmp_path)
    np.testing.assert_array_equal(sample.label, ids)
    assert sample.label.dtype != bool


@pytest.mark.parametrize(('given', 'wanted'), [
    (dict(type='BaseSegDataset'), [0, 1, 2]), (dict(type='BaseSegDataset', reduce_zero_label=True), [255, 0, 1]),
    (dict(type='ADE20KDataset'), [255, 0, 1]),
    (dict(type='RepeatDataset', dataset=dict(type='ADE20KDataset')), [255, 0, 1]),
    (dict(type='LoveDADataset', metainfo=dict(classes=('road', 'background'))), [255, 1, 255])])
def test_labels_become_what_the_dataset_makes_of_them(dataset, tmp_path, given, wanted):
    ids = np.arange(48 * 64, dtype=np.uint8).reshape(48, 64) % 3
    Image.fromarray(ids).save(tmp_path / 'a.png')
    sample, = read_samples([tmp_path / 'images' / 'a.png'], tmp_path, ('background', 'own'), given)
    np.testing.assert_array_equal(sample.label, np.array(wanted)[ids])


class Zero(BaseSegDataset):
    """Says in its code what becomes of ids, as mmseg's datasets do, and looks for its folder at the end."""

    METAINFO = dict(classes=('background', 'own'))

    def __init__(self, data_root=None, data_prefix=None, ann_file=''):
        expect(data_root != 'early', 'data_root', 'another', data_root)
        super().__init__(data_root=data_root, data_prefix=data_prefix or {}, img_suffix='.png', ann_file=ann_file,
                         seg_map_suffix='_mask.png', reduce_zero_label=True)
        assert Path(self.data_root).is_dir()


@pytest.mark.parametrize('wrap', [dict, lambda **kind: dict(type='ConcatDataset', datasets=[kind])])
@pytest.mark.parametrize('root', ['images', 'nowhere'])
def test_what_a_dataset_says_in_its_code_counts(dataset, tmp_path, monkeypatch, wrap, root):
    monkeypatch.setitem(DATASETS.module_dict, 'Zero', Zero)
    ids = np.arange(48 * 64, dtype=np.uint8).reshape(48, 64) % 3
    Image.fromarray(ids).save(tmp_path / 'a_mask.png')
    paths, given = [tmp_path / 'images' / 'a.png'], wrap(type='Zero', data_root=str(tmp_path / root), ann_file='a.txt')
    sample, = read_samples(paths, tmp_path, ('background', 'own'), given)
    np.testing.assert_array_equal(sample.label, np.array([255, 0, 1])[ids])
    with pytest.raises(ValueError, match="dataset: expected a Zero that can be built, got InputError..data_root: "):
        list(read_samples(paths, tmp_path, dataset=dict(type='Zero', data_root='early')))


def test_a_folder_of_samples_has_every_image_that_predict_takes(tmp_path):
    for name in ('a.tif', 'b.TIFF', 'c.ppm', 'd.png', 'e.txt'):
        (tmp_path / name).write_bytes(cv2.imencode('.png', np.zeros((4, 6, 3), np.uint8))[1].tobytes())
    names = [sample.name for sample in load_samples(str(tmp_path), 9)]
    assert names == ['a.tif', 'b.TIFF', 'c.ppm', 'd.png']
    assert names == [source.path.name for source in find_sources([str(tmp_path)])]


def test_labels_end_as_the_dataset_says(dataset, tmp_path):
    for name, value in (('a_mask.png', 3), ('a.png', 4), ('b.png', 5)):
        cv2.imwrite(str(tmp_path / name), np.full((48, 64), value, np.uint8))
    paths = [tmp_path / 'images' / name for name in ('a.png', 'b.png')]
    given = dict(type='BaseSegDataset', img_suffix='.png', seg_map_suffix='_mask.png')
    for own, wanted in ((given, [3, 5]), (dict(given, img_suffix='.jpg'), [4, 5]), (dict(type='CamVidDataset'), [4, 5]),
                        (None, [4, 5])):
        assert [sample.label[0, 0] for sample in read_samples(paths, tmp_path, dataset=own)] == wanted


def test_sources_of_samples(dataset, tmp_path):
    assert [sample.image.shape for sample in load_samples('synthetic', 2, size=(20, 30))] == [(20, 30, 3)] * 2
    assert [sample.name for sample in load_samples(str(tmp_path / 'images'), 9)] == ['a.png', 'b.png']
    cfg = Config(dict(val_dataloader=dict(dataset=dataset)))
    assert labelled(load_samples('val', 1, cfg))
    cfg.dump(str(tmp_path / 'cfg.py'))
    assert len(load_samples(str(tmp_path / 'cfg.py'), 9)) == 2
    np.testing.assert_array_equal(synthetic_samples(2)[1].image, synthetic_samples(2)[1].image)


@pytest.mark.parametrize('source, cfg, message', [
    ('empty', None, 'a folder with files ending in'),
    ('test', {}, "a network whose config has a test_dataloader, got 'test'"),
    ('test', dict(test_dataloader=dict(dataset=dict(pipeline=[]))), 'whose config has a test_dataloader'),
    ('none', None, "train, val, test or synthetic, got 'none'"), ('val', None, "synthetic, got 'val'"),
    ('cfg.py', None, 'a config with dataset or val_dataloader')])
def test_a_source_without_images_is_refused(tmp_path, monkeypatch, source, cfg, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'empty').mkdir()
    (tmp_path / 'cfg.py').write_text('a = 1\n')
    with pytest.raises(ValueError, match=f'images: expected .*{message}'):
        load_samples(source, 1, cfg)
