"""What an artifact computes, as a PyTorch module."""

import pytest
import torch

from bisenet_plugins.deploy.deploy_model import DeployModel, classify
from bisenet_plugins.errors import DeployError, InputError
from bisenet_plugins.runtime.predictor import Predictor
from tests.deploy.conftest import tiny_config


@pytest.fixture(scope='module')
def segmentor():
    torch.manual_seed(0)
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


def test_what_does_not_fit_is_refused(segmentor, monkeypatch):
    with pytest.raises(InputError, match='network_size: expected a self-contained graph'):
        DeployModel(segmentor, network_size=(64, 64))
    monkeypatch.setattr(segmentor.decode_head, 'num_classes', 256)
    with pytest.raises(DeployError, match='expected at most 255 classes in a self-contained graph.* got 256'):
        DeployModel(segmentor, channel_order='bgr')
    monkeypatch.setattr(segmentor, 'decode_head', torch.nn.ModuleList([torch.nn.Identity()] * 2))
    with pytest.raises(DeployError, match='expected a segmentor with .* got BilateralSegmentor with .* and ModuleList'):
        DeployModel(segmentor)
