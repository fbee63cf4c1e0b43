"""The network's input is mmseg's, in every bit, whatever the test pipeline says."""

import cv2
import numpy as np
import pytest
import torch
from mmcv.transforms import BaseTransform, Compose
from mmengine.config import Config
from mmseg.registry import MODELS

from bisenet_plugins.errors import InputError
from bisenet_plugins.runtime.preprocess import PipelinePreprocess, Preprocess, preprocess_of, resize_nearest


def config(steps, **preprocessor):
    pre = dict(type='SegDataPreProcessor', mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375],
               bgr_to_rgb=True, **preprocessor)
    return Config(dict(model=dict(data_preprocessor=pre),
                       test_pipeline=[dict(type='LoadImageFromFile'), *steps, dict(type='LoadAnnotations'),
                                      dict(type='PackSegInputs')]))


def image(height, width):
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


def mmsegs(cfg, image):
    """The input by mmseg's own steps."""
    steps = [step for step in cfg.test_pipeline if not step['type'].startswith('Load')]
    packed = Compose(steps)(dict(img=image, img_path=None, img_shape=image.shape[:2], ori_shape=image.shape[:2]))
    data = MODELS.build(cfg.model.data_preprocessor)(
        dict(inputs=[packed['inputs']], data_samples=[packed['data_samples']]), False)
    return data['inputs'] if isinstance(data['inputs'], torch.Tensor) else data['inputs'][0][None]


PLAIN = [
    ([], {}), ([], dict(test_cfg=dict(size_divisor=1))), ([], dict(test_cfg=dict(size_divisor=32), pad_val=3)),
    ([dict(type='Resize', scale=(96, 48), keep_ratio=True)], {}), ([dict(type='Resize', scale=(80, 48))], {}),
    ([dict(type='Resize', scale_factor=1.5, keep_ratio=True)], {}), ([dict(type='Resize', scale_factor=0.5)], {}),
]
ODD = [
    ([dict(type='Resize', scale=(96, 48), keep_ratio=True, interpolation='nearest')], {}),
    ([dict(type='Pad', size_divisor=32)], {}), ([dict(type='Resize', scale_factor=0.5)], dict(test_cfg=dict(
        size=(64, 96)))), ([dict(type='CLAHE')], {}),
]


@pytest.mark.parametrize('sides', [(50, 90), (49, 33)])
@pytest.mark.parametrize(('steps', 'preprocessor', 'kind'), [(*case, Preprocess) for case in PLAIN]
                         + [(*case, PipelinePreprocess) for case in ODD])
def test_it_is_mmsegs_input(steps, preprocessor, kind, sides):
    cfg = config(steps, **preprocessor)
    prepare = preprocess_of(cfg, MODELS.build(cfg.model.data_preprocessor))
    assert type(prepare) is kind
    prepared = prepare(image(*sides))
    torch.testing.assert_close(torch.from_numpy(prepared.inputs), mmsegs(cfg, image(*sides)), rtol=0, atol=0)
    top, bottom, left, right = prepared.window
    assert prepared.size == sides and prepared.network_size == prepared.inputs.shape[2:]
    assert 0 == top < bottom <= prepared.inputs.shape[2] and 0 == left < right <= prepared.inputs.shape[3]


def test_other_channel_counts_and_no_normalisation():
    grey = np.arange(12, dtype=np.uint8).reshape(3, 4, 1)
    np.testing.assert_array_equal(Preprocess()(grey).inputs[0, 0], grey[..., 0].astype(np.float32))
    four = np.full((2, 2, 4), 5, np.uint8)
    assert Preprocess(mean=[1.0] * 4, std=[2.0] * 4)(four).inputs.ravel().tolist() == [2.0] * 16


class OwnLabels(BaseTransform):
    """A step on labels, as datasets of one's own have them."""

    def __init__(self, needs):
        self.needs = needs

    def transform(self, results):
        return self.needs(results) or results


@pytest.mark.parametrize(('needs', 'told'), [
    (lambda results: results['gt_seg_map'], "KeyError: 'gt_seg_map'"),
    (lambda results: cv2.imread(results['seg_map_path']), "KeyError: 'seg_map_path'"),
    (lambda results: results.get('gt_seg_map').copy(), "AttributeError: 'NoneType' object has no attribute 'copy'")])
def test_a_step_that_needs_a_label_is_named(needs, told):
    cfg = config([dict(type=OwnLabels, needs=needs)])
    sentence = (r'^test pipeline: expected steps that take an image without a label \(they are those of '
                rf'test_dataloader.dataset, else test_pipeline\), got OwnLabels, which fails with {told}$')
    with pytest.raises(InputError, match=sentence):
        preprocess_of(cfg, MODELS.build(cfg.model.data_preprocessor))(image(8, 8))


def test_a_step_that_takes_an_image_without_a_label_is_run():
    cfg = config([dict(type=OwnLabels, needs=lambda results: results.update(img=results['img'] * 0))])
    cfg.model.data_preprocessor.update(mean=[0.0] * 3, std=[1.0] * 3)
    assert not preprocess_of(cfg, MODELS.build(cfg.model.data_preprocessor))(image(8, 8)).inputs.any()


@pytest.mark.parametrize(('wrong', 'got'), [
    (np.zeros((4, 4, 3), np.float32), r'float32 \(4, 4, 3\)'), (np.zeros((4, 4), np.uint8), r'uint8 \(4, 4\)'),
    (np.zeros((3, 8, 8), np.uint8), r'uint8 \(3, 8, 8\)'), (np.zeros((0, 4, 3), np.uint8), r'uint8 \(0, 4, 3\)'),
    ('name.png', 'str')])
def test_what_is_no_image_is_named(wrong, got):
    with pytest.raises(InputError, match=rf'^image: expected a uint8 array \(H, W, 3\), got {got}$'):
        Preprocess(mean=[0.0] * 3, std=[1.0] * 3)(wrong)


def test_an_image_that_no_pipeline_can_take_is_named():
    with pytest.raises(InputError, match='and not 64 x 0 in the test pipeline, got .20000, 10.'):
        Preprocess(scale=(64, 32))(np.zeros((20000, 10, 3), np.uint8))


def test_mean_and_deviation_go_together():
    with pytest.raises(InputError, match='as many entries in both, got .1, 3.'):
        Preprocess(mean=[1.0], std=[1.0] * 3)


def test_a_static_input_keeps_the_ratio_and_is_mirrored():
    small = image(20, 30)
    prepared = Preprocess(size=(20, 64), to_rgb=False)(small)
    assert prepared.window == (0, 20, 0, 30)
    np.testing.assert_array_equal(prepared.inputs[0, :, :, :30], small.transpose(2, 0, 1))
    np.testing.assert_array_equal(prepared.inputs[0, :, :, 30:60], small[:, ::-1].transpose(2, 0, 1))
    assert Preprocess(size=(32, 64))(image(64, 96)).window == (0, 32, 0, 48)
    assert Preprocess(size=(64, 128), scale=(24, 16))(small).window == (0, 32, 0, 48)  # 1.6 is between 0.8 and 3.2
    assert Preprocess(size=(10, 64), scale=(120, 80))(small).window == (0, 10, 0, 15)  # the scale does not fit
    assert Preprocess(size=(32, 64), stretch=True)(small).window == (0, 32, 0, 64)
    assert Preprocess(size=(9, 70))(image(3, 4)).inputs.shape == (1, 3, 9, 70)


def test_nearest_resizing_keeps_classes():
    mask = np.array([[0, 7], [9, 3]], np.int64)
    assert set(resize_nearest(mask, (5, 3)).flat) == {0, 7, 9, 3}
    assert resize_nearest(mask, (2, 2)).tolist() == mask.tolist()
    assert resize_nearest(np.arange(9)[None], (1, 3)).tolist() == [[1, 4, 7]], 'taken at the centres'


def test_a_grey_network_takes_any_image():
    prepare, colour = Preprocess(mean=[100.0], std=[50.0], scale=(32, 16), divisor=32), image(16, 24)
    grey = cv2.cvtColor(colour, cv2.COLOR_BGR2GRAY)
    wanted = prepare(grey[..., None]).inputs
    assert wanted.shape == (1, 1, 32, 32)
    np.testing.assert_array_equal(prepare(colour).inputs, wanted)
    np.testing.assert_array_equal(Preprocess([100.0], [50.0], size=(32, 40)).fit(colour)[0].shape, (32, 40, 1))
