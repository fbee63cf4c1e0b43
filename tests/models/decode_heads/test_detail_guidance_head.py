"""The border head's training, ignored pixels included."""

import pytest
import torch
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample

from bisenet_plugins.models import DetailGuidanceHead


def samples(label):
    return [SegDataSample(gt_sem_seg=PixelData(data=one[None])) for one in label]


@pytest.mark.parametrize('align_corners', [False, True])
def test_head_trains(align_corners):
    head = DetailGuidanceHead(8, 4, num_classes=19, align_corners=align_corners, norm_cfg=dict(type='BN'))
    maps = (torch.rand(2, 8, 5, 6), torch.rand(2, 3, 2, 2))
    assert head(maps).shape == (2, 1, 5, 6)
    losses = head.loss(maps, samples(torch.randint(0, 4, (2, 37, 45))), None)
    assert set(losses) == {'loss_detail_bce', 'loss_detail_dice'}
    sum(losses.values()).backward()
    assert all(p.grad is not None for p in head.parameters() if p.requires_grad)


def test_ignored_pixels_take_no_part():
    head = DetailGuidanceHead(8, 4)
    label = torch.zeros(1, 16, 16, dtype=torch.long)
    label[:, :, 4:] = 1
    label[:, :, 8:] = 255
    logits = torch.randn(1, 1, 16, 16, requires_grad=True)
    sum(head.loss_by_feat(logits, samples(label)).values()).backward()
    assert logits.grad[..., 8:].abs().max() == 0
    assert logits.grad[..., :8].abs().min() > 0


def test_all_ignored_crop():
    head = DetailGuidanceHead(8, 4)
    maps = (torch.rand(2, 8, 4, 4),)
    losses = head.loss(maps, samples(torch.full((2, 32, 32), 255)), None)
    assert all(loss.item() == 0 for loss in losses.values())
    sum(losses.values()).backward()
    assert all(p.grad.abs().max() == 0 for p in head.parameters() if p.requires_grad)
