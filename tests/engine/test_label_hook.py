"""Classes and labels that do not fit end a run and are named."""

import re
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch
from mmcv.transforms import BaseTransform, Compose, TestTimeAug
from mmengine.structures import PixelData
from mmseg.datasets.transforms import LoadAnnotations
from mmseg.models.decode_heads import FCNHead
from mmseg.structures import SegDataSample
from PIL import Image

from bisenet_plugins.datasets.check import check_classes
from bisenet_plugins.datasets.decoded import LoadDecoded
from bisenet_plugins.engine import LabelCheckHook, launch
from bisenet_plugins.engine.label_hook import reads_8_bits
from bisenet_plugins.engine.launch import load_config, prepare_test, prepare_training, run_test, run_training
from bisenet_plugins.errors import InputError

RUNNER = SimpleNamespace(model=SimpleNamespace(num_classes=3, decode_head=SimpleNamespace(ignore_index=255)))


class BorderHead(FCNHead):
    """A head that draws labels of its own, as other projects have them."""

    def loss_by_feat(self, seg_logits, batch_data_samples):
        return {}


def batch(label, path='a.png'):
    sample = SegDataSample(metainfo=dict(seg_map_path=path))
    sample.gt_sem_seg = PixelData(data=torch.as_tensor(label)[None])
    return dict(data_samples=[sample])


@pytest.mark.parametrize('step', ['before_train_iter', 'before_val_iter', 'before_test_iter'])
def test_an_id_outside_the_classes_is_named(step):
    check = getattr(LabelCheckHook(), step)
    check(RUNNER, 0, batch([[0, 2], [255, 1]]))
    with pytest.raises(InputError, match='a.png: expected class ids from 0 to 2, or 255 .*, got 3, 7'):
        check(RUNNER, 0, batch([[0, 3], [7, 1]]))
    variant = [batch(label, path)['data_samples'][0] for label, path in (([[0, 1]], 'a.png'), ([[9, 9]], 'b.png'))]
    with pytest.raises(InputError, match='b.png'):  # variants of the same images
        check(RUNNER, 0, dict(data_samples=[variant, variant]))


@pytest.mark.parametrize(('num_classes', 'needs'), [
    (1, '1; one class and its background need num_classes=2, out_channels=1'), (2, '2')])
def test_one_class_is_told_what_a_background_needs(num_classes, needs):
    runner = SimpleNamespace(model=SimpleNamespace(num_classes=num_classes))
    with pytest.raises(InputError, match=f'where nothing counts, got {needs}$'):
        LabelCheckHook().before_train_iter(runner, 0, batch([[0, num_classes]]))


def test_the_last_of_several_heads_says_what_is_ignored():
    heads = torch.nn.ModuleList([torch.nn.Identity(), torch.nn.Identity()])
    heads[0].ignore_index, heads[1].ignore_index = 255, 19
    runner = SimpleNamespace(model=SimpleNamespace(num_classes=3, decode_head=heads))
    LabelCheckHook().before_train_iter(runner, 0, batch([[0, 19]]))
    with pytest.raises(InputError, match='a.png: expected class ids from 0 to 2, or 19 .*, got 255'):
        LabelCheckHook().before_train_iter(runner, 0, batch([[0, 255]]))


def test_a_label_is_named_where_8_bits_do_not_hold_it(tmp_path):
    for name, most in (('fits.png', 2), ('deep.png', 258)):
        Image.fromarray(np.array([[0, most]], np.uint16)).save(tmp_path / name)
    for number, most in enumerate((0.5, float('nan'), -1.0)):
        Image.fromarray(np.array([[0, most]], np.float32)).save(tmp_path / f'float{number}.tif')
    hook = LabelCheckHook()
    hook.before_train_iter(RUNNER, 0, batch([[0, 2]], str(tmp_path / 'fits.png')))
    with pytest.raises(InputError, match='deep.png: expected .* got a label of uint16 with 258'):
        hook.before_train_iter(RUNNER, 0, batch([[0, 2]], str(tmp_path / 'deep.png')))
    for number in range(3):
        with pytest.raises(InputError, match=f'float{number}.tif: expected whole class ids .* got a label of float32'):
            hook.before_train_iter(RUNNER, 0, batch([[0, 0]], str(tmp_path / f'float{number}.tif')))


def test_labels_are_padded_with_what_the_head_ignores():
    padding = SimpleNamespace(size=(4, 4), seg_pad_val=255)
    model = SimpleNamespace(num_classes=3, decode_head=SimpleNamespace(ignore_index=11), data_preprocessor=padding)
    runner, hook = SimpleNamespace(model=model), LabelCheckHook()
    hook.before_val_iter(runner, 0, batch([[0, 2]]))  # only training pads labels
    hook.before_train_iter(runner, 0, batch(torch.zeros(4, 4)))
    told = r'model.data_preprocessor.seg_pad_val: expected 11, .*, as a.png is padded to \(4, 4\), got 255'
    with pytest.raises(InputError, match=told):
        hook.before_train_iter(runner, 0, batch([[0, 2]]))
    padding.seg_pad_val = 11
    hook.before_train_iter(runner, 0, batch([[0, 2]]))


@pytest.mark.parametrize(('divisor', 'sides', 'padded'), [
    (48, [(64, 128)], '(96, 144)'), (32, [(64, 128)], None), (32, [(32, 64), (32, 96)], '(32, 96)'),
    (1, [(5, 7), (4, 7)], '(5, 7)'), (1, [(5, 7), (5, 7)], None)])
@pytest.mark.parametrize('value', [2, 255, 11])
def test_labels_are_padded_to_multiples_with_what_the_head_ignores(divisor, sides, padded, value):
    padding = SimpleNamespace(size=None, size_divisor=divisor, seg_pad_val=value)
    model = SimpleNamespace(num_classes=3, decode_head=SimpleNamespace(ignore_index=11), data_preprocessor=padding)
    samples = [batch(torch.zeros(size))['data_samples'][0] for size in sides]
    runner, data, hook = SimpleNamespace(model=model), dict(data_samples=samples), LabelCheckHook()
    hook.before_val_iter(runner, 0, data)
    if padded is None or value == 11:
        hook.before_train_iter(runner, 0, data)
        return
    told = f'data_preprocessor.seg_pad_val: expected 11, .*, as a.png is padded to {re.escape(padded)}, got {value}$'
    with pytest.raises(InputError, match=told):
        hook.before_train_iter(runner, 0, data)


def test_labels_that_are_as_large_as_a_listed_size_are_not_padded():
    padding = SimpleNamespace(size=[4, 4], seg_pad_val=255)
    model = SimpleNamespace(num_classes=3, decode_head=SimpleNamespace(ignore_index=11), data_preprocessor=padding)
    LabelCheckHook().before_train_iter(SimpleNamespace(model=model), 0, batch(torch.zeros(4, 4)))


class Thousands(BaseTransform):
    """A loader of 16-bit labels of its own, as some datasets have them."""

    def transform(self, results):
        label = np.asarray(Image.open(results['seg_map_path'])) // 1000
        return dict(results, gt_seg_map=label.astype(np.uint8), seg_fields=['gt_seg_map'])


@pytest.mark.parametrize(('steps', 'plain'), [
    ([LoadAnnotations()], True), ([LoadDecoded()], True), ([TestTimeAug([[dict(type='LoadAnnotations')]])], True),
    ([Thousands()], False), ([type('Subclass', (LoadAnnotations,), {})()], False), ([], False)])
def test_the_loader_of_the_labels_is_found(steps, plain):
    dataset = SimpleNamespace(pipeline=Compose(steps))
    repeated = SimpleNamespace(dataset=dataset)
    usual = SimpleNamespace(pipeline=Compose([LoadAnnotations()]))
    for found in (dataset, repeated, SimpleNamespace(datasets=[repeated, usual])):
        assert reads_8_bits(found) == plain


def test_labels_of_16_bits_are_the_affair_of_a_loader_of_their_own(trained, files, tmp_path):
    for path in (files[0] / 'labels').iterdir():
        Image.fromarray(np.full((48, 64), 2007, np.uint16)).save(path)
    pipeline = [dict(type='LoadImageFromFile'), dict(type=Thousands), dict(type='PackSegInputs')]
    files[1]['test_dataloader.dataset']['pipeline'] = pipeline
    assert run_test(prepare_test(*untrained(trained[0], files[1], tmp_path)))['aAcc'] >= 0
    pipeline[1] = dict(type='LoadAnnotations')
    with pytest.raises(InputError, match='png: expected whole class ids .* got a label of uint16 with 2007'):
        run_test(prepare_test(*untrained(trained[0], files[1], tmp_path)))


def untrained(config, options, folder):
    """Write the weights of a network that the options make of the config."""
    cfg = load_config(config, folder, options)
    torch.save(launch.build_runner(cfg).model.state_dict(), folder / 'net.pth')
    return cfg, folder / 'net.pth'


def test_every_training_and_test_has_it(trained, files, tmp_path):
    cv2.imwrite(str(files[0] / 'labels' / 'b.png'), np.full((48, 64), 7, np.uint8))
    sentence = r'labels/b.png: expected class ids from 0 to 2, or 255 .*, got 7'
    with pytest.raises(InputError, match=sentence):
        run_training(prepare_training(load_config(trained[0], tmp_path / 'a', files[1])))
    with pytest.raises(InputError, match=sentence):
        run_test(prepare_test(*untrained(trained[0], files[1], tmp_path)))


@pytest.mark.parametrize(('options', 'sentence'), [
    ({'model.decode_head.num_classes': 5}, 'model.decode_head.num_classes: expected 3, the number of {}, got 5'),
    ({'model.decode_head.num_classes': 1}, 'model.decode_head.num_classes: expected 3, the number of {}, got 1'),
    ({'{}': ('a', 'b')}, 'model.decode_head.num_classes: expected 2, the number of {}, got 3'),
    ({'{}': 'abc'}, "{}: expected a list of different names, got 'abc'"),
    ({'{}': ('a', 'a', 'c')}, "{}: expected a list of different names, got ('a', 'a', 'c')")])
@pytest.mark.parametrize('split', ['train', 'val', 'test'])
def test_the_classes_of_model_and_datasets_are_compared_first(trained, files, tmp_path, split, options, sentence):
    def placed(text, split):
        return text.format(f'{split}_dataloader.dataset.metainfo.classes') if isinstance(text, str) else text

    both = any(key.startswith('model') for key in options)
    given = {**files[1], **{placed(key, split): value for key, value in options.items()}}
    cfg = load_config(trained[0], tmp_path / 'work', given)
    with pytest.raises(InputError) as raised:
        if split == 'test':
            run_test(prepare_test(*untrained(trained[0], given, tmp_path)))
        else:
            run_training(prepare_training(cfg))
    assert str(raised.value) == placed(sentence, 'train' if both and split == 'val' else split)


def test_heads_with_labels_of_their_own_and_binary_ones_pass(trained, files, tmp_path):
    head = load_config(trained[0]).model.decode_head.to_dict()
    binary = dict(head, num_classes=2, out_channels=1, loss_decode=dict(
        type='CrossEntropyLoss', use_sigmoid=True, class_weight=[1.0]))
    border = dict(type='DetailGuidanceHead', in_channels=8, in_index=1, channels=8, num_classes=7)
    cfg = load_config(trained[0], tmp_path, {**files[1], 'model.decode_head': binary, 'model.auxiliary_head': [border]})
    cfg.model.auxiliary_head.append(dict(border, type=BorderHead))
    for dataset in ({}, dict(classes=None), dict(classes=('a', 'b'))):
        check_classes(cfg, SimpleNamespace(metainfo=dataset), 'train')
    with pytest.raises(InputError, match='val_dataloader.dataset.metainfo.classes: expected a name .* class, got None'):
        check_classes(cfg, object(), 'val')
    cfg.model.auxiliary_head = dict(stage2=None, stage3=dict(border, type='BoosterHead'))
    with pytest.raises(InputError, match='model.auxiliary_head.stage3.num_classes: expected 2, .*, got 7'):
        check_classes(cfg, SimpleNamespace(metainfo=dict(classes=['a', 'b'])), 'train')


@pytest.mark.parametrize('several', [False, True])
def test_class_weights_are_counted_first(trained, files, tmp_path, several):
    loss = dict(type='OhemCrossEntropyLoss', class_weight=[1.0, 2.0])
    options = {**files[1], 'model.decode_head.loss_decode': [loss] if several else loss}
    with pytest.raises(InputError, match=r'model.decode_head.loss_decode(\.0)?.class_weight: expected 3 values, got 2'):
        run_training(prepare_training(load_config(trained[0], tmp_path, options)))


def test_where_nothing_is_labelled_is_said(trained, files, tmp_path):
    told = []
    runner = SimpleNamespace(logger=SimpleNamespace(warning=told.append))
    for metrics in (None, {}, dict(iou=np.array([0.1, np.nan])), dict(mIoU=50.0, mAcc=float('nan')),
                    dict(mIoU=float('nan'))):
        LabelCheckHook().after_val_epoch(runner, metrics)
    assert told == ['val_dataloader: no pixel is labelled, so that every metric is nan and no checkpoint is the best']
    for path in (files[0] / 'labels').iterdir():
        cv2.imwrite(str(path), np.full((48, 64), 255, np.uint8))
    with pytest.raises(InputError, match='test_dataloader: expected labelled pixels, got none'):
        run_test(prepare_test(*untrained(trained[0], files[1], tmp_path)))
