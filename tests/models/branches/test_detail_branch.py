"""The detail branch has the layers of the paper's Table 1."""

import pytest
import torch
from torch import nn

from bisenet_plugins.models import DetailBranch
from bisenet_plugins.models.layers import RepConvModule


def convolutions(branch):
    return [(m.in_channels, m.out_channels, m.kernel_size[0], m.stride[0]) for m in branch.modules()
            if isinstance(m, nn.Conv2d)]


def test_layers_are_those_of_table_1():
    assert convolutions(DetailBranch()) == [
        (3, 64, 3, 2), (64, 64, 3, 1),
        (64, 64, 3, 2), (64, 64, 3, 1), (64, 64, 3, 1),
        (64, 128, 3, 2), (128, 128, 3, 1), (128, 128, 3, 1)]


def test_width_is_rounded_and_declared():
    branch = DetailBranch(width_mult=0.3).eval()
    assert branch.out_channels == (38,) and branch.out_strides == (8,)
    (detail,) = branch(torch.rand(1, 3, 65, 97))
    assert detail.shape == (1, 38, 9, 13)


def test_reparametrised_layers_have_the_same_widths_and_strides():
    branch = DetailBranch(channels=(4, 4, 8), num_convs=(1, 2, 1), reparam=True)
    layers = [m for m in branch.modules() if isinstance(m, RepConvModule)]
    assert [m.dense.conv.stride[0] for m in layers] == [2, 2, 1, 2]
    assert [m.identity is not None for m in layers] == [False, False, True, False]


@pytest.mark.parametrize('arguments', [dict(channels=(64, 64)), dict(num_convs=(2, 3, 3, 3))])
def test_three_stages_are_required(arguments):
    with pytest.raises(ValueError, match='DetailBranch.(channels|num_convs): expected 3 values'):
        DetailBranch(**arguments)
