"""The dataset check: each finding on a small broken dataset, and nothing on a sound one."""

import json
import re
import runpy
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from mmcv.transforms import BaseTransform
from mmengine.config import Config
from mmseg.datasets import BaseSegDataset
from mmseg.datasets.transforms import PackSegInputs
from mmseg.registry import DATASETS, TRANSFORMS
from PIL import Image

from bisenet_plugins.arguments import accepted_arguments
from bisenet_plugins.datasets.check import FINDINGS, CheckedCompose, check_dataset, check_pipelines
from bisenet_plugins.datasets.decoded import ids_in_training
from bisenet_plugins.datasets.scenes import street_scenes  # noqa: F401
from bisenet_plugins.errors import InputError

TOOL = Path(__file__).parents[2] / 'tools/analysis_tools/check_data.py'
PIPELINE = [dict(type='LoadImageFromFile'), dict(type='LoadAnnotations'), dict(type='PackSegInputs')]


@pytest.fixture
def folder(tmp_path):
    for name in 'abc':
        for part, array in (('train', np.full((4, 6, 3), 99)), ('trainannot', np.arange(24).reshape(4, 6) % 12)):
            (tmp_path / part).mkdir(exist_ok=True)
            assert cv2.imwrite(str(tmp_path / part / f'{name}.png'), array.astype(np.uint8))
    return tmp_path


def config(folder, **dataset):
    return Config(dict(train_dataloader=dict(dataset=dict(dict(
        type='CamVidDataset', data_root=str(folder), data_prefix=dict(img_path='train', seg_map_path='trainannot'),
        pipeline=PIPELINE), **dataset))))


def label(folder, name, array):
    assert cv2.imwrite(str(folder / f'trainannot/{name}.png'), np.asarray(array, np.uint8))


def kinds(report):
    return {finding.kind: finding.count for finding in report.findings}


def test_sound_dataset(folder):
    report = check_dataset(config(folder))
    assert report.ok and not report.findings and (report.images, report.checked) == (3, 3)
    assert [count.pixels for count in report.classes] == [6] * 11
    assert [count.images for count in report.classes] == [3] * 11
    assert report.classes[0].percent == pytest.approx(100 / 11)
    assert report.ignored_percent == pytest.approx(100 / 12)
    assert 'Bicyclist' in report.to_text() and 'Nothing is wrong.' in report.to_text()


def test_drawn_dataset():
    report = check_dataset(Config(dict(val_dataloader=dict(dataset=dict(
        type='StreetSceneDataset', length=3, size=(96, 128), pipeline=PIPELINE)))), split='val', limit=2)
    assert report.ok and (report.images, report.checked) == (3, 2)
    total = sum(count.pixels for count in report.classes) + report.ignored_pixels
    assert total == 2 * 96 * 128


def break_folder(folder, how):
    path = folder / 'trainannot/b.png'
    if how == 'no label':
        path.unlink()
    elif how == 'unreadable image':
        (folder / 'train/b.png').write_bytes(b'broken')
    elif how == 'unreadable label':
        path.write_bytes(path.read_bytes()[:40])
    elif how == 'channels':
        label(folder, 'b', np.zeros((4, 6, 3)))
    elif how == 'size':
        label(folder, 'b', np.zeros((6, 4)))
    elif how == 'range':
        label(folder, 'b', np.full((4, 6), 12))
    elif how == 'ignored':
        label(folder, 'b', np.full((4, 6), 11))


@pytest.mark.parametrize('how', [
    'no label', 'unreadable image', 'unreadable label', 'channels', 'size', 'range', 'ignored'])
def test_one_bad_sample_is_found(folder, how):
    break_folder(folder, how)
    report = check_dataset(config(folder))
    assert not report.ok and kinds(report) == {how: 1}
    assert 'b.png' in report.findings[0].examples[0]
    assert FINDINGS[how][1] in report.to_text()


def test_one_class_is_told_what_a_background_needs(folder):
    pool = dict(type='BaseSegDataset', img_suffix='.png', metainfo=dict(classes=('pool',)))
    for name in 'abc':
        label(folder, name, np.indices((4, 6)).sum(0) % 2)
    report = check_dataset(config(folder, **pool))
    assert kinds(report) == {'range': 3}
    assert report.findings[0].examples[0].endswith('; one class and its background need num_classes=2, out_channels=1')
    pool['metainfo'] = dict(classes=('background', 'pool'))
    assert check_dataset(config(folder, **pool)).ok
    label(folder, 'b', np.full((4, 6), 2))
    assert check_dataset(config(folder, **pool)).findings[0].examples[0].endswith('with 2 classes (0 to 1)')


def test_the_fixes_name_arguments_that_datasets_take():
    takes = {*accepted_arguments(BaseSegDataset), 'num_classes'}
    named = {word for _, fix in FINDINGS.values() for word in re.findall(r'[a-z]+(?:_[a-z]+)+', fix)}
    assert len(named) > 4 and named <= takes


def test_missing_image(folder):
    (folder / 'list.txt').write_text('a\nz\n')
    report = check_dataset(config(folder, ann_file='list.txt'))
    assert kinds(report) == {'missing image': 1}


def test_binary_masks(folder):
    for name in 'abc':
        label(folder, name, np.indices((4, 6)).sum(0) % 2 * 255)
    report = check_dataset(config(folder))
    assert kinds(report) == {'binary': 3, 'absent': 10} and not report.ok


def test_one_class_and_void_in_one_image_is_no_binary_dataset(folder):
    label(folder, 'b', np.indices((4, 6)).sum(0) % 2 * 255)
    assert check_dataset(config(folder)).ok


def test_absent_class_is_only_a_note(folder):
    for name in 'abc':
        label(folder, name, np.arange(24).reshape(4, 6) % 10)
    report = check_dataset(config(folder))
    assert report.ok and kinds(report) == {'absent': 1} and report.findings[0].examples == ['10 Bicyclist']


def test_reduce_zero_label_and_no_classes(folder):
    report = check_dataset(config(folder, reduce_zero_label=True))
    assert report.classes[0].pixels == 6 and report.classes[10].pixels == 6  # id 1 became 0, id 11 became 10
    assert kinds(check_dataset(config(folder, type='BaseSegDataset', img_suffix='.png'))) == {'classes': 1}


@pytest.mark.parametrize('model, message', [
    (dict(num_classes=5), 'model.num_classes: expected 11, the number of {}, got 5'),
    (dict(num_classes=11, auxiliary_head=[dict(type='FCNHead', num_classes=2)]),
     'model.auxiliary_head.0.num_classes: expected 11, the number of {}, got 2')])
def test_the_classes_of_the_model_are_compared(folder, model, message):
    cfg = Config(dict(config(folder)._cfg_dict, model=dict(
        dict(type='BilateralSegmentor', decode_head=dict(type='FCNHead')), **model)))
    with pytest.raises(InputError, match=message.format('train_dataloader.dataset.metainfo.classes')):
        check_dataset(cfg)


def test_folder_that_is_not_there(folder):
    assert kinds(check_dataset(config(folder / 'nowhere'))) == {'not listed': 1}


def test_folder_without_images(folder):
    assert kinds(check_dataset(config(folder, img_suffix='.jpg'))) == {'empty': 1}


def test_sample_that_only_the_pipeline_could_make(folder):
    cfg = config(folder, data_prefix=dict(img_path='train'))
    assert kinds(check_dataset(cfg)) == {'no label': 3, 'absent': 11}


def test_loaders_of_the_pipeline_s_own_are_what_reads(folder, monkeypatch):
    class LoadIds(BaseTransform):
        def transform(self, results):
            results['gt_seg_map'] = np.load(results['seg_map_path'])
            return results

    monkeypatch.setitem(TRANSFORMS.module_dict, 'LoadIds', LoadIds)
    for path in (folder / 'trainannot').iterdir():
        np.save(path.with_suffix('.npy'), np.full((4, 6), 3))
    (folder / 'trainannot/b.npy').write_bytes(b'nothing')
    pipeline = [PIPELINE[0], dict(type='LoadIds'), PIPELINE[2]]
    report = check_dataset(config(folder, pipeline=pipeline, seg_map_suffix='.npy'))
    assert kinds(report) == {'broken': 1, 'absent': 10} and report.classes[3].pixels == 48
    assert report.findings[0].examples[0].startswith(str(folder / 'train/b.png'))


class Remap(BaseTransform):
    """An own step that writes other ids."""

    def __init__(self, table):
        self.table = table

    def transform(self, results):
        label = results['gt_seg_map']
        return dict(results, gt_seg_map=ids_in_training(label.astype(int), False, self.table).astype(np.uint8))


class Crop(BaseTransform):
    """An own step that moves or drops pixels, and changes ids or not."""

    def __init__(self, columns):
        self.columns = columns

    def transform(self, results):
        return dict(results, **{key: results[key][:, self.columns] for key in ('img', 'gt_seg_map')})


@pytest.mark.parametrize('steps', [
    [PIPELINE[1], 'remap'], [PIPELINE[1], dict(type='RandomCrop', crop_size=(2, 2)), 'remap'],
    [dict(type='Resize', scale=(3, 2)), PIPELINE[1], 'remap', dict(type=Crop, columns=slice(None, None, -1))]], ids=len)
@pytest.mark.parametrize(('table', 'pixels'), [
    ({0: 1}, [0, 12, *[6] * 9]), ({0: 1, 1: 0, 2: 255}, [6, 6, 0, *[6] * 8]), ({10: 255}, [*[6] * 10, 0])])
def test_own_label_steps_count(folder, steps, table, pixels):
    steps = [dict(type=Remap, table=table) if step == 'remap' else step for step in steps]
    report = check_dataset(config(folder, pipeline=[PIPELINE[0], *steps, PIPELINE[2]]))
    assert [count.pixels for count in report.classes] == pixels and report.ok
    scenes = dict(type='StreetSceneDataset', length=1, size=(32, 48), pipeline=[PIPELINE[0], *steps, PIPELINE[2]])
    drawn = check_dataset(Config(dict(train_dataloader=dict(dataset=scenes)))).classes
    assert drawn[max(table)].pixels == 0 or table.get(0) == 1 and drawn[1].pixels > 0


def test_own_steps_that_change_no_id_hide_nothing(folder):
    flip, crop = (dict(type=Crop, columns=columns) for columns in (slice(None, None, -1), slice(2)))
    for name in 'abc':
        label(folder, name, np.indices((4, 6)).sum(0) % 2 * 255)
    report = check_dataset(config(folder, pipeline=[*PIPELINE[:2], flip, PIPELINE[2]]))
    assert kinds(report) == {'binary': 3, 'absent': 10}
    report = check_dataset(config(folder, pipeline=[*PIPELINE[:2], crop, PIPELINE[2]]))
    assert kinds(report) == {'binary': 3, 'left out': 3, 'absent': 10}
    assert report.findings[1].examples[0].endswith('a.png: Crop') and not report.findings[1].is_error
    (folder / 'train/a.png').write_bytes(b'broken')
    (folder / 'trainannot/b.png').unlink()
    report = check_dataset(config(folder, pipeline=[*PIPELINE[:2], flip, PIPELINE[2]]))
    assert kinds(report) == {'unreadable image': 1, 'no label': 1, 'binary': 1, 'absent': 10}


def test_an_image_whose_orientation_is_ignored_has_the_size_of_the_file(folder):
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by 90 degrees
    Image.fromarray(np.full((4, 6, 3), 99, np.uint8)).save(folder / 'train/a.png', exif=exif)
    assert 'size' in kinds(check_dataset(config(folder)))
    loads = dict(type='LoadImageFromFile', color_type='color_ignore_orientation', imdecode_backend='pillow')
    assert 'size' not in kinds(check_dataset(config(folder, pipeline=[loads, *PIPELINE[1:]])))


def test_wrapped_datasets_are_added_up(folder):
    inner = config(folder).train_dataloader.dataset
    cfg = Config(dict(train_dataloader=dict(dataset=dict(
        type='ConcatDataset', datasets=[inner, dict(type='RepeatDataset', times=5, dataset=inner)]))))
    report = check_dataset(cfg)
    assert report.images == 6 and report.classes[3].images == 6
    assert [check_dataset(cfg, limit=limit).checked for limit in (2, 3, 4, 9)] == [2, 3, 4, 6]


def test_pixels_are_those_of_a_pass_over_repeated_datasets(folder):
    """Each file is read and counted once; the shares are those that a training sees."""
    inner = config(folder).train_dataloader.dataset
    (folder / 'rare.txt').write_text('a')
    label(folder, 'a', np.zeros((4, 6)))
    rare = dict(type='RepeatDataset', times=3, dataset=dict(
        type='ConcatDataset', datasets=[dict(type='RepeatDataset', times=5, dataset=dict(inner, ann_file='rare.txt'))]))
    report = check_dataset(Config(dict(train_dataloader=dict(dataset=dict(
        type='ConcatDataset', datasets=[inner, rare])))))
    assert (report.images, report.checked, report.classes[0].images) == (4, 4, 4)
    assert [count.pixels for count in report.classes[:2]] == [24 * 16 + 2 * 2, 2 * 2] and report.ignored_pixels == 4


@pytest.mark.parametrize('change, message', [
    (dict(split='dev'), "split: expected one of .*, got 'dev'"),
    (dict(limit=0), 'limit: expected at least 1 .*, got 0'),
    (dict(split='test'), 'cfg: expected test_dataloader')])
def test_wrong_arguments(folder, change, message):
    with pytest.raises(ValueError, match=message):
        check_dataset(config(folder), **change)


def test_tool(folder, monkeypatch, capsys):
    break_folder(folder, 'ignored')
    path = folder / 'cfg.py'
    config(folder).dump(path)
    monkeypatch.setattr(sys, 'argv', [str(TOOL), str(path), '--json'])
    with pytest.raises(SystemExit) as stop:
        runpy.run_path(str(TOOL), run_name='__main__')
    report = json.loads(capsys.readouterr().out)['train']
    assert stop.value.code == 1 and report['ok'] is False and report['findings'][0]['kind'] == 'ignored'


def test_a_transform_that_fails_in_a_data_worker_is_named(monkeypatch):
    """Of its error, only the last line reaches the main process."""
    class Normalize:
        def __call__(self, data):
            raise data.pop('error')

    error = ValueError('Sizes do\nnot match')
    with pytest.raises(ValueError, match='^Sizes'):  # named from its traceback
        CheckedCompose([Normalize()])(dict(error=error))
    monkeypatch.setattr('bisenet_plugins.datasets.check.get_worker_info', lambda: 1)
    with pytest.raises(InputError, match='^a.npy: expected what Normalize takes, got ValueError: Sizes do$'):
        CheckedCompose([Normalize()])(dict(img_path='a.npy', error=error))
    with pytest.raises(FileNotFoundError):
        CheckedCompose([Normalize()])(dict(img_path='a.npy', error=FileNotFoundError('a.npy')))


def test_pipelines_of_joined_datasets_are_checked(folder):
    """Files of which only an own transform knows how to read them are left to it."""
    label(folder, 'b', np.zeros((2, 2)))
    inner = config(folder).train_dataloader.dataset
    repeated = dict(type='RepeatDataset', times=2, dataset=inner)
    joined = DATASETS.build(dict(type='ConcatDataset', datasets=[inner, repeated]))
    check_pipelines(joined)
    for index in (1, 4):
        with pytest.raises(InputError, match=r'b.png: expected a label of \(4, 6\), .* got \(2, 2\)'):
            joined[index]
    assert CheckedCompose([lambda data: None])({}) is None and CheckedCompose([list])((1, 2)) == [1, 2]

    class LoadAnnotations:
        """Reads colours, as some datasets have them, or boxes alone."""

        def __call__(self, data):
            return dict(data, **data.pop('more', {}))

    steps = [LoadAnnotations(), lambda data: dict(data, gt_seg_map=np.zeros((4, 6))), PackSegInputs(meta_keys=())]
    colours = dict(img=np.zeros((4, 6, 3), np.uint8), ori_shape=(4, 6), more=dict(gt_seg_map=np.zeros((4, 6, 3))))
    assert CheckedCompose(steps)(colours)['data_samples'].gt_sem_seg.shape == (4, 6)
    assert CheckedCompose(steps[:1])(dict(ori_shape=(4, 6))) == dict(ori_shape=(4, 6))
    with pytest.raises(InputError, match=r'label: expected a label of \(4, 6\), .* got \(4, 6, 3\)'):
        CheckedCompose([steps[0], steps[2]])(dict(colours, more=dict(gt_seg_map=np.zeros((4, 6, 3)))))
    for path, error in (('a.npy', KeyError), ('none.png', InputError), ('bucket/none.png', KeyError)):
        with pytest.raises(error):
            CheckedCompose([lambda data: {}['key']])(dict(img_path=path))
