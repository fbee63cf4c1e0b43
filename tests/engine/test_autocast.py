"""Mixed precision where mmengine's own refuses to work."""

import torch
from torch import nn

from bisenet_plugins import AutocastOptimWrapper


def test_forward_in_bfloat16_weights_and_updates_in_float32():
    layer = nn.Linear(4, 2)
    wrapper = AutocastOptimWrapper(optimizer=torch.optim.SGD(layer.parameters(), lr=0.1), accumulative_counts=2)
    wrapper.initialize_count_status(layer, 0, 4)
    before = layer.weight.detach().clone()
    for _ in range(2):
        with wrapper.optim_context(layer):
            out = layer(torch.ones(3, 4))
            assert out.dtype == torch.bfloat16
        wrapper.update_params(out.float().sum())
        assert layer.weight.dtype == torch.float32
    torch.testing.assert_close(layer.weight.detach(), before - 0.1 * 3.0)
    assert layer(torch.ones(1, 4)).dtype == torch.float32
