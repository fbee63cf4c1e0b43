"""The loss from small logits equals resizing and the plain loss, in value and gradient."""

import pytest
import torch
import torch.nn.functional as F
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


def test_the_gradient_survives_half_precision_and_a_loss_scale():
    """A gradient that is rounded to float16 before it is scaled is 0, and a scale of 65536 is infinite there."""
    exact = (1e-3 * torch.randn(1, 3, 64, 64)).half().float().requires_grad_()
    logits, labels = exact.detach().half().requires_grad_(), torch.randint(3, (1, 64, 64))
    for x in (exact, logits):
        (65536 * OhemCrossEntropyLoss().upsampled(x, labels)).backward()
    assert logits.grad.dtype is torch.float16
    torch.testing.assert_close(logits.grad.float(), exact.grad, rtol=1e-3, atol=1e-3)
