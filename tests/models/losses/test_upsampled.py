"""The loss from small logits equals resizing and the plain loss, in value and gradient."""

import pytest
import torch
import torch.nn.functional as F
from mmengine.structures import PixelData
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample
from torch.utils._python_dispatch import TorchDispatchMode

from bisenet_plugins.models import OhemCrossEntropyLoss
from bisenet_plugins.models.losses import upsampled


def both(criterion, logits, labels, align_corners=False):
    """Loss and gradient, the plain way and the short way."""
    results = []
    for way in ('plain', 'short'):
        x = logits.clone().requires_grad_()
        if way == 'plain':
            full = F.interpolate(x, labels.shape[1:], mode='bilinear', align_corners=align_corners)
            loss = criterion(full, labels)
        else:
            loss = criterion.upsampled(x, labels, align_corners=align_corners)
        (3 * loss).backward()
        results.append((loss.detach(), x.grad))
    return results


@pytest.mark.parametrize('criterion', [
    OhemCrossEntropyLoss(), OhemCrossEntropyLoss(threshold=0.05, min_kept=0.5), OhemCrossEntropyLoss(threshold=1.0),
    OhemCrossEntropyLoss(class_weight=[0.5, 1, 2, 1, 3], loss_weight=0.4)], ids=['papers', 'topk', 'all', 'weights'])
@pytest.mark.parametrize(
    ('small', 'large'), [((8, 12), (64, 96)), ((5, 9), (33, 71)), ((9, 9), (9, 9)), ((7, 5), (40, 3))])
@pytest.mark.parametrize('align_corners', [False, True])
def test_same_value_and_gradient(monkeypatch, criterion, small, large, align_corners):
    monkeypatch.setitem(upsampled.TILE_VALUES, 'cpu', 5 * 20**2)  # several tiles
    labels = torch.randint(5, (2, *large))
    labels[0, :3] = 255
    (loss, grad), (short_loss, short_grad) = both(criterion, 2 * torch.randn(2, 5, *small), labels, align_corners)
    torch.testing.assert_close(short_loss, loss, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(short_grad, grad, rtol=1e-4, atol=1e-6)


def test_no_valid_pixel():
    (loss, grad), (short_loss, short_grad) = both(
        OhemCrossEntropyLoss(), torch.randn(1, 3, 4, 4), torch.full((1, 32, 32), 255))
    assert loss == short_loss == 0
    torch.testing.assert_close(short_grad, torch.zeros_like(grad))


def test_threshold_one_is_cross_entropy():
    logits, labels = 9 * torch.randn(1, 4, 6, 6), torch.randint(4, (1, 6, 6))
    torch.testing.assert_close(OhemCrossEntropyLoss(threshold=1.0)(logits, labels), F.cross_entropy(logits, labels))


class LargestTensor(TorchDispatchMode):
    """Remember the largest floating point tensor that any operation returns."""

    largest = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        for tensor in out if isinstance(out, tuple | list) else [out]:
            if isinstance(tensor, torch.Tensor) and tensor.is_floating_point():
                self.largest = max(self.largest, tensor.numel())
        return out


def test_full_size_logits_are_never_held():
    logits, labels = torch.randn(1, 19, 32, 64, requires_grad=True), torch.randint(19, (1, 256, 512))
    with LargestTensor() as short:
        OhemCrossEntropyLoss().upsampled(logits, labels).backward()
    with LargestTensor() as plain:
        OhemCrossEntropyLoss()(F.interpolate(logits, (256, 512), mode='bilinear'), labels).backward()
    assert plain.largest == 19 * 256 * 512
    assert short.largest <= max(upsampled.TILE_VALUES['cpu'], 19 * 32 * 64)


def head(**more):
    return MODELS.build(dict(
        type='BoosterHead', in_channels=4, channels=8, num_classes=3, norm_cfg=dict(type='BN'), dropout_ratio=0,
        **more)).train()


def samples():
    torch.manual_seed(1)
    return [SegDataSample(gt_sem_seg=PixelData(data=torch.randint(3, (1, 32, 40)))) for _ in range(2)]


def test_a_head_takes_the_short_way_with_ours_and_mmsegs_way_with_theirs():
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
