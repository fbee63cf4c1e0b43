"""How far each map of a config's network sees: ``python -m benchmarks.receptive_fields CONFIG``."""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase

from bisenet_plugins.models.cost import build_uncounted


@dataclass(frozen=True)
class MapSight:
    """How much of the image one map sees.

    Args:
        name: What the map is.
        channels: Its channels.
        stride: Its stride.
        receptive_field: Side of what its middle place sees, in pixels; ``None``: the whole image.
    """

    name: str
    channels: int
    stride: int
    receptive_field: int | None


def receptive_fields(model: Any, width: int = 4096, in_channels: int = 3) -> list[MapSight]:
    """Find how far the maps of a segmentor, and its logits, see along a row of the image.

    A copy of the network, in which every kernel is positive and nothing saturates, is differentiated with respect to a
    row of pixels; where the gradient of a map's middle place is not zero, that place sees.

    Args:
        model: A segmentor from :func:`build_uncounted`; its parameters are lost.
        width: Length of the row. A map that sees all of it sees the whole image, as after global pooling.
        in_channels: Channels of the image.

    Note:
        This is the theoretical field; what a trained network uses of it is smaller. The place in the middle stands for
        all; resizing shifts it by a few pixels elsewhere.

    Example:
        >>> from mmengine.config import Config
        >>> head = dict(type='BoosterHead', channels=8, in_index=0, num_classes=2)
        >>> cfg = Config(dict(model=dict(type='BilateralSegmentor', backbone=dict(type='DetailBranch'),
        ...                              decode_head=head)))
        >>> [(s.name, s.stride, s.receptive_field) for s in receptive_fields(build_uncounted(cfg), 512)]
        [('map 0', 8, 67), ('logits', 8, 83)]
    """
    model = model.to_empty(device='cpu').double().eval()
    for tensor in (*model.parameters(), *model.buffers()):
        tensor.data.fill_(1)
    with _only_sight(model):
        row = torch.ones(1, in_channels, 1, width, dtype=torch.float64, requires_grad=True)
        maps = tuple(model.extract_feat(row))
        named = {f'map {i}': m for i, m in enumerate(maps)} | {'logits': model.decode_head.forward(maps)}
        sights = []
        for name, values in named.items():
            places = values.shape[3]
            gradient, = torch.autograd.grad(values[..., places // 2].sum(), row, retain_graph=True)
            seen = gradient[0, :, 0].abs().sum(0).nonzero().flatten()
            field = int(seen[-1] - seen[0]) + 1
            sights.append(
                MapSight(name, values.shape[1], math.ceil(width / places), None if field == width else field))
    return sights


@contextmanager
def _only_sight(model: nn.Module) -> Iterator[None]:
    """Make every layer pass on what it sees and nothing else: ones for kernels, no norm, no activation, no maximum."""
    changed = []
    for layer in model.modules():
        forward = _sight_of(layer)
        if forward is not None:
            layer.forward = forward
            changed.append(layer)
    try:
        yield
    finally:
        for layer in changed:
            del layer.forward


def _sight_of(layer: nn.Module) -> Callable[[Tensor], Tensor] | None:
    if isinstance(layer, nn.Conv2d):
        kernel = torch.ones(1, 1, *layer.kernel_size, dtype=torch.float64)

        def spread(x: Tensor) -> Tensor:
            x = F.conv2d(x.mean(1, keepdim=True), kernel, None, layer.stride, layer.padding, layer.dilation)
            return (x / x.detach().amax()).repeat(1, layer.out_channels, 1, 1)

        return spread
    if isinstance(layer, nn.MaxPool2d):
        return lambda x: F.avg_pool2d(x, layer.kernel_size, layer.stride, layer.padding, layer.ceil_mode)
    activation = type(layer).__module__ == 'torch.nn.modules.activation' and not list(layer.children())
    if activation or isinstance(layer, _NormBase | nn.GroupNorm | nn.LayerNorm):
        return lambda x: x
    return None


def main() -> None:
    """Print the field of every map."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('config', help='config file')
    parser.add_argument('--width', type=int, default=4096, help='width of the image (default: %(default)s)')
    args = parser.parse_args()
    for sight in receptive_fields(build_uncounted(args.config), args.width):
        field = f'{sight.receptive_field} pixels' if sight.receptive_field else 'the whole image'
        print(f'{sight.name:<8}  stride {sight.stride:>2}, {sight.channels:>4} channels, sees {field}')


if __name__ == '__main__':
    main()
