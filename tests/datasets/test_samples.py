"""The one loader of labelled samples."""

import cv2
import numpy as np
import pytest
from mmengine.config import Config

from bisenet_plugins.datasets.samples import dataset_samples, labelled, load_samples, read_samples, synthetic_samples

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


def test_a_dataset_without_labels_yields_images(dataset):
    dataset['data_prefix'] = dict(img_path='images')
    samples = list(dataset_samples(dict(dataset, pipeline=PIPELINES[1])))
    assert len(samples) == 2 and samples[0].label is None and not labelled(samples)


def test_wrapped_datasets_are_added_up_and_a_limit_spreads(dataset):
    joined = dict(type='ConcatDataset', datasets=[dict(type='RepeatDataset', times=3, dataset=SCENES), dataset])
    assert [sample.name for sample in dataset_samples(joined, 3)] == [
        'street_scene_000000', 'street_scene_000003', 'b.png']


def test_drawn_scenes_need_no_pipeline():
    sample = next(dataset_samples(SCENES))
    assert sample.image.shape == (32, 48, 3) and sample.label.shape == (32, 48)


def test_files_with_labels_of_the_same_names(dataset, tmp_path):
    path = tmp_path / 'images' / 'a.png'
    sample, = read_samples([path], tmp_path / 'labels')
    assert (sample.name, sample.label.shape) == ('a.png', (48, 64)) and next(read_samples([path])).label is None
    with pytest.raises(ValueError, match='label of .*a.png: expected a PNG of class ids at .*, got None'):
        list(read_samples([path], tmp_path))
    cv2.imwrite(str(tmp_path / 'a.png'), np.zeros((3, 3), np.uint8))
    with pytest.raises(ValueError, match=r'of the size \(48, 64\), got \(3, 3\)'):
        list(read_samples([path], tmp_path))
    (tmp_path / 'text.png').write_bytes(b'text')
    with pytest.raises(ValueError, match='text.png: expected an image'):
        list(read_samples([tmp_path / 'text.png']))


def test_sources_of_samples(dataset, tmp_path):
    assert [sample.image.shape for sample in load_samples('synthetic', 2, size=(20, 30))] == [(20, 30, 3)] * 2
    assert [sample.name for sample in load_samples(str(tmp_path / 'images'), 9)] == ['a.png', 'b.png']
    cfg = Config(dict(val_dataloader=dict(dataset=dataset)))
    assert labelled(load_samples('val', 1, cfg))
    cfg.dump(str(tmp_path / 'cfg.py'))
    assert len(load_samples(str(tmp_path / 'cfg.py'), 9)) == 2
    np.testing.assert_array_equal(synthetic_samples(2)[1].image, synthetic_samples(2)[1].image)


@pytest.mark.parametrize('source, cfg, message', [
    ('empty', None, 'a folder with files ending in'), ('test', {}, 'a config with test_dataloader'),
    ('none', None, "train, val, test or synthetic, got 'none'"), ('val', None, "synthetic, got 'val'"),
    ('cfg.py', None, 'a config with dataset or val_dataloader')])
def test_a_source_without_images_is_refused(tmp_path, monkeypatch, source, cfg, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'empty').mkdir()
    (tmp_path / 'cfg.py').write_text('a = 1\n')
    with pytest.raises(ValueError, match=f'images: expected .*{message}'):
        load_samples(source, 1, cfg)
