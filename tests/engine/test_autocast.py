"""Mixed precision where mmengine's own refuses to work."""

import pytest
import torch
from torch import nn

from bisenet_plugins import AutocastOptimWrapper


@pytest.mark.parametrize('supported', [True, False])
def test_forward_in_bfloat16_where_the_cpu_has_it_weights_and_updates_in_float32(supported, monkeypatch):
    monkeypatch.setattr(torch.ops.mkldnn, '_is_mkldnn_bf16_supported', lambda: supported)
    layer = nn.Linear(4, 2)
    wrapper = AutocastOptimWrapper(optimizer=torch.optim.SGD(layer.parameters(), lr=0.1), accumulative_counts=2)
    wrapper.initialize_count_status(layer, 0, 4)
    before = layer.weight.detach().clone()
    for _ in range(2):
        with wrapper.optim_context(layer):
            out = layer(torch.ones(3, 4))
            assert out.dtype == wrapper.dtype == (torch.bfloat16 if supported else torch.float32)
        wrapper.update_params(out.float().sum())
        assert layer.weight.dtype == torch.float32
    torch.testing.assert_close(layer.weight.detach(), before - 0.1 * 3.0)
    assert layer(torch.ones(1, 4)).dtype == torch.float32


@pytest.mark.parametrize('supported', [True, False])
def test_a_cpu_without_bfloat16_is_named(supported, monkeypatch):
    monkeypatch.setattr(torch.ops.mkldnn, '_is_mkldnn_bf16_supported', lambda: supported)
    told = []
    monkeypatch.setattr('bisenet_plugins.engine.autocast.print_log', lambda text, *_: told.append(text))
    AutocastOptimWrapper(optimizer=torch.optim.SGD(nn.Linear(4, 2).parameters(), lr=0.1))
    assert [text.split(':')[0] for text in told] == ([] if supported else ['optim_wrapper'])
