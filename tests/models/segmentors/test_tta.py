"""Test-time augmentation averages the same logits as mmseg's own."""

import pytest
import torch
from mmengine.config import ConfigDict
from mmseg.models.segmentors import SegTTAModel

from bisenet_plugins.models.segmentors import BilateralTTAModel
from tests.models.segmentors.test_bilateral_segmentor import pair, samples, smooth_images


@torch.no_grad()
def test_test_time_augmentation_is_mmsegs() -> None:
    ours, theirs = pair()
    plain = {'ori_shape': (64, 96), 'img_path': 'a.png'}
    image = smooth_images(1)
    merged = []
    for model in (ours, theirs):
        views = samples(plain), samples({**plain, 'flip': True, 'flip_direction': 'horizontal'})
        data = dict(inputs=[image, image.flip(3)], data_samples=views)
        merged.append((BilateralTTAModel if model is ours else SegTTAModel)(module=model).test_step(data))
    torch.testing.assert_close(merged[0][0].pred_sem_seg.data, merged[1][0].pred_sem_seg.data)


@pytest.mark.parametrize('test_cfg', [None, ConfigDict(mode='whole'), ConfigDict(mode='slide', stride=(1, 1))])
def test_the_segmentor_is_told_to_return_logits_and_keeps_its_mode(test_cfg):
    model = pair()[0]
    model.test_cfg = test_cfg
    wrapped = BilateralTTAModel(module=model).module
    assert wrapped.test_cfg == {**(test_cfg or {}), 'return_logits': True}


@torch.no_grad()
def test_one_channel_is_averaged_as_a_probability():
    model = pair(head=dict(num_classes=2, out_channels=1))[0]
    image, plain = smooth_images(1), {'ori_shape': (64, 96), 'img_path': 'a.png'}
    mask = model.predict(image, samples(plain))[0].pred_sem_seg.data
    merged = BilateralTTAModel(module=model).test_step(dict(inputs=[image] * 2, data_samples=[samples(plain)] * 2))[0]
    assert merged.pred_sem_seg.data.dtype == torch.int64 and 0 < mask.float().mean() < 1
    assert (merged.pred_sem_seg.data != mask).float().mean() < 1e-3


@torch.no_grad()
def test_two_views_are_averaged():
    model = pair()[0]
    plain = {'ori_shape': (64, 96), 'img_path': 'a.png'}
    image, other = smooth_images(2).split(1)
    views = [samples(plain), samples(plain)]
    merged = BilateralTTAModel(module=model).test_step(dict(inputs=[image, other], data_samples=views))[0]
    scores = [model.predict(x, samples(plain))[0].seg_logits.data.softmax(0) for x in (image, other)]
    expected = (scores[0] + scores[1]).argmax(0)
    assert (merged.pred_sem_seg.data[0] != expected).float().mean() < 1e-3
    assert (scores[0].argmax(0) != expected).any() and (scores[1].argmax(0) != expected).any()
