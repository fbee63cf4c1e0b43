import pytest
import torch
import torch.nn.functional as F
from torch import nn

from bisenet_plugins.models import FeatureFusion


@pytest.mark.parametrize('small', [(9, 13), (5, 7), (3, 4), (1, 1)])
def test_output_has_the_details_size(small):
    fusion = FeatureFusion((6, 10), 8)
    assert fusion.out_channels == 8
    assert fusion(torch.rand(2, 6, 9, 13), torch.rand(2, 10, *small)).shape == (2, 8, 9, 13)


def test_width_defaults_to_the_sum():
    assert FeatureFusion((6, 10)).out_channels == 16


def test_default_is_the_papers_figure():
    """1x1 with norm and ReLU; pooled, 1x1, ReLU, 1x1, sigmoid; multiplied, added."""
    fusion = FeatureFusion((2, 3), 4).eval()
    detail, semantic = torch.rand(1, 2, 5, 5), torch.rand(1, 3, 5, 5)
    x = fusion.project(torch.cat((detail, semantic), 1))
    first, second = (m.conv.weight for m in fusion.attention)
    weight = torch.sigmoid(F.conv2d(F.relu(F.conv2d(x.mean((2, 3), True), first)), second))
    torch.testing.assert_close(fusion(detail, semantic), x * weight + x)


@pytest.mark.parametrize('kwargs, norms, acts, inner', [
    (dict(), 1, 2, 8),
    (dict(reduction=4), 1, 2, 2),
    (dict(attention='single', attention_norm=True), 2, 1, None),
    (dict(attention='single', attention_norm=True, attention_act=True), 2, 2, None),
])
def test_published_forms(kwargs, norms, acts, inner):
    fusion = FeatureFusion((4, 4), 8, **kwargs)
    assert sum(isinstance(m, nn.BatchNorm2d) for m in fusion.modules()) == norms
    assert sum(isinstance(m, nn.ReLU) for m in fusion.modules()) == acts
    if inner:
        assert fusion.attention[0].conv.out_channels == inner
    else:
        assert len(fusion.attention) == 1


@pytest.mark.parametrize('kwargs', [dict(), dict(attention='single', attention_norm=True, attention_act=True)])
def test_a_batch_of_one_trains(kwargs):
    fusion = FeatureFusion((4, 4), 8, **kwargs).train()
    fusion(torch.rand(1, 4, 5, 5), torch.rand(1, 4, 3, 3)).sum().backward()
    assert all(torch.isfinite(p.grad).all() for p in fusion.parameters())


@pytest.mark.parametrize('kwargs, message', [
    (dict(in_channels=(4, 4, 4)), 'in_channels: expected 2 values'),
    (dict(attention='double'), "attention: expected 'mlp' or 'single', got 'double'"),
    (dict(reduction=9), 'reduction: expected a number from 1 to channels=8, got 9'),
    (dict(reduction=0), 'reduction: expected a whole number of at least 1, got 0'),
])
def test_refusals(kwargs, message):
    with pytest.raises(ValueError, match=message):
        FeatureFusion(**{'in_channels': (4, 4), 'channels': 8, **kwargs})
