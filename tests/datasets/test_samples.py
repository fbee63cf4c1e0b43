"""Images for calibration and comparison: drawn, from a folder, or from a dataset."""

import cv2
import numpy as np
import pytest

from bisenet_plugins.datasets.samples import dataset_samples, load_samples, synthetic_samples
from bisenet_plugins.errors import InputError


def test_samples_come_from_a_folder_or_not_at_all(tmp_path):
    for i in range(5):
        cv2.imwrite(str(tmp_path / f'{i}.png'), synthetic_samples(1, (8, 16), i)[0].image)
    assert len(load_samples(str(tmp_path), 3)) == 3
    (tmp_path / 'empty').mkdir()
    with pytest.raises(InputError, match='expected a folder with images .* found none in .*empty'):
        load_samples(str(tmp_path / 'empty'), 3)
    with pytest.raises(InputError, match="expected a folder of images, .* got 'nowhere'"):
        load_samples('nowhere', 3)
    with pytest.raises(InputError, match='val: expected a config with val_dataloader'):
        load_samples('val', 3, dict())


def test_joined_and_repeated_datasets_give_the_first_ones_images():
    scenes = dict(type='StreetSceneDataset', length=3, size=(48, 64), pipeline=[dict(type='PackSegInputs')])
    joined = dict(type='ConcatDataset', datasets=[dict(type='RepeatDataset', times=2, dataset=scenes)])
    samples = load_samples('train', 2, dict(train_dataloader=dict(dataset=joined)))
    assert [sample.image.shape for sample in samples] == [(48, 64, 3)] * 2


@pytest.mark.parametrize('loading', [[], [dict(type='LoadImageFromFile'), dict(type='LoadAnnotations')]])
def test_images_and_labels_come_untransformed(tmp_path, loading):
    for number, kind in enumerate(('images', 'labels')):
        (tmp_path / kind).mkdir()
        cv2.imwrite(str(tmp_path / kind / '0.png'), np.full((48, 64, 3)[:3 - number], 11, np.uint8))
    samples = list(dataset_samples(dict(
        type='CamVidDataset', data_root=str(tmp_path), test_mode=True,
        data_prefix=dict(img_path='images', seg_map_path='labels'),
        pipeline=[*loading, dict(type='Resize', scale=(32, 24)), dict(type='PackSegInputs')])))
    assert [(sample.image.shape, sample.label.shape) for sample in samples] == [((48, 64, 3), (48, 64))]
    assert (samples[0].label == 255).all()
