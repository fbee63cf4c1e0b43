import pytest
import torch

from bisenet_plugins.models import SpatialPath


@pytest.mark.parametrize('size', [(64, 128), (63, 127)])
@pytest.mark.parametrize('projection', [None, 24])
def test_one_map_at_stride_8(size, projection):
    path = SpatialPath(kernel_sizes=(7, 3, 3), projection_channels=projection)
    (detail,) = path(torch.rand(2, 3, *size))
    assert detail.shape == (2, projection or 64, 8, 16)
    assert path.out_channels == (detail.shape[1],)
    assert path.out_strides == (8,)


def test_default_is_the_papers_text():
    kernels = [m.kernel_size for m in SpatialPath().modules() if isinstance(m, torch.nn.Conv2d)]
    assert kernels == [(3, 3)] * 3


@pytest.mark.parametrize('bad', [dict(channels=(64, 64)), dict(kernel_sizes=(3, 3, 3, 1))])
def test_wrong_number_of_layers(bad):
    with pytest.raises(ValueError, match='SpatialPath.(channels|kernel_sizes): expected 3 values'):
        SpatialPath(**bad)


def test_even_kernel():
    with pytest.raises(ValueError, match='kernel_sizes: expected odd numbers'):
        SpatialPath(kernel_sizes=(4, 3, 3))
