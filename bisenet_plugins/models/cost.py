"""What a network costs: parameters, operations, activations, and how far each of its maps sees.

Counting runs on torch's ``meta`` device: no weight is made, so that any network at any size takes a second.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from mmengine.config import Config
from mmseg.registry import MODELS
from mmseg.utils import register_all_modules
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.modules.conv import _ConvNd
from torch.utils.flop_counter import FlopCounterMode

__all__ = ['Complexity', 'MapSight', 'build_uncounted', 'format_complexity', 'measure', 'receptive_fields']


@dataclass(frozen=True)
class Complexity:
    """The cost of one forward pass with one image; auxiliary heads are not run.

    Args:
        shape: Height and width of the image.
        params: Parameters in training.
        deploy_params: Parameters without the auxiliary heads.
        macs: Multiply-adds of convolutions, linear layers and matrix products, counted by
            ``torch.utils.flop_counter``.
        norm_outputs: Values that batch norms put out.
        relu_outputs: Values that ReLUs put out.
        activations: Values that convolutions put out.
    """

    shape: tuple[int, int]
    params: int
    deploy_params: int
    macs: int
    norm_outputs: int
    relu_outputs: int
    activations: int

    @property
    def paper_flops(self) -> int:
        """Operations as the BiSeNet papers count: a multiply-add is one, a batch-normed value two, a ReLU's one."""
        return self.macs + 2 * self.norm_outputs + self.relu_outputs


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


def build_uncounted(config: Config | str | os.PathLike[str], **overrides: Any) -> nn.Module:
    """Build the network of a config without weights, on the ``meta`` device.

    Args:
        config: A config or its file.
        overrides: Values to lay over the config; a double underscore stands for a dot.

    Example:
        >>> from mmengine.config import Config
        >>> head = dict(type='BoosterHead', channels=8, in_index=0, num_classes=2)
        >>> cfg = Config(dict(model=dict(type='BilateralSegmentor', backbone=dict(type='DetailBranch'),
        ...                              decode_head=head)))
        >>> next(build_uncounted(cfg).parameters()).device.type
        'meta'
    """
    register_all_modules(init_default_scope=True)
    cfg = config if isinstance(config, Config) else Config.fromfile(config)
    cfg = Config(cfg.to_dict())
    cfg.merge_from_dict({key.replace('__', '.'): value for key, value in overrides.items()})
    with torch.device('meta'):
        return MODELS.build(cfg.model).eval()


def measure(model: nn.Module, shape: tuple[int, int], in_channels: int = 3) -> Complexity:
    """Count what one image costs.

    Args:
        model: A segmentor or any other network of images, on any device; on ``meta`` nothing is computed.
        shape: Height and width of the image.
        in_channels: Channels of the image.

    Note:
        Neither counter sees resizing, pooling, sums, products and sigmoids; nor do the papers.

    Example:
        >>> from bisenet_plugins.models import DetailBranch
        >>> cost = measure(DetailBranch(), (32, 64))
        >>> cost.params, cost.macs
        (519232, 45711360)
    """
    counts = dict(norm_outputs=0, relu_outputs=0, activations=0)

    def count(key: str) -> Callable[[nn.Module, Any, Tensor], None]:
        def add(_: nn.Module, __: Any, output: Tensor) -> None:
            counts[key] += output.numel()

        return add

    kinds: dict[str, Any] = dict(activations=_ConvNd, norm_outputs=_NormBase, relu_outputs=(nn.ReLU, nn.ReLU6))
    hooks = [
        layer.register_forward_hook(count(key)) for layer in model.modules() for key, kind in kinds.items()
        if isinstance(layer, kind)
    ]
    modes = [(layer, layer.training) for layer in model.modules()]
    device = next(model.parameters()).device
    try:
        model.eval()  # separately: several backbones return nothing here
        with torch.no_grad(), FlopCounterMode(display=False) as counter:
            model(torch.zeros(1, in_channels, *shape, device=device))
    finally:
        for hook in hooks:
            hook.remove()
        for layer, mode in modes:
            layer.training = mode
    params = sum(p.numel() for p in model.parameters())
    auxiliary = getattr(model, 'auxiliary_head', None)
    spare = sum(p.numel() for p in auxiliary.parameters()) if auxiliary is not None else 0
    return Complexity((shape[0], shape[1]), params, params - spare, counter.get_total_flops() // 2, **counts)


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


def format_complexity(cost: Complexity, sights: list[MapSight] | None = None) -> str:
    """Write the cost of a network as text.

    Args:
        cost: As from :func:`measure`.
        sights: As from :func:`receptive_fields`.

    Example:
        >>> cost = Complexity((32, 64), 3_400_000, 2_300_000, 10**9, 10**6, 10**6, 2 * 10**6)
        >>> print(format_complexity(cost))
        image                       32 x 64
        parameters, training        3.400 M
        parameters, deployed        2.300 M  (without auxiliary heads)
        multiply-adds               1.000 G  (torch.utils.flop_counter: convolutions, matrix products)
        operations as papers count  1.003 G  (multiply-adds + 2 per batch-normed value + 1 per ReLU)
        activations                 2.000 M  (values that convolutions put out)
    """
    rows = [
        ('image', f'{cost.shape[0]} x {cost.shape[1]}', ''),
        ('parameters, training', f'{cost.params / 1e6:.3f} M', ''),
        ('parameters, deployed', f'{cost.deploy_params / 1e6:.3f} M', '(without auxiliary heads)'),
        ('multiply-adds', f'{cost.macs / 1e9:.3f} G', '(torch.utils.flop_counter: convolutions, matrix products)'),
        ('operations as papers count', f'{cost.paper_flops / 1e9:.3f} G',
         '(multiply-adds + 2 per batch-normed value + 1 per ReLU)'),
        ('activations', f'{cost.activations / 1e6:.3f} M', '(values that convolutions put out)'),
    ]
    lines = [f'{name:<26}  {value}  {note}'.rstrip() for name, value, note in rows]
    for sight in sights or []:
        field = f'{sight.receptive_field} pixels' if sight.receptive_field else 'the whole image'
        lines.append(f'{sight.name:<26}  stride {sight.stride:>2}, {sight.channels:>4} channels, sees {field}')
    return '\n'.join(lines)
