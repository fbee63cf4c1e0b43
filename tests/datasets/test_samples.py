"""Images for calibration and comparison: drawn, from a folder, or from a dataset."""

import cv2
import pytest

from bisenet_plugins.datasets.samples import load_samples, synthetic_samples
from bisenet_plugins.errors import BisenetError


def test_samples_come_from_a_folder_or_not_at_all(tmp_path):
    for i in range(5):
        cv2.imwrite(str(tmp_path / f'{i}.png'), synthetic_samples(1, (8, 16), i)[0].image)
    assert len(load_samples(str(tmp_path), 3)) == 3
    (tmp_path / 'empty').mkdir()
    with pytest.raises(BisenetError, match='empty'):
        load_samples(str(tmp_path / 'empty'), 3)
    with pytest.raises(BisenetError, match='nowhere'):
        load_samples('nowhere', 3)
    with pytest.raises(BisenetError, match='val_dataloader'):
        load_samples('val', 3, dict())


def test_joined_and_repeated_datasets_give_the_first_ones_images():
    scenes = dict(type='StreetSceneDataset', length=3, size=(48, 64), pipeline=[dict(type='PackSegInputs')])
    joined = dict(type='ConcatDataset', datasets=[dict(type='RepeatDataset', times=2, dataset=scenes)])
    samples = load_samples('train', 2, dict(train_dataloader=dict(dataset=joined)))
    assert [sample.image.shape for sample in samples] == [(48, 64, 3)] * 2
