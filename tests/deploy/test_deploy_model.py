"""What an artifact computes, as a PyTorch module."""

from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch

from bisenet_plugins.deploy.deploy_model import DeployModel, classify
from bisenet_plugins.errors import DeployError, InputError
from bisenet_plugins.runtime.postprocess import to_mask
from bisenet_plugins.runtime.predictor import Predictor
from bisenet_plugins.runtime.preprocess import Preprocess
from tests.deploy.conftest import tiny_config


@pytest.fixture(scope='module')
def segmentor():
    torch.manual_seed(0)
    return Predictor(tiny_config()).model


@pytest.fixture
def own_segmentor():
    return Predictor(tiny_config()).model


@pytest.mark.parametrize(('settings', 'shape'), [
    (dict(), (2, 1, 64, 96)), (dict(output='logits'), (2, 5, 64, 96)), (dict(output='logits_s8'), (2, 5, 8, 12)),
])
@torch.no_grad()
def test_output_shapes(segmentor, settings, shape):
    assert DeployModel(segmentor, **settings)(torch.rand(2, 3, 64, 96)).shape == shape


@torch.no_grad()
def test_self_contained_model_normalises_by_itself(segmentor):
    image = torch.randint(0, 256, (1, 64, 96, 3), dtype=torch.uint8)
    pre = segmentor.data_preprocessor
    inputs = (image.flip(-1).permute(0, 3, 1, 2).float() - pre.mean) / pre.std
    plain = DeployModel(segmentor, 'logits')
    torch.testing.assert_close(DeployModel(segmentor, 'logits', 'bgr')(image), plain(inputs))
    torch.testing.assert_close(DeployModel(segmentor, 'logits', 'rgb')(image.flip(-1)), plain(inputs))
    mask = DeployModel(segmentor, channel_order='bgr', network_size=(64, 64))(image)
    assert (mask.shape, mask.dtype) == ((1, 64, 96), torch.uint8)


def test_a_sigmoid_channel_is_compared_with_the_threshold(segmentor, monkeypatch):
    monkeypatch.setattr(segmentor.decode_head, 'threshold', 0.5)
    assert classify(segmentor, torch.tensor([[[[-1.0, 1.0]]]])).tolist() == [[[0, 1]]]


def test_what_does_not_fit_is_refused(own_segmentor, monkeypatch):
    with pytest.raises(InputError, match='network_size: expected a self-contained graph'):
        DeployModel(own_segmentor, network_size=(64, 64))
    monkeypatch.setattr(own_segmentor.decode_head, 'num_classes', 256)
    with pytest.raises(DeployError, match='expected at most 255 classes in a self-contained graph.* got 256'):
        DeployModel(own_segmentor, channel_order='bgr')
    monkeypatch.setattr(own_segmentor, 'decode_head', torch.nn.ModuleList([torch.nn.Identity()] * 2))
    with pytest.raises(DeployError, match='expected a segmentor with .* got BilateralSegmentor with .* and ModuleList'):
        DeployModel(own_segmentor)


@pytest.mark.parametrize('pipeline', [
    Preprocess(), Preprocess(divisor=32), Preprocess(scale=(160, 96), divisor=32), Preprocess(scale=(90, 90)),
    Preprocess(scale_factor=1.5, divisor=16, pad_value=3.0), Preprocess(scale_factor=1 / 3),
    Preprocess(scale=(120, 80), keep_ratio=False, divisor=48)])
@pytest.mark.parametrize('sides', [(64, 96), (75, 41), (33, 101)])
@torch.no_grad()
def test_a_self_contained_model_resizes_and_pads_as_the_pipeline(segmentor, pipeline, sides):
    image = cv2.resize(np.random.default_rng(0).integers(0, 256, (9, 9, 3), np.uint8), sides[::-1])
    pre = segmentor.data_preprocessor
    whole = replace(pipeline, mean=pre.mean.flatten().tolist(), std=pre.std.flatten().tolist())
    prepared = whole(image)
    model = DeployModel(segmentor, channel_order='bgr', pipeline=pipeline)
    inputs, size = model.prepare(torch.from_numpy(image[None]))
    assert tuple(size) == pipeline.target_size(*sides) == (prepared.window[1], prepared.window[3])
    torch.testing.assert_close(inputs.numpy(), prepared.inputs, rtol=0, atol=0.02)  # OpenCV rounds to bytes
    expected = to_mask(DeployModel(segmentor, 'logits_s8')(torch.from_numpy(prepared.inputs)), prepared)
    assert (model(torch.from_numpy(image[None]))[0].numpy() == expected).mean() > 0.97
