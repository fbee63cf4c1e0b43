"""The check-data command: a report for people or as JSON, and an exit status."""

import json

import cv2
import numpy as np
import pytest
from mmengine.config import Config

PIPELINE = [dict(type='LoadImageFromFile'), dict(type='LoadAnnotations'), dict(type='PackSegInputs')]


@pytest.fixture
def dataset(tmp_path):
    """A config, and two images with labels of CamVid's classes."""
    for name in 'ab':
        for part, array in (('train', np.full((4, 6, 3), 99)), ('trainannot', np.arange(24).reshape(4, 6) % 12)):
            (tmp_path / part).mkdir(exist_ok=True)
            cv2.imwrite(str(tmp_path / part / f'{name}.png'), array.astype(np.uint8))
    Config(dict(train_dataloader=dict(dataset=dict(
        type='CamVidDataset', data_root=str(tmp_path), pipeline=PIPELINE,
        data_prefix=dict(img_path='train', seg_map_path='trainannot'))))).dump(str(tmp_path / 'data.py'))
    return tmp_path


def test_a_sound_dataset(bisenet, dataset):
    status, told, _ = bisenet('check-data', 'data.py')
    assert status == 0 and 'Bicyclist' in told and 'if rare classes are missed: class_weight=[1.0' in told
    status, told, _ = bisenet('check-data', 'data.py', '--split', 'train', '--json')
    assert status == 0 and json.loads(told)['split'] == 'train'


def test_validation_images_are_checked_too(bisenet, dataset):
    cfg = Config.fromfile('data.py')
    cfg.val_dataloader = dict(dataset=dict(cfg.train_dataloader.dataset, data_prefix=dict(
        img_path='val', seg_map_path='valannot')))
    cfg.dump('data.py')
    status, told, _ = bisenet('check-data', 'data.py', '--json')
    reports = json.loads(told)
    assert status == 1 and reports['train']['ok'] and not reports['val']['ok']


def test_a_label_that_is_ignored_everywhere_is_found(bisenet, dataset):
    cv2.imwrite('trainannot/a.png', np.full((4, 6), 11, np.uint8))
    status, told, _ = bisenet('check-data', 'data.py', '--json')
    report = json.loads(told)['train']
    assert status == 1 and report['ok'] is False and report['findings'][0]['kind'] == 'ignored'


@pytest.mark.parametrize('words, status, sentence', [
    (['none.py'], 1, 'error: config: expected a file, or a name that "bisenet list" has, got none.py'),
    (['data.py', '--split', 'test'], 1, 'test_dataloader'),
    (['data.py', '--max', '0'], 2, "--max: expected a whole number of at least 1, got '0'"),
])
def test_what_does_not_fit_is_one_sentence(bisenet, dataset, words, status, sentence):
    got, told, failure = bisenet('check-data', *words)
    assert (got, told) == (status, '') and sentence in failure.splitlines()[-1]
