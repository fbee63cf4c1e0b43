"""A config's network in PyTorch; what a predictor does with it is tested in test_predictor.py."""

import numpy as np
import pytest
import torch

from bisenet_plugins.errors import DeployError
from bisenet_plugins.runtime.network import Network


def test_what_prediction_needs_to_know_is_there(small_config):
    network = Network(small_config)
    assert (network.num_classes, network.classes, network.align_corners) == (3, ('road', 'car', 'sky'), False)
    assert not network.model.training and network.threshold == 0.5
    assert network.prepare(np.zeros((8, 12, 3), np.uint8)).inputs.shape == (1, 3, 16, 24)
    assert 'init_cfg' in small_config.model.backbone and network.cfg.model.backbone.init_cfg is None


def test_its_checkpoint_makes_it_again(small_config):
    network = Network(small_config)
    again = Network(network.cfg, network.checkpoint())
    for name, value in network.model.state_dict().items():
        torch.testing.assert_close(again.model.state_dict()[name], value, rtol=0, atol=0)
    assert (again.classes, again.palette) == (network.classes, network.palette)


def test_what_slides_a_window_stays_with_pytorch(small_config):
    small_config.model.test_cfg = dict(mode='slide', crop_size=(32, 32), stride=(24, 24))
    network = Network(small_config)
    with pytest.raises(DeployError, match='onnxruntime: .* decides in a way of its own'):
        network.open('onnxruntime')
    assert network.open('torch')(np.zeros((1, 3, 32, 48), np.float32)).shape == (1, 3, 32, 48)
