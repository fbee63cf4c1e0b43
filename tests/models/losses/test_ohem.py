"""Online hard example mining against a slow, obvious reference and numbers worked out by hand."""

import math

import pytest
import torch
import torch.nn.functional as F

from bisenet_plugins.models import OhemCrossEntropyLoss


def reference(logits, labels, threshold=0.7, min_kept=1 / 16, ignore_index=255):
    """Pixel by pixel: true-class probability under the threshold, or among the hardest sixteenth."""
    probabilities = logits.softmax(1)
    losses = []
    for n, y, x in torch.nonzero(labels != ignore_index).tolist():
        losses.append(-math.log(max(probabilities[n, labels[n, y, x], y, x].item(), 1e-30)))
    losses.sort(reverse=True)
    kept = [loss for loss in losses if loss > -math.log(threshold)]
    least = max(int(len(losses) * min_kept), 1)
    if len(kept) < least:
        kept = losses[:least]
    return sum(kept) / len(kept)


@pytest.mark.parametrize('sharpness', [0.1, 3.0, 30.0])
@pytest.mark.parametrize('threshold', [0.3, 0.7, 1.0])
@pytest.mark.parametrize('min_kept', [1 / 16, 0.5, 1.0])
def test_equals_the_reference(sharpness, threshold, min_kept):
    labels = torch.randint(5, (2, 9, 11))
    logits = torch.randn(2, 5, 9, 11) + sharpness * F.one_hot(labels, 5).permute(0, 3, 1, 2)
    labels[:, :2] = 255
    loss = OhemCrossEntropyLoss(threshold, min_kept)(logits.double(), labels)
    assert loss.item() == pytest.approx(reference(logits.double(), labels, threshold, min_kept), rel=1e-6)


def test_by_hand():
    """Three pixels with true-class probabilities 0.5, 0.9 and 0.2: the first and the last are hard."""
    probabilities = torch.tensor([0.5, 0.9, 0.2])
    logits = torch.stack((probabilities, 1 - probabilities)).log()[None, :, None]  # (1, 2, 1, 3)
    loss = OhemCrossEntropyLoss()(logits, torch.zeros(1, 1, 3, dtype=torch.long))
    torch.testing.assert_close(loss.item(), (math.log(2) + math.log(5)) / 2, rtol=1e-5, atol=1e-6)


def test_takes_the_hardest_when_too_few_are_hard():
    probabilities = torch.linspace(0.9, 0.99, 32)
    logits = torch.stack((probabilities, 1 - probabilities)).log()[None, :, None]
    loss = OhemCrossEntropyLoss()(logits, torch.zeros(1, 1, 32, dtype=torch.long))
    torch.testing.assert_close(loss.item(), -probabilities[:2].log().mean().item(), rtol=1e-4, atol=1e-6)


def test_mean_is_over_the_kept_pixels_only():
    """Easy pixels added to the image leave the loss as it is; mmseg's sampler would divide by them."""
    hard = torch.zeros(1, 2, 1, 8)
    easy = torch.tensor([20.0, -20.0]).view(1, 2, 1, 1).expand(1, 2, 1, 24)
    label = torch.zeros(1, 1, 32, dtype=torch.long)
    criterion = OhemCrossEntropyLoss()
    torch.testing.assert_close(criterion(torch.cat((hard, easy), 3), label), criterion(hard, label[..., :8]))


def test_no_valid_pixel_gives_zero_and_no_gradient():
    logits = torch.randn(2, 3, 4, 4, requires_grad=True)
    loss = OhemCrossEntropyLoss()(logits, torch.full((2, 4, 4), 255))
    loss.backward()
    assert loss.item() == 0
    torch.testing.assert_close(logits.grad, torch.zeros_like(logits))


def test_fewer_than_sixteen_valid_pixels_is_no_mean_of_nothing():
    labels = torch.full((1, 4, 4), 255)
    labels[0, 0, 0] = 1
    logits = 20 * F.one_hot(torch.ones(1, 4, 4, dtype=torch.long), 3).permute(0, 3, 1, 2).float()
    loss = OhemCrossEntropyLoss()(logits, labels)
    assert torch.isfinite(loss)


def test_one_class_only():
    loss = OhemCrossEntropyLoss()(torch.zeros(1, 4, 3, 3), torch.zeros(1, 3, 3, dtype=torch.long))
    torch.testing.assert_close(loss.item(), math.log(4), rtol=1e-6, atol=1e-6)


def test_class_weight_and_loss_weight_scale_and_do_not_choose():
    logits, labels = torch.randn(1, 3, 6, 6), torch.randint(3, (1, 6, 6))
    plain = OhemCrossEntropyLoss()(logits, labels)
    doubled = OhemCrossEntropyLoss(class_weight=[2.0, 2.0, 2.0], loss_weight=3.0)(logits, labels)
    torch.testing.assert_close(doubled, 6 * plain)


def test_pixel_weight():
    logits, labels = torch.randn(1, 3, 6, 6), torch.randint(3, (1, 6, 6))
    halved = OhemCrossEntropyLoss()(logits, labels, weight=torch.full((1, 6, 6), 0.5))
    torch.testing.assert_close(halved, 0.5 * OhemCrossEntropyLoss()(logits, labels))


@pytest.mark.parametrize(('arguments', 'message'), [
    (dict(threshold=0), 'threshold: expected a number above 0 and at most 1, got 0'),
    (dict(min_kept=1.5), 'min_kept: expected a number from 0 to 1, got 1.5'),
    (dict(min_kept_of='labelled'), "min_kept_of: expected 'valid' or 'all', got 'labelled'"),
    (dict(loss_name='ohem'), "loss_name: expected a name that starts with 'loss'"),
])
def test_wrong_arguments_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        OhemCrossEntropyLoss(**arguments)


@pytest.mark.parametrize('small', [False, True])
def test_a_pixel_at_the_threshold_is_not_hard(small):
    """16 of 32 pixels are hard, 8 have a probability of exactly the threshold, 8 are easy."""
    logits = torch.zeros(1, 2, 4, 8)
    logits[0, 1, :2] = 5.0
    logits[0, 0, 3] = 5.0
    loss = OhemCrossEntropyLoss(threshold=0.5)
    labels = torch.zeros(1, 4, 8, dtype=torch.long)
    wanted = F.cross_entropy(logits[:, :, :2], labels[:, :2])
    torch.testing.assert_close(loss.upsampled(logits, labels) if small else loss(logits, labels), wanted)


@pytest.mark.parametrize('small', [False, True])
def test_the_least_share_can_be_one_of_all_pixels(small):
    """Of 64 pixels 16 are valid and none is hard: a sixteenth of the valid ones is 1, of all 4."""
    logits = torch.randn(1, 3, 8, 8) * 0.1 + 9 * F.one_hot(torch.zeros(8, 8, dtype=torch.long), 3).permute(2, 0, 1)
    labels = torch.full((1, 8, 8), 255)
    labels[:, :2] = 0
    losses = F.cross_entropy(logits, labels, ignore_index=255, reduction='none')[:, :2].flatten()
    losses = losses.sort(descending=True)[0]
    for share, of, count in ((1 / 16, 'valid', 1), (1 / 16, 'all', 4), (1.0, 'all', 16)):
        loss = OhemCrossEntropyLoss(min_kept=share, min_kept_of=of)
        found = loss.upsampled(logits, labels) if small else loss(logits, labels)
        torch.testing.assert_close(found, losses[:count].mean(), rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize('count', [2, 4])
def test_class_weights_of_another_number_are_named(count):
    loss, labels = OhemCrossEntropyLoss(class_weight=[1.0] * count), torch.zeros(1, 8, 8, dtype=torch.long)
    for run in (lambda: loss(torch.zeros(1, 3, 8, 8), labels), lambda: loss.upsampled(torch.zeros(1, 3, 2, 2), labels)):
        with pytest.raises(ValueError, match=f'class_weight: expected 3 values, got {count}'):
            run()


@pytest.mark.parametrize('small', [False, True])
def test_a_network_that_diverged_on_one_image_is_seen(small):
    logits, labels = torch.zeros(2, 3, 4, 4), torch.zeros(2, 4, 4, dtype=torch.long)
    logits[1] = torch.nan
    loss = OhemCrossEntropyLoss()
    assert (loss.upsampled(logits, labels) if small else loss(logits, labels)).isnan()
    labels[1] = 255
    torch.testing.assert_close(loss(logits, labels).item(), math.log(3), rtol=1e-6, atol=1e-6)


def test_mmsegs_sampler_chooses_by_the_loss_of_each_pixel():
    logits, labels = torch.randn(1, 3, 6, 6), torch.randint(3, (1, 6, 6))
    each = OhemCrossEntropyLoss(loss_weight=2.0)(logits, labels, reduction_override='none')
    torch.testing.assert_close(each, 2 * F.cross_entropy(logits, labels, reduction='none'))
