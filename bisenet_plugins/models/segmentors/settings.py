"""Completing the heads' configs from what the segmentor knows: its settings and its backbone's maps."""

from __future__ import annotations

from typing import Any

from torch import nn

from ...arguments import accepted_arguments
from ...errors import expect
from ..build import complete, named_class, probe


def complete_head(cfg: dict, argument: str, backbone: nn.Module, settings: dict[str, Any]) -> dict:
    """Fill a head's config in, its channels from the maps that it reads, and check them.

    Args:
        cfg: Config of the head; what it says itself wins.
        argument: Name of the config argument that holds ``cfg``, for error messages.
        backbone: The built backbone; channels are known where it declares ``out_channels``.
        settings: What the segmentor hands to all parts: ``num_classes``, ``norm_cfg`` and others.

    Raises:
        ValueError: If ``in_index`` points behind the backbone's maps, or ``in_channels`` differs from theirs.

    Example:
        >>> from bisenet_plugins.models import DetailBranch
        >>> head = dict(type='BoosterHead', channels=8, in_index=0)
        >>> complete_head(head, 'decode_head', DetailBranch(), dict(num_classes=2))['in_channels']
        128
    """
    cfg = complete(cfg, argument, **settings)
    known = accepted_arguments(named_class(cfg, argument))
    declared = hasattr(backbone, 'out_channels') and hasattr(backbone, 'out_strides')
    if 'in_index' not in known or ('in_channels' in cfg and not declared):
        return cfg
    taken = [layer.in_channels for layer in backbone.modules() if isinstance(layer, nn.Conv2d)]
    channels, strides = probe(backbone, 3 if 3 in taken or not taken else taken[0], 'backbone')
    index = cfg.get('in_index', known['in_index'])
    several = isinstance(index, tuple | list)
    name = type(backbone).__name__
    inside = all(-len(channels) <= i < len(channels) for i in (index if several else (index,)))
    expect(inside, f'{argument}.in_index', f'places among the {len(channels)} maps of {name}', index)
    if 'aggregation' in known:
        expect(strides[index[0]] <= strides[index[1]], f'{argument}.in_index', 'the finer map first', index)
    found = tuple(channels[i] for i in index) if several else channels[index]
    given = cfg.setdefault('in_channels', found)
    expect((tuple(given) if isinstance(given, tuple | list) else given) == found, f'{argument}.in_channels',
           f'{found}, as the maps at in_index {index} of {name} have', given)
    return cfg
