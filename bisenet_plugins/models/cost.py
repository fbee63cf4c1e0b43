"""What a network costs: parameters and operations.

Counting runs on torch's ``meta`` device: no weight is made, so that any network at any size takes a second.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmseg.registry import MODELS
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils.flop_counter import FlopCounterMode

from ..config import explained, read_config
from .build import evaluating

__all__ = ['Complexity', 'ShapesOnly', 'build_uncounted', 'format_complexity', 'measure']


class ShapesOnly(TorchFunctionMode):
    """Leave out what changes no shape and takes most of the time on the ``meta`` device: random weights, batch norm.

    Example:
        >>> with torch.device('meta'), ShapesOnly():
        ...     nn.BatchNorm2d(4)(torch.rand(2, 4, 1, 1)).shape
        torch.Size([2, 4, 1, 1])
    """

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Return the first argument of such a function."""
        if func in (nn.functional.batch_norm, Tensor.normal_, Tensor.uniform_):
            return args[0]
        return func(*args, **(kwargs or {}))


@dataclass(frozen=True)
class Complexity:
    """The cost of one forward pass with one image; auxiliary heads are not run.

    Args:
        shape: Height and width of the image.
        params: Parameters in training.
        deploy_params: Parameters without the auxiliary heads.
        macs: Multiply-adds of convolutions, linear layers and matrix products, counted by
            ``torch.utils.flop_counter``.
    """

    shape: tuple[int, int]
    params: int
    deploy_params: int
    macs: int


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
    cfg = Config((config if isinstance(config, Config) else read_config(config)).to_dict())
    init_default_scope(cfg.get('default_scope') or 'mmseg')
    cfg.merge_from_dict({key.replace('__', '.'): value for key, value in overrides.items()})
    if isinstance(cfg.get('data_preprocessor'), dict):  # mmengine's runner takes it beside the model too
        cfg.model.data_preprocessor = cfg.model.get('data_preprocessor') or cfg.data_preprocessor
    with torch.device('meta'), ShapesOnly(), explained(cfg):
        return MODELS.build(cfg.model).eval()


def measure(model: nn.Module, shape: tuple[int, int], in_channels: int = 3) -> Complexity:
    """Count what one image costs.

    Args:
        model: A segmentor or any other network of images, on any device; on ``meta`` nothing is computed.
        shape: Height and width of the image.
        in_channels: Channels of the image.

    Note:
        The counter does not see resizing, pooling, sums, products and sigmoids; nor do the papers.

    Example:
        >>> from bisenet_plugins.models import DetailBranch
        >>> cost = measure(DetailBranch(), (32, 64))
        >>> cost.params, cost.macs
        (519232, 45711360)
    """
    with evaluating(model), ShapesOnly(), FlopCounterMode(display=False) as counter:
        model(torch.zeros(1, in_channels, *shape, device=next(model.parameters()).device))
    params = sum(p.numel() for p in model.parameters())
    spare = sum(p.numel() for name, p in model.named_parameters() if name.startswith('auxiliary_head.'))
    return Complexity((shape[0], shape[1]), params, params - spare, counter.get_total_flops() // 2)


def format_complexity(cost: Complexity) -> str:
    """Write the cost of a network as text.

    Args:
        cost: As from :func:`measure`.

    Example:
        >>> cost = Complexity((32, 64), 3_400_000, 2_300_000, 10**9)
        >>> print(format_complexity(cost))
        image                 32 x 64
        parameters, training  3.400 M
        parameters, deployed  2.300 M  (without auxiliary heads)
        multiply-adds         1.000 G  (torch.utils.flop_counter: convolutions, matrix products)
    """
    rows = [
        ('image', f'{cost.shape[0]} x {cost.shape[1]}', ''), ('parameters, training', f'{cost.params / 1e6:.3f} M', ''),
        ('parameters, deployed', f'{cost.deploy_params / 1e6:.3f} M', '(without auxiliary heads)'),
        ('multiply-adds', f'{cost.macs / 1e9:.3f} G', '(torch.utils.flop_counter: convolutions, matrix products)')]
    return '\n'.join(f'{name:<20}  {value}  {note}'.rstrip() for name, value, note in rows)
