"""The form of a conversion table, options read off weights, and their comparison with a config."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping, Sequence
from configparser import ConfigParser
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmseg.registry import MODELS
from torch import Tensor

from ...arguments import accepted_arguments
from ...config import explained, read_config
from ...errors import CheckpointError
from ...models.build import named_class

Weights = dict[str, Tensor]

CONFIGS = Path(__file__).resolve().parents[2] / '.mim' / 'configs'
PATH = 'backbone.semantic_branch'
BACKBONE = f'{PATH}.backbone'
BOOSTERS = ('stage2', 'stage3', 'stage4', 'stage5')
NUM_BATCHES = 'num_batches_tracked'
# Blocks of the third stage, whether they are bottlenecks, and the depth by which a ResNet is called.
_RESNETS = {(2, False): 18, (6, False): 34, (6, True): 50, (23, True): 101, (36, True): 152}

# What the segmentor hands to every part that does not say its own.
_HANDED_ON = ('num_classes', 'align_corners')


@dataclass(frozen=True)
class Source:
    """How one project names the weights of one network, and which of our options compute the same.

    Args:
        name: Project and network, for people.
        marks: Beginnings of names that occur together in this project's files only.
        prefixes: Pairs of beginnings of names, theirs and ours; each name begins with exactly one of theirs.
        config: Config, below ``configs/``, that comes nearest.
        options: Makes, from our weights, the options of our model under which it computes what theirs does.
        optional: Regular expressions of those of their prefixes that need not occur.
        dropped: Regular expressions of their names that have no counterpart, each with the reason.
        refine: Changes values, in place, after renaming to ours, and says what it did.
        our_marks: Beginnings of our names by which the reverse is recognised; empty where there is none.
        restore: Undoes ``refine``, in place, before renaming to theirs, and says what it did.
    """

    name: str
    marks: tuple[str, ...]
    prefixes: tuple[tuple[str, str], ...]
    config: str
    options: Callable[[Weights], dict[str, Any]]
    optional: tuple[str, ...] = (r'^auxiliary_head\.', )
    dropped: tuple[tuple[str, str], ...] = ()
    refine: Callable[[Weights], list[str]] = field(default=lambda weights: [])
    our_marks: tuple[str, ...] = ()
    restore: Callable[[Weights], list[str]] = field(default=lambda weights: [])

    def reason_to_drop(self, name: str) -> str | None:
        """Return why a weight of theirs is left out, or None where it is not."""
        return next((reason for pattern, reason in self.dropped if re.search(pattern, name)), None)

    def may_lack(self, prefix: str) -> bool:
        """Return whether a network of this source may have no weight under one of its prefixes."""
        return any(re.search(pattern, prefix) for pattern in self.optional)


def read_names(*sections: str) -> tuple[tuple[str, str], ...]:
    """Read pairs of beginnings of names, theirs and ours, from ``names.ini``.

    Args:
        sections: Its sections that make up one source.

    Example:
        >>> read_names('two-layer attention')[1]
        ('ffm.conv2.', 'decode_head.aggregation.attention.1.conv.')
    """
    parser = ConfigParser(delimiters=('->', ), comment_prefixes=('#', ), interpolation=None, allow_no_value=True)
    parser.optionxform = str  # type: ignore[assignment, method-assign]  # names keep their case
    parser.read(Path(__file__).with_name('names.ini'), encoding='utf-8')
    return tuple(pair for section in sections for theirs, ours in parser[section].items()
                 for pair in zip(_expand(theirs), _expand(ours or theirs), strict=True))


def _expand(text: str) -> list[str]:
    """Write out ``{a,b}`` and ``{0..3}``, the last group fastest."""
    parts: list[Any] = re.split(r'{(.*?)}', text.strip())
    for place in range(1, len(parts), 2):
        first, dots, last = parts[place].partition('..')
        parts[place] = [str(n) for n in range(int(first), int(last) + 1)] if dots else parts[place].split(',')
    return [''.join(chosen) for chosen in product(*(part if isinstance(part, list) else [part] for part in parts))]


def head_options(weights: Weights, align_corners: bool, auxiliary: Mapping[str, bool | None]) -> dict[str, Any]:
    """Read the number of classes and the widths of the heads off our weights.

    Args:
        weights: Weights under our names.
        align_corners: How the decode head's logits are resized.
        auxiliary: The same for the auxiliary heads, by their names in the config, in order; None leaves it open.

    Example:
        >>> shapes = {'decode_head.conv_seg': (19, 64, 1, 1), 'auxiliary_head.0.conv_seg': (19, 32, 1, 1)}
        >>> weights = {f'{name}.weight': torch.zeros(shape) for name, shape in shapes.items()}
        >>> head_options(weights, False, dict(stage2=None))
        {'num_classes': 19, 'decode_head.channels': 64, 'decode_head.align_corners': False,
         'auxiliary_head.stage2.channels': 32}
    """
    num_classes, channels = weights['decode_head.conv_seg.weight'].shape[:2]
    options = {'num_classes': num_classes, 'decode_head.channels': channels, 'decode_head.align_corners': align_corners}
    for index, (name, aligned) in enumerate(auxiliary.items()):
        if (classifier := weights.get(f'auxiliary_head.{index}.conv_seg.weight')) is not None:
            options[f'auxiliary_head.{name}.channels'] = classifier.shape[1]
            if aligned is not None:
                options[f'auxiliary_head.{name}.align_corners'] = aligned
    return options


def fusion_options(weights: Weights, upsample_mode: str = 'nearest') -> dict[str, Any]:
    """Read the form of the feature fusion and of the context path off our weights, as far as shapes tell it.

    Args:
        weights: Weights under our names.
        upsample_mode: How the context path upsamples.
    """
    attention = 'decode_head.aggregation.attention'
    options = {
        f'{PATH}.channels': weights[f'{PATH}.smooth16.conv.weight'].shape[0], f'{PATH}.upsample_mode': upsample_mode,
        'decode_head.aggregation_channels': weights['decode_head.aggregation.project.conv.weight'].shape[0],
        attention: 'single', f'{attention}_norm': f'{attention}.0.bn.weight' in weights}
    if f'{attention}.1.conv.weight' in weights:
        inner, outer = weights[f'{attention}.0.conv.weight'].shape[:2]
        options.update({attention: 'mlp', 'decode_head.aggregation.reduction': outer // inner})
    return options


def v1_options(weights: Weights, align_corners: bool = False, attention_act: bool = False,
               upsample_mode: str = 'nearest') -> dict[str, Any]:
    """Return the options of a BiSeNet V1: what its shapes tell, and what they do not.

    Args:
        weights: Weights under our names.
        align_corners: How the logits of all heads, and the context path's maps if bilinear, are resized.
        attention_act: Whether the attention of the feature fusion ends in an activation.
        upsample_mode: How the context path upsamples.

    Raises:
        CheckpointError: If no ResNet has as many blocks.
    """
    detail = 'backbone.detail_branch'
    kernels = [weights[f'{detail}.layers.{index}.conv.weight'] for index in range(3)]
    return {
        f'{detail}.channels': tuple(kernel.shape[0] for kernel in kernels),
        f'{detail}.kernel_sizes': tuple(kernel.shape[-1] for kernel in kernels),
        f'{detail}.projection_channels': weights[f'{detail}.projection.conv.weight'].shape[0],
        **_context_backbone(weights), **fusion_options(weights, upsample_mode),
        **({f'{PATH}.align_corners': align_corners} if upsample_mode == 'bilinear' else {}),
        'decode_head.aggregation.attention_act': attention_act,
        **head_options(weights, align_corners, dict.fromkeys(('context8', 'context16'), align_corners))}


def _context_backbone(weights: Weights) -> dict[str, Any]:
    """Read which backbone lies under the context path off our weights."""
    if f'{BACKBONE}.stages.0.0.residual.0.pointwise_conv.conv.weight' in weights:
        return {f'{BACKBONE}.type': 'Xception39'}
    blocks = {name.split('.')[4] for name in weights if name.startswith(f'{BACKBONE}.layer3.')}
    depth = _RESNETS.get((len(blocks), f'{BACKBONE}.layer3.0.conv3.weight' in weights))
    if depth is None:
        raise CheckpointError(f'context backbone: expected a ResNet of depth {sorted(_RESNETS.values())}, got one with '
                              f'{len(blocks)} blocks in its third stage')
    if (stem := weights.get(f'{BACKBONE}.stem.6.weight')) is None:
        return {f'{BACKBONE}.type': 'ResNet', f'{BACKBONE}.depth': depth}
    return {f'{BACKBONE}.type': 'ResNetV1c', f'{BACKBONE}.depth': depth, f'{BACKBONE}.stem_channels': stem.shape[0]}


def v2_options(weights: Weights, **aggregation: Any) -> dict[str, Any]:
    """Return the options of a BiSeNet V2 as the published checkpoints have it.

    Args:
        weights: Weights under our names.
        aggregation: Options of the aggregation in which the projects differ.
    """
    join = {f'decode_head.aggregation.{name}': value for name, value in dict(aggregation, out_act=True).items()}
    return {f'{PATH}.expansion': 'depthwise', **join, **head_options(weights, False, dict.fromkeys(BOOSTERS))}


def add_zero_biases(weights: Weights) -> list[str]:
    """Add a bias of zeros, in place, to each classifier without one, which changes no result.

    Args:
        weights: Weights under our names.

    Example:
        >>> weights = {'decode_head.conv_seg.weight': torch.ones(2, 3, 1, 1)}
        >>> add_zero_biases(weights)
        ['decode_head.conv_seg.bias was not there and is zero']
        >>> weights['decode_head.conv_seg.bias']
        tensor([0., 0.])
    """
    classifiers = [name.removesuffix('.weight') for name in weights if name.endswith('conv_seg.weight')]
    lacking = [name for name in classifiers if f'{name}.bias' not in weights]
    for name in lacking:
        weights[f'{name}.bias'] = torch.zeros_like(weights[f'{name}.weight'][:, 0, 0, 0])
    return [f'{name}.bias was not there and is zero' for name in lacking]


def refuse(sentence: str, names: Sequence[str]) -> None:
    """Refuse weights for each of some names.

    Args:
        sentence: What was expected and what came.
        names: What to list under it; nothing is refused where there is none.

    Raises:
        CheckpointError: If there is a name.
    """
    if names:
        raise CheckpointError('\n  '.join((f'{sentence}:', *names)))


def _read(config: str | os.PathLike[str]) -> Config:
    cfg = read_config(config)
    init_default_scope(cfg.get('default_scope', 'mmseg'))
    return cfg


def check_weights(weights: Mapping[str, Tensor], config: str | os.PathLike[str],
                  may_lack: str | tuple[str, ...] = ()) -> list[str]:
    """Compare the names and shapes of weights with the network of a config.

    Args:
        weights: Weights under our names.
        config: Config file of our model.
        may_lack: Beginning, or beginnings, of names that the weights may lack altogether.

    Returns:
        The names that the network has and the weights lack, all of them under ``may_lack``.

    Raises:
        CheckpointError: If a name is missing, left over, or has another shape; the message lists all of them.
    """
    cfg = _read(config)
    with explained(cfg):
        own = MODELS.build(cfg.model).state_dict()
    missing = [name for name in own if name not in weights]
    whole = any(name.startswith(may_lack) for name in weights)
    absent = [name for name in missing if name.startswith(may_lack) and not whole]
    wrong = [f'missing: {name} {tuple(own[name].shape)}' for name in missing if name not in absent]
    wrong += [f'left over: {name} {tuple(weights[name].shape)}' for name in weights if name not in own]
    wrong += [f'shape: {name} is {tuple(weights[name].shape)}, the config has {tuple(value.shape)}'
              for name, value in own.items() if name in weights and weights[name].shape != value.shape]
    refuse(f'weights: expected those of {config}, got others', wrong)
    return absent


def check_names(weights: Mapping[str, Tensor], config: str, options: Mapping[str, Any]) -> None:
    """Hold the names of weights against the network that they were recognised as, whose widths may be others.

    Args:
        weights: Weights under our names.
        config: Config below ``configs/``, or the name of a backbone's class.
        options: Options of the model, or of the backbone.

    Raises:
        CheckpointError: If a weight is missing; heads that only training needs may be missing altogether.
    """
    if config.endswith('.py'):
        cfg = _read(CONFIGS / config)
        cfg.merge_from_dict({f'model.{name}': value for name, value in dict(options, norm_cfg=dict(type='BN')).items()})
        model = cfg.model
    else:
        model = dict(type=config, **options)
    with torch.device('meta'):
        own = MODELS.build(model).state_dict()
    heads = {name.split('.')[1] for name in weights if name.startswith('auxiliary_head.')}
    missing = [name for name in own if name not in weights and not name.endswith(NUM_BATCHES)
               and (not name.startswith('auxiliary_head.') or name.split('.')[1] in heads)]
    refuse(f'weights: expected those of a whole network, got {len(missing)} missing', missing)


def different_options(config: str | os.PathLike[str], options: Mapping[str, Any]) -> list[str]:
    """Find the options in which a config's model differs from the given ones, defaults of the classes included.

    Args:
        config: Config file of our model.
        options: Expected values by dotted name below ``model``.

    Returns:
        One sentence for each option that differs; those of auxiliary heads that the config has under no such name are
        not compared.
    """
    model = _read(config).model.to_dict()
    heads = model.get('auxiliary_head') or {}
    found = {name: _effective(model, name) for name in options if not name.startswith('auxiliary_head.')
             or (isinstance(heads, dict) and heads.get(name.split('.')[1]))}
    return [f'model.{name}: expected {value!r}, got {found[name]!r}' for name, value in options.items()
            if name in found and _plain(found[name]) != _plain(value)]


def _effective(model: dict[str, Any], name: str) -> Any:
    """Look an option up where the config has it, else in the segmentor's settings, else in the class's defaults."""
    value: Any = model
    if name == 'num_classes' and model.get(name) is None:
        name = f'decode_head.{name}'
    for part in name.split('.'):
        if not isinstance(value, dict):
            return None
        if part not in value and part in _HANDED_ON and model.get(part) is not None:
            value = model[part]
        elif part not in value and 'type' in value:
            value = accepted_arguments(named_class(value, name)).get(part)
        else:
            value = value.get(part)
    return value


def _plain(value: Any) -> Any:
    """Let lists and tuples of the same entries be equal."""
    return list(value) if isinstance(value, tuple | list) else value
