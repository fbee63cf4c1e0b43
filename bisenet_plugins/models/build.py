"""Building parts from config dicts, and learning what a foreign backbone returns."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from mmengine.config import ConfigDict
from mmseg.registry import MODELS
from torch import nn

from ..arguments import accepted_arguments, nearest
from ..errors import InputError, expect, require

PROBES = ((128, 192), (128, 128), (224, 224))
"""Heights and widths of images to try a backbone with, before the size that it names; some take one size alone."""
LAYER_NAMES = ('BN', 'SyncBN', 'GN', 'LN', 'IN', 'Conv2d', 'DCNv2', 'Conv2dAdaptive', 'ReLU', 'ReLU6', 'PReLU',
               'LeakyReLU', 'GELU', 'SiLU', 'HSwish', 'ELU', 'Sigmoid', 'Tanh')
"""What people write, for suggestions; what is allowed is what is registered."""
BATCH_NORMS = ('BN', 'BN1d', 'BN2d', 'BN3d', 'SyncBN', 'MMSyncBN')
LAYER_CFGS = dict(conv_cfg='convolution', norm_cfg='norm', act_cfg='activation')


def registered(name: str) -> Any:
    """Return the part of a name in the default scope, where building looks for it, or in mmseg's."""
    with MODELS.switch_scope_and_registry(None) as registry:
        return registry.get(name) or MODELS.get(name)


def named_class(cfg: dict, argument: str) -> type:
    """Find the class that a config dict names.

    Args:
        cfg: Config dict with ``type``.
        argument: Name of the config argument that holds ``cfg``, for error messages.

    Raises:
        InputError: If ``cfg`` is not a dict with ``type``, or no class of that name is registered.

    Example:
        >>> named_class(dict(type='DetailBranch'), 'detail_branch').__name__
        'DetailBranch'
    """
    expect(isinstance(cfg, dict) and 'type' in cfg, argument, "a config dict with 'type'", cfg)
    if cfg['type'] == 'TIMMBackbone':
        require('timm')  # mmseg's own error names no way to get it
    cls = cfg['type'] if inspect.isclass(cfg['type']) else registered(cfg['type'])
    if cls is None:
        if str(cfg['type']).startswith('mm'):  # mmpretrain.X is registered where mmpretrain is installed
            require(cfg['type'].partition('.')[0])
        raise InputError(f"{argument}: expected the name of a registered model, got {cfg['type']!r}"
                         + (nearest(cfg['type'], MODELS.module_dict) or '; custom_imports names the package that '
                            'registers it'))
    return cls


def complete(cfg: dict, argument: str, **defaults: Any) -> dict:
    """Fill in what a config dict leaves open and its class knows.

    Args:
        cfg: Config dict with ``type``; what it names itself wins over ``defaults``.
        argument: Name of the config argument that holds ``cfg``, for error messages.
        defaults: Settings handed on when the class takes them; ``None`` is not handed on.

    Example:
        >>> complete(dict(type='DetailBranch'), 'detail_branch', in_channels=4, act_cfg=None)
        {'in_channels': 4, 'type': 'DetailBranch'}
    """
    known = accepted_arguments(named_class(cfg, argument))
    if keeps_own_layers(known):
        defaults = {key: value for key, value in defaults.items() if key not in LAYER_CFGS}
    whole = ConfigDict({**{key: value for key, value in defaults.items() if value is not None and key in known}, **cfg})
    for key, kind in LAYER_CFGS.items():
        check_layer(whole.get(key), f'{argument}.{key}', kind)
    return whole


def keeps_own_layers(known: dict[str, Any]) -> bool:
    """Return whether a class is built around another norm than batch norm, as transformers are around layer norm.

    Such a class keeps its own convolutions, norms and activations, whatever the network around it has.

    Args:
        known: Its arguments with their defaults, from :func:`accepted_arguments`.

    Example:
        >>> from mmseg.models import MixVisionTransformer, ResNetV1c
        >>> [keeps_own_layers(accepted_arguments(cls)) for cls in (MixVisionTransformer, ResNetV1c)]
        [True, False]
    """
    norm = known.get('norm_cfg')
    return isinstance(norm, dict) and norm.get('type') not in BATCH_NORMS


def check_layer(cfg: Any, argument: str, kind: str) -> None:
    """Refuse a layer that is not registered.

    Args:
        cfg: Config dict of the layer, or None.
        argument: Name of the config argument that holds it, for error messages.
        kind: What it must be, for error messages.

    Raises:
        ValueError: If no layer of that name is registered.

    Example:
        >>> check_layer(dict(type='BN'), 'norm_cfg', 'norm')
    """
    if cfg is None or isinstance(cfg, dict) and inspect.isclass(cfg.get('type')):
        return
    name = cfg.get('type') if isinstance(cfg, dict) else cfg
    if not isinstance(name, str) or registered(name) is None:
        raise InputError(f'{argument}.type: expected a registered {kind}, got {name!r}{nearest(name, LAYER_NAMES)}')


def build_part(cfg: dict, argument: str, **defaults: Any) -> nn.Module:
    """Build one part of a network through the registry, as :func:`complete` fills it in.

    Args:
        cfg: Config dict with ``type``.
        argument: Name of the config argument that holds ``cfg``, for error messages.
        defaults: Settings handed on when the class takes them.

    Example:
        >>> from bisenet_plugins.models import DetailBranch
        >>> build_part(dict(type='DetailBranch'), 'detail_branch', in_channels=4).out_channels
        (128,)
    """
    return MODELS.build(complete(cfg, argument, **defaults))


def as_maps(found: Any) -> Any:
    """Return what a backbone returned as a tuple of maps; several return a single one without a tuple.

    Args:
        found: What came out.

    Example:
        >>> len(as_maps(torch.zeros(2, 3, 4, 4)))
        1
    """
    return found if isinstance(found, tuple | list) else (found,)


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Let a network predict inside the block, without gradients; each of its layers trains on as it did before.

    Args:
        model: The network.

    Example:
        >>> layer = nn.Dropout()
        >>> with evaluating(layer):
        ...     layer(torch.ones(2))
        tensor([1., 1.])
        >>> layer.training
        True
    """
    modes = [(layer, layer.training) for layer in model.modules()]
    try:
        model.eval()  # separately: several backbones return nothing here
        with torch.no_grad():
            yield
    finally:
        for layer, mode in modes:
            layer.training = mode


def probe(module: nn.Module, in_channels: int, argument: str) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Find the channels and strides of a backbone's maps, declared or seen in a tiny forward pass.

    Args:
        module: The backbone; ``out_channels`` and ``out_strides`` are believed where it declares both.
        in_channels: Channels of its input image.
        argument: Name of the config argument that the backbone came from, for error messages.

    Raises:
        ValueError: If the forward pass fails or does not return a tuple of 4-d maps.

    Example:
        >>> from mmseg.models import MobileNetV2
        >>> probe(MobileNetV2(), 3, 'semantic_branch')
        ((24, 32, 96, 320), (4, 8, 16, 32))
    """
    declared: Any = module
    if hasattr(module, 'out_channels') and hasattr(module, 'out_strides'):
        return tuple(declared.out_channels), tuple(declared.out_strides)
    name, told = type(module).__name__, ''
    own: Any = next((part.img_size for part in module.modules() if hasattr(part, 'img_size')), PROBES[0])
    sizes = dict.fromkeys((*PROBES, tuple(own) if isinstance(own, tuple | list) else (own, own)))
    with evaluating(module):
        for side, width in sizes:
            try:
                maps = as_maps(module(torch.zeros(1, in_channels, side, width)))
                break
            except Exception as error:  # whatever a foreign backbone raises
                told = told or f'{side} x {width} pixels: {error}'
        else:
            raise InputError(f'{argument}: expected a backbone of images with {in_channels} channels, and of one of '
                             f'the sizes {", ".join(f"{h} x {w}" for h, w in sizes)}, got {name}, which fails at '
                             + told)
    shapes: list[Any] = [tuple(m.shape) if isinstance(m, torch.Tensor) else type(m).__name__ for m in maps]
    expect(all(len(shape) == 4 and abs(shape[2] * width - shape[3] * side) <= width for shape in shapes), argument,
           f'maps (N, C, h, w) from {name} (see its out_indices)', shapes)
    return tuple(m.shape[1] for m in maps), tuple(round(side / m.shape[2]) for m in maps)


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
