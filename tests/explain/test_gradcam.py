"""Grad-CAM against its definition and its package; one pathway at a time."""

import copy
import math

import cv2
import numpy as np
import pytest
import torch

from bisenet_plugins.explain.gradcam import default_stages, grad_cam, one_pathway
from bisenet_plugins.runtime import Predictor


@pytest.fixture(scope='module')
def model(predictor):
    return predictor.model


@pytest.fixture(scope='module')
def inputs(folder):
    image = cv2.imread(str(folder / 'images' / '0.png'))
    return torch.from_numpy(image).permute(2, 0, 1)[None].sub(120.0).div(60.0)


def test_grad_cam_is_what_its_definition_says(model, inputs):
    """Against a stage changed by hand: the gradient by finite steps, one channel at a time."""
    name = 'backbone.detail_branch.stages'
    stage = model.get_submodule(name)
    with torch.no_grad():
        kept = stage(inputs)
        logits = model(inputs, mode='tensor')
    class_id = int(logits[0].argmax(0).flatten().mode().values)
    where = logits.argmax(1) == class_id

    def score_with(value):
        hook = stage.register_forward_hook(lambda *_: value)
        with torch.no_grad():
            total = (model(inputs, mode='tensor')[:, class_id] * where).double().sum()
        hook.remove()
        return float(total)

    step = 1e-2
    slopes = []
    for channel in range(kept.shape[1]):
        shift = torch.zeros_like(kept)
        shift[:, channel] = step
        slopes.append((score_with(kept + shift) - score_with(kept - shift)) / (2 * step) / kept[0, 0].numel())
    cam = (kept[0] * torch.tensor(slopes, dtype=kept.dtype)[:, None, None]).sum(0).relu().numpy()
    cam = cv2.resize((cam - cam.min()) / (cam - cam.min()).max(), (64, 48))
    found = grad_cam(model, inputs, [name], class_id)[name]
    assert found.shape == (48, 64) and found.min() == 0.0 and found.max() == pytest.approx(1.0, abs=1e-5)
    assert np.corrcoef(cam.ravel(), found.ravel())[0, 1] > 0.99


def test_grad_cam_equals_the_package(model, inputs):
    try:
        from pytorch_grad_cam import GradCAM
    except Exception as error:  # also OSError and RuntimeError, from a torchvision built for another torch
        pytest.skip(f'grad-cam cannot be imported: {error}')

    class Logits(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.model = model

        def forward(self, inputs):
            return self.model(inputs, mode='tensor')

    with torch.no_grad():
        where = model(inputs, mode='tensor')[0].argmax(0) == 0
    for name, heat in grad_cam(model, inputs, default_stages(model, inputs), 0).items():
        with GradCAM(model=Logits(), target_layers=[model.get_submodule(name)]) as cam, torch.enable_grad():
            expected = cam(inputs.clone().requires_grad_(), [lambda logits: (logits[0] * where).sum()])[0]
        np.testing.assert_allclose(heat, expected, atol=1e-5)


def test_one_channel_stands_for_its_class_and_the_background(predictor, inputs):
    """As two channels of opposite sign do, where the class is above the threshold of the head and not above 0."""
    cfg = copy.deepcopy(predictor.cfg)
    cfg.model.num_classes = 2
    cfg.model.decode_head.update(out_channels=1, threshold=0.3)
    single = Predictor(cfg).model
    layer = single.decode_head.conv_seg
    torch.nn.init.normal_(layer.weight)
    with torch.no_grad():  # logits around that of the threshold, with a deviation of 1
        layer.weight /= single(inputs, mode='tensor').std()
        layer.bias -= single(inputs, mode='tensor').mean() + 0.4
    double = copy.deepcopy(single)
    both = double.decode_head.conv_seg = torch.nn.Conv2d(layer.in_channels, 2, 1)
    with torch.no_grad():
        both.weight.copy_(torch.cat((-layer.weight, layer.weight)))
        shift = layer.bias - math.log(0.3 / 0.7)
        both.bias.copy_(torch.cat((-shift, shift)))
        logits = single(inputs, mode='tensor')
        assert 0 < (logits > 0).sum() < (logits.sigmoid() > 0.3).sum() < logits.numel()
    stages = default_stages(single, inputs)
    for class_id in (0, 1):
        found, wanted = (grad_cam(model, inputs, stages, class_id) for model in (single, double))
        for name in stages:
            np.testing.assert_allclose(found[name], wanted[name], atol=1e-4)
        assert max(heat.max() for heat in found.values()) > 0.99
    with pytest.raises(ValueError, match='class_id: expected a number from 0 to 1, got 2'):
        grad_cam(single, inputs, stages, 2)


def test_grad_cam_refuses_what_it_cannot_show(model, inputs):
    with pytest.raises(ValueError, match='class_id: expected a number from 0 to 10, got 11'):
        grad_cam(model, inputs, ['decode_head'], 11)
    with pytest.raises(ValueError, match="stages: expected modules that return one map .*, got 'backbone'"):
        grad_cam(model, inputs, ['backbone'], 0)
    model.backbone.spare = torch.nn.Conv2d(3, 1, 1)
    hook = model.backbone.register_forward_pre_hook(lambda module, images: module.spare(images[0]) is None or None)
    with pytest.raises(ValueError, match="stages: expected modules that influence the logits, got 'backbone.spare'"):
        grad_cam(model, inputs, ['backbone.spare'], 0)
    hook.remove()
    del model.backbone.spare


def test_stages_are_named(model, inputs):
    stages = default_stages(model, inputs)
    assert stages[0] == 'backbone.detail_branch.stages' and stages[-1] == 'decode_head.aggregation'
    assert 'backbone.semantic_branch.context' in stages
    with pytest.raises(ValueError, match="stages: expected modules .*backbone.*, got 'neck'"):
        grad_cam(model, inputs, ['neck'], 0)


@torch.no_grad()
def test_one_pathway_alone_and_both_again(model, inputs):
    aggregation, seen = model.decode_head.aggregation, []

    def run():
        watch = aggregation.register_forward_pre_hook(lambda _, maps: seen.append(maps))  # after one_pathway's own
        logits = model(inputs, mode='tensor')
        watch.remove()
        return logits

    both = run()
    for kept in ('detail', 'semantic'):
        with one_pathway(model, kept):
            assert not torch.equal(run(), both)
    free, *changed = seen
    for flat, maps in zip((1, 0), changed):
        torch.testing.assert_close(maps[1 - flat], free[1 - flat])
        torch.testing.assert_close(maps[flat], free[flat].mean((2, 3), keepdim=True).expand_as(free[flat]))
    torch.testing.assert_close(run(), both, rtol=0, atol=0)
    with pytest.raises(ValueError, match="kept: expected 'detail' or 'semantic', got 'both'"), \
            one_pathway(model, 'both'):
        pass
    with pytest.raises(ValueError, match='expected a decode head with an aggregation'), \
            one_pathway(torch.nn.Identity(), 'detail'):
        pass
