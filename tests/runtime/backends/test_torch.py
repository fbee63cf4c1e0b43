"""The PyTorch backend runs a fused copy, and leaves the network and its gradients alone."""

import numpy as np
import pytest
import torch
from mmengine.config import ConfigDict
from torch.nn.modules.batchnorm import _BatchNorm

from bisenet_plugins.runtime.backends.torch import Logits, TorchBackend
from tests.runtime.backends.conftest import SHAPES, segmentor


def test_logits_are_those_of_the_network(network):
    backend = TorchBackend(network)
    for shape in SHAPES:
        x = torch.randn(shape)
        with torch.no_grad():
            expected = network.decode_head(network.extract_feat(x))
        torch.testing.assert_close(backend(x.numpy()).clone(), expected, rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(backend.scores(x.numpy()).clone(), expected, rtol=1e-4, atol=1e-4)


def test_the_copy_is_folded_and_the_network_stays():
    model = segmentor('v2')
    before = {name: value.clone() for name, value in model.state_dict().items()}
    backend = TorchBackend(model)

    def norms(module):
        return sum(isinstance(m, _BatchNorm) for m in module.modules())

    assert norms(backend.network) <= 1 < norms(model)  # the context embedding's first cannot be folded
    assert model.state_dict().keys() == before.keys()
    for name, value in model.state_dict().items():
        torch.testing.assert_close(value, before[name], rtol=0, atol=0)
    assert all(parameter.requires_grad for parameter in model.parameters())
    assert backend(np.zeros((1, 3, 64, 64), np.float32)).is_inference()


def test_a_sliding_window_returns_full_size_logits():
    model = segmentor('v2')
    x = torch.randn(1, 3, 64, 96)
    assert Logits(model).whole and Logits(model)(x).shape == (1, 5, 8, 12)
    model.test_cfg = ConfigDict(mode='slide', crop_size=(64, 64), stride=(32, 32))
    logits = Logits(model)
    assert not logits.whole
    with torch.no_grad():
        expected = model.slide_inference(x, [dict(img_shape=(64, 96), ori_shape=(64, 96), pad_shape=(64, 96),
                                                  padding_size=[0] * 4)])
        torch.testing.assert_close(logits(x), expected)
    assert expected.shape == (1, 5, 64, 96)


@pytest.mark.parametrize('method', ['predict', 'predict_by_feat'])
def test_a_head_that_decides_in_a_way_of_its_own_is_asked(method):
    model = segmentor('v2')
    cls = type(model.decode_head)
    model.decode_head.__class__ = type('Own', (cls,), {method: lambda self, *args: torch.zeros(1)})
    assert not Logits(model).whole
