"""A head takes its loss from small logits where it can, and mmseg's own way where it cannot."""

import pytest
import torch
from mmengine.structures import PixelData
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample


def head(**more):
    return MODELS.build(dict(
        type='BoosterHead', in_channels=4, channels=8, num_classes=3, norm_cfg=dict(type='BN'), dropout_ratio=0,
        **more)).train()


def samples():
    torch.manual_seed(1)
    return [SegDataSample(gt_sem_seg=PixelData(data=torch.randint(3, (1, 32, 40)))) for _ in range(2)]


def test_the_loss_is_taken_from_small_logits_with_ours_and_from_full_ones_with_mmsegs():
    logits = torch.randn(2, 3, 4, 5)
    ours = head(loss_decode=dict(type='OhemCrossEntropyLoss', threshold=1.0))
    theirs = head(loss_decode=dict(type='CrossEntropyLoss', avg_non_ignore=True))
    short, long = ours.loss_by_feat(logits, samples()), theirs.loss_by_feat(logits, samples())
    assert set(short) == {'loss_ohem'} and set(long) == {'loss_ce', 'acc_seg'}
    torch.testing.assert_close(short['loss_ohem'], long['loss_ce'], rtol=1e-5, atol=1e-6)


def test_losses_of_one_name_are_added():
    loss = dict(type='OhemCrossEntropyLoss')
    one, two = head(loss_decode=loss), head(loss_decode=[loss, {**loss, 'loss_weight': 0.5}])
    logits = torch.randn(2, 3, 4, 5)
    torch.testing.assert_close(
        two.loss_by_feat(logits, samples())['loss_ohem'], 1.5 * one.loss_by_feat(logits, samples())['loss_ohem'])


@pytest.mark.parametrize('arguments', [
    dict(loss_decode=[dict(type='OhemCrossEntropyLoss'), dict(type='CrossEntropyLoss')]),
    dict(loss_decode=dict(type='OhemCrossEntropyLoss'), sampler=dict(type='OHEMPixelSampler', thresh=0.7, min_kept=10)),
], ids=['one of two', 'sampler'])
def test_full_size_logits_are_used_where_small_ones_do_not_do(arguments):
    losses = head(**arguments).loss_by_feat(torch.randn(2, 3, 4, 5), samples())
    assert 'acc_seg' in losses and all(torch.isfinite(loss).all() for loss in losses.values())
