"""Outputs that are made again in the backward pass give the gradients of those that are kept."""

import copy

import pytest
import torch
from mmengine.structures import PixelData
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample
from torch import nn

from bisenet_plugins.models import recompute
from bisenet_plugins.models.recompute import recomputed_norms


@pytest.fixture
def kept(monkeypatch):
    """Count the bytes that a forward pass keeps, each piece of memory once."""
    pieces = {}
    pack = recompute._Recipes.pack

    def counted(recipes, tensor):
        answer = pack(recipes, tensor)
        if answer is tensor and not isinstance(tensor, nn.Parameter):
            pieces[tensor.untyped_storage()._cdata] = tensor  # held, so that no two share an address
        return answer

    monkeypatch.setattr(recompute._Recipes, 'pack', counted)

    def total():
        found = sum(tensor.untyped_storage().nbytes() for tensor in pieces.values())
        pieces.clear()
        return found

    return total


def assert_same_gradients(model, step):
    """Take one step both ways from the same weights."""
    other = copy.deepcopy(model)
    plain = step(model)
    plain.backward()
    with recomputed_norms(other):
        again = step(other)
    again.backward()
    torch.testing.assert_close(again, plain, rtol=0, atol=0)
    largest = max(float(one.grad.abs().max()) for one in model.parameters() if one.grad is not None)
    for (name, one), two in zip(model.named_parameters(), other.parameters(), strict=True):
        assert (one.grad is None) == (two.grad is None), name
        if one.grad is not None:
            torch.testing.assert_close(two.grad, one.grad, rtol=1e-4, atol=1e-5 * largest)
    for one, two in zip(model.buffers(), other.buffers(), strict=True):
        torch.testing.assert_close(two, one, rtol=0, atol=0)  # running statistics moved once


def segmentor(**settings):
    torch.manual_seed(0)
    head = dict(dropout_ratio=0.0, channels=8)
    return MODELS.build(dict(
        type='BilateralSegmentor', num_classes=3, norm_cfg=dict(type='BN'), **settings,
        backbone=dict(type='BilateralNetwork', detail_branch=dict(type='DetailBranch', width_mult=0.25),
                      semantic_branch=dict(type='SemanticBranch', width_mult=0.5, expand_ratio=2)),
        decode_head=dict(type='BGAHead', **head),
        auxiliary_head=dict(stage2=dict(type='BoosterHead', in_index=1, **head))))


def loss_of(model):
    generator = torch.Generator().manual_seed(1)
    images = torch.rand(2, 3, 64, 96, generator=generator)
    label = torch.randint(3, (2, 1, 64, 96), generator=generator)
    samples = [SegDataSample(gt_sem_seg=PixelData(data=one), metainfo=dict(img_shape=(64, 96))) for one in label]
    return sum(value for name, value in model.loss(images, samples).items() if 'loss' in name)


def test_v2_trains_alike_and_keeps_a_third_less(kept):
    assert_same_gradients(segmentor(), loss_of)
    kept()
    with recomputed_norms(model := segmentor()):
        loss_of(model)
    lean = kept()
    assert lean > 0
    recompute._Recipes.find, find = (lambda recipes, tensor: None), recompute._Recipes.find
    try:
        with recomputed_norms(model):
            loss_of(model)
    finally:
        recompute._Recipes.find = find
    assert lean < 0.7 * kept()


def test_the_segmentor_s_setting_switches_it_on(kept):
    loss_of(segmentor())
    assert kept() == 0
    loss_of(segmentor(recompute_norms=True))
    assert kept() > 0


@pytest.mark.parametrize('net', [
    pytest.param(nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 2, 3)), id='relu apart'),
    pytest.param(nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Conv2d(4, 2, 3)), id='no relu'),
    pytest.param(nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4).eval(), nn.ReLU(True), nn.Conv2d(4, 2, 3)),
                 id='frozen norm'),
    pytest.param(nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4, affine=False), nn.ReLU(True), nn.Sigmoid()),
                 id='no weights'),
    pytest.param(nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Hardtanh(inplace=True), nn.Conv2d(4, 2, 3)),
                 id='changed by another activation'),
    pytest.param(nn.Sequential(nn.BatchNorm2d(3), nn.Sigmoid(), nn.BatchNorm2d(3), nn.ReLU(True), nn.ReLU()),
                 id='norms behind norms'),
])
def test_small_chains(net):
    image = torch.rand(2, 3, 9, 9, generator=torch.Generator().manual_seed(0)) - 0.5
    assert_same_gradients(net, lambda model: model(image).pow(2).sum())


class Branching(nn.Module):
    """One norm read three ways: as it is, rectified apart, and as it is once more."""

    def __init__(self):
        super().__init__()
        self.conv, self.norm, self.relu = nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4), nn.ReLU()
        self.last = nn.Conv2d(4, 4, 1)

    def forward(self, x):
        y = self.norm(self.conv(x))
        before = y.sigmoid() * y
        rectified = self.relu(y)
        return self.last(rectified).tanh() * before + self.last(rectified * 2) + y.sigmoid() * y


def test_an_output_read_in_several_ways():
    image = torch.rand(2, 3, 9, 9, generator=torch.Generator().manual_seed(0)) - 0.5
    assert_same_gradients(Branching(), lambda model: model(image).pow(2).sum())


def test_a_graph_kept_for_a_second_pass_gives_the_same_again():
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(True), nn.Conv2d(4, 2, 3))
    with recomputed_norms(net):
        loss = net(torch.rand(2, 3, 9, 9)).pow(2).sum()
    first = torch.autograd.grad(loss, list(net.parameters()), retain_graph=True)
    second = torch.autograd.grad(loss, list(net.parameters()))
    for one, two in zip(first, second, strict=True):
        torch.testing.assert_close(one, two, rtol=0, atol=0)
