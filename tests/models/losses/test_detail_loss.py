"""Detail targets against a slow one, and the loss against numbers computed by hand."""

import math

import pytest
import torch

from bisenet_plugins.models import DetailLoss, DetailTarget


def blocks(height, width, side=5, classes=4):
    """Random labels in squares, with an ignored patch."""
    label = torch.randint(0, classes, (2, height // side + 1, width // side + 1))
    label = label.repeat_interleave(side, 1).repeat_interleave(side, 2)[:, :height, :width].clone()
    label[:, 3:9, 4:12] = 255
    return label


def slow_target(label, cut):
    """Laplacian of each pixel's own class mask at three strides, pixel by pixel."""
    height, width = label.shape

    def border(y, x):
        if label[y, x] == 255:
            return 0
        response = 0
        for dy in (-1, 0, 1):
            for dx in (-1, 0, 1):
                v, u = y + dy, x + dx
                inside = 0 <= v < height and 0 <= u < width
                response += int(inside and label[v, u] != 255 and label[v, u] != label[y, x])
        return float(response > 0.1)

    out = torch.zeros(height, width)
    for y in range(height):
        for x in range(width):
            fused = 0.0
            for stride, weight in ((1, 6), (2, 3), (4, 1)):
                rows, columns = -(-height // stride), -(-width // stride)
                fused += weight * border(y * rows // height * stride, x * columns // width * stride)
            out[y, x] = fused >= cut and label[y, x] != 255
    return out


@pytest.mark.parametrize('size', [(16, 24), (15, 21)])
def test_faithful_target_against_a_slow_one(size):
    label = blocks(*size)
    target, valid = DetailTarget()(label)
    want = torch.stack([slow_target(one, cut=1) for one in label])
    torch.testing.assert_close(target[:, 0], want)
    torch.testing.assert_close(valid[:, 0], label != 255)
    assert 0 < target.mean() < 1


def test_every_scale_counts_in_the_faithful_target_only():
    label = torch.zeros(1, 8, 8, dtype=torch.long)
    label[:, :, 5:] = 1  # the border, columns 4 and 5, is met at stride 4 by column 4, which then covers columns 4 to 7
    faithful, _ = DetailTarget()(label)
    release, _ = DetailTarget(target='release', fusion_weights=(0.0, 0.0, 0.1))(label)
    assert faithful[0, 0, 3].tolist() == [0, 0, 0, 0, 1, 1, 1, 1]
    assert release.sum() == 0


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16, torch.float64], ids=str)
@pytest.mark.parametrize('target', ['faithful', 'release'])
def test_borders_are_the_same_in_every_type(target, dtype):
    label = torch.randint(3, (2, 4, 6)).repeat_interleave(4, 1).repeat_interleave(4, 2)
    wanted, found = DetailTarget(target)(label)[0], DetailTarget(target).to(dtype)(label)[0]
    assert wanted.any()
    torch.testing.assert_close(found.float(), wanted)


def test_class_numbers_do_not_matter():
    label = blocks(16, 24)
    swapped = label.clone()
    for old, new in enumerate((3, 0, 17, 1)):
        swapped[label == old] = new
    torch.testing.assert_close(DetailTarget()(label)[0], DetailTarget()(swapped)[0])


def test_image_borders_and_ignored_pixels_are_no_borders():
    label = torch.full((1, 12, 12), 7)
    label[:, 4:7, 4:9] = 255
    target, valid = DetailTarget()(label)
    assert target.sum() == 0
    assert (~valid).sum() == 15
    release, all_valid = DetailTarget(target='release')(label)
    assert release.sum() > 0
    assert all_valid.all()


@pytest.mark.parametrize('target', ['faithful', 'release'])
def test_fusion_learns_only_when_asked(target):
    fixed = DetailTarget(target)
    assert not list(fixed.parameters())
    learning = DetailTarget(target, trainable_fusion=True)
    label = blocks(16, 24)
    torch.testing.assert_close(learning(label)[0].detach(), fixed(label)[0])
    logits = torch.randn(2, 1, 16, 24)
    DetailLoss()(logits, *learning(label)).backward()
    assert learning.fusion_kernel.grad.abs().min() > 0


def test_loss_against_hand_computed_numbers():
    logits = torch.tensor([[[[0.0, 2.0], [-2.0, 50.0]]]])
    target = torch.tensor([[[[1.0, 1.0], [0.0, 0.0]]]])
    valid = torch.tensor([[[[True, True], [True, False]]]])
    p = 1 / (1 + math.exp(-2))
    bce, dice = DetailLoss().terms(logits, target, valid)
    assert bce.item() == pytest.approx((math.log(2) - 2 * math.log(p)) / 3, rel=1e-5)
    assert dice.item() == pytest.approx(1 - (2 * (0.5 + p) + 1) / (0.5 + p + (1 - p) + 2 + 1), rel=1e-5)
    total = DetailLoss(bce_weight=2, dice_weight=3)(logits, target, valid)
    torch.testing.assert_close(total, 2 * bce + 3 * dice)


def test_dice_is_averaged_over_images_that_have_a_valid_pixel():
    logits, target = torch.randn(2, 1, 4, 4), torch.ones(2, 1, 4, 4)
    valid = torch.ones(2, 1, 4, 4, dtype=torch.bool)
    valid[1] = False
    together = DetailLoss()(logits, target, valid)
    torch.testing.assert_close(together, DetailLoss()(logits[:1], target[:1]))


def test_single_class_crop_has_no_border():
    logits = torch.full((1, 1, 8, 8), -20.0)
    target, valid = DetailTarget()(torch.full((1, 8, 8), 3))
    assert DetailLoss()(logits, target, valid).item() == pytest.approx(0, abs=1e-5)


@pytest.mark.parametrize('build, kwargs, message', [
    (DetailTarget, dict(target='soft'), r"target: expected one of \('faithful', 'release'\), got 'soft'"),
    (DetailTarget, dict(fusion_weights=(1, 0)), 'fusion_weights: expected an entry for each stride'),
    (DetailLoss, dict(smooth=0), 'smooth: expected a number above 0, got 0'),
    (DetailLoss, dict(loss_name='detail'), "loss_name: expected a name that starts with 'loss'"),
])
def test_refusals(build, kwargs, message):
    with pytest.raises(ValueError, match=message):
        build(**kwargs)
