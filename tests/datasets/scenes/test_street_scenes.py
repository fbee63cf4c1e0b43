"""The synthetic street scenes: the same for the same seed, all classes, and at home in mmseg's pipelines."""

import copy
from pathlib import Path

import numpy as np
import pytest
from mmcv.transforms import Compose
from mmengine.config import Config
from mmengine.runner import Runner
from mmseg.registry import DATASETS

from bisenet_plugins.datasets.camvid import CamVidDataset
from bisenet_plugins.datasets.scenes.painter import paint_scene
from bisenet_plugins.datasets.scenes.street_scenes import StreetSceneDataset, without_files

CONFIG = Path(__file__).parents[3] / 'configs/_base_/datasets/street_scenes_144x192.py'
SMALL = dict(size=(48, 64))


@pytest.fixture(scope='module')
def scenes():
    return [paint_scene((180, 240), seed=5, index=index) for index in range(30)]


def test_every_class_is_in_most_scenes(scenes):
    for class_id in range(11):
        assert np.mean([(label == class_id).sum() > 40 for _, label in scenes]) >= 0.6, class_id


def test_only_classes_and_void(scenes):
    seen = set(np.unique(np.stack([label for _, label in scenes])).tolist())
    assert seen == {*range(11), 255}


def test_void_is_rare(scenes):
    void = np.mean([label == 255 for _, label in scenes])
    assert 0 < void < 0.05


def test_colour_alone_does_not_tell_the_class(scenes):
    """A look-up table from colour to class, the best one there is, stays far below what a network reaches."""
    images = np.stack([image for image, _ in scenes]).reshape(-1, 3) // 16
    labels = np.stack([label for _, label in scenes]).reshape(-1)
    codes = images.astype(int) @ (256, 16, 1)
    half = len(labels) // 2
    votes = np.zeros((4096, 11), int)
    known = labels[:half] < 11
    np.add.at(votes, (codes[:half][known], labels[:half][known]), 1)
    guess, truth = votes.argmax(1)[codes[half:]], labels[half:]
    iou = [((guess == c) & (truth == c)).sum() / ((guess == c) | (truth == c))[truth < 11].sum() for c in range(11)]
    assert np.mean(iou) < 0.35


@pytest.mark.parametrize('size', [(32, 32), (33, 47), (90, 200), (256, 128)])
def test_any_size(size):
    image, label = paint_scene(size, seed=0, index=0)
    assert (image.shape, image.dtype) == ((*size, 3), np.uint8)
    assert (label.shape, label.dtype) == (size, np.uint8)
    assert len(np.unique(label)) > 4


def test_same_seed_same_scene_other_seed_other_scene():
    def take(seed, index):
        return StreetSceneDataset(length=4, seed=seed, **SMALL).get_data_info(index)

    first, again = take(1, 2), take(1, 2)
    np.testing.assert_array_equal(first['img'], again['img'])
    np.testing.assert_array_equal(first['gt_seg_map'], again['gt_seg_map'])
    for other in (take(2, 2), take(1, 3)):
        assert (first['img'] != other['img']).mean() > 0.5


def test_sample_has_what_mmseg_transforms_need():
    info = StreetSceneDataset(length=13, **SMALL).get_data_info(-1)
    assert info['img_path'] == 'street_scene_000012'
    assert info['img_shape'] == info['ori_shape'] == (48, 64)
    assert info['seg_fields'] == ['gt_seg_map'] and info['reduce_zero_label'] is False
    assert info['sample_idx'] == 12


def test_classes_and_palette_are_those_of_camvid():
    assert StreetSceneDataset.METAINFO == CamVidDataset.METAINFO


def test_copy_subset_and_indices():
    whole = StreetSceneDataset(length=6, **SMALL)
    assert len(whole.get_subset([4, 1])) == 2
    some = StreetSceneDataset(length=6, indices=[4, 1], **SMALL)
    for twin in (some, copy.deepcopy(some)):
        assert len(twin) == 2
        np.testing.assert_array_equal(twin.get_data_info(0)['img'], whole.get_data_info(4)['img'])


def test_subset_of_classes_maps_the_others_to_ignored():
    full = StreetSceneDataset(length=1, **SMALL)
    some = StreetSceneDataset(length=1, metainfo=dict(classes=('Road', 'Sky')), **SMALL)
    before, after = full.get_data_info(0)['gt_seg_map'], some.get_data_info(0)['gt_seg_map']
    np.testing.assert_array_equal(after == 0, before == 3)
    np.testing.assert_array_equal(after == 1, before == 0)
    assert set(np.unique(after).tolist()) == {0, 1, 255}


def test_pipeline_for_files_serves_for_drawn_scenes():
    files = [dict(type='LoadImageFromFile'), dict(type='LoadAnnotations'), dict(type='PackSegInputs')]
    drawn = StreetSceneDataset(length=2, pipeline=files, **SMALL)
    plain = StreetSceneDataset(length=2, pipeline=[dict(type='PackSegInputs')], **SMALL)
    for name in ('inputs', 'data_samples'):
        one, other = drawn[1][name], plain[1][name]
        if name == 'data_samples':
            one, other = one.gt_sem_seg.data, other.gt_sem_seg.data
        np.testing.assert_array_equal(one.numpy(), other.numpy())
    assert files[0]['type'] == 'LoadImageFromFile'


def test_built_readers_are_left_out_too():
    readers = Compose([dict(type='LoadImageFromFile'), dict(type='RandomFlip', prob=0.5)]).transforms
    assert without_files(readers) == [readers[1]]


def test_config_loads_batches_in_workers():
    cfg = Config.fromfile(CONFIG)
    cfg.train_dataloader.dataset.length = 8
    batch = next(iter(Runner.build_dataloader(cfg.train_dataloader, seed=0)))
    assert len(batch['inputs']) == 8 and tuple(batch['inputs'][0].shape) == (3, 144, 192)
    assert tuple(batch['data_samples'][0].gt_sem_seg.data.shape) == (1, 144, 192)


def test_test_time_augmentation_keeps_the_label_as_drawn():
    cfg = Config.fromfile(CONFIG)
    cfg.test_dataloader.dataset.update(length=1, pipeline=cfg.tta_pipeline)
    dataset = DATASETS.build(cfg.test_dataloader.dataset)
    sample = dataset[0]
    assert len(sample['inputs']) == 6
    for view in sample['data_samples']:
        np.testing.assert_array_equal(view.gt_sem_seg.data[0].numpy(), dataset.get_data_info(0)['gt_seg_map'])


def test_config_trains_and_tests_on_different_scenes():
    cfg = Config.fromfile(CONFIG)
    assert cfg.train_dataloader.dataset.seed != cfg.val_dataloader.dataset.seed


@pytest.mark.parametrize('change, message', [
    (dict(length=0), 'length: expected a whole number of at least 1, got 0'),
    (dict(seed=-1), 'seed: expected .*, got -1'),
    (dict(size=(31, 64)), r'size: expected .*, got \(31, 64\)'),
    (dict(size=(64, )), r'size: expected .*, got \(64,\)'),
    (dict(reduce_zero_label=True), 'reduce_zero_label: expected False, .*, got True'),
])
def test_wrong_arguments(change, message):
    with pytest.raises(ValueError, match=message):
        StreetSceneDataset(**{'length': 3, **change})


@pytest.mark.parametrize('index', [3, -4])
def test_place_outside_the_dataset(index):
    with pytest.raises(IndexError, match=f'idx: expected .*, got {index}'):
        StreetSceneDataset(length=3, **SMALL).get_data_info(index)


def test_kept_scenes_are_the_drawn_ones_and_are_not_changed_by_their_user():
    plain, keeping = (StreetSceneDataset(length=3, size=(48, 64), cache_size=size) for size in (0, 2))
    for _ in range(2):
        for i in range(3):
            info = keeping.get_data_info(i)
            np.testing.assert_array_equal(info['img'], plain.get_data_info(i)['img'])
            info['img'][:] = 0
            info['gt_seg_map'][:] = 0
    assert len(keeping._kept) == 2
