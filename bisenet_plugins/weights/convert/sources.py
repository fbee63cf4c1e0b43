"""What is known of a project whose weights can be converted, and what shapes of weights tell."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ...errors import CheckpointError

Weights = dict[str, Tensor]

BACKBONE = 'backbone.semantic_branch.backbone'
NUM_BATCHES = 'num_batches_tracked'
# Blocks of the third stage, whether they are bottlenecks, and the depth by which a ResNet is called.
_RESNETS = {(2, False): 18, (6, False): 34, (6, True): 50, (23, True): 101, (36, True): 152}


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
        our_marks: Beginnings of our names by which the way back is found; empty where there is none.
        restore: Undoes ``refine``, in place, before renaming to theirs, and says what it did.
        constants: Weights of theirs without a counterpart that the way back puts in, each with the beginning of the
            names beside which it stands.
    """

    name: str
    marks: tuple[str, ...]
    prefixes: tuple[tuple[str, str], ...]
    config: str
    options: Callable[[Weights], dict[str, Any]]
    optional: tuple[str, ...] = (r'^auxiliary_head\.', )
    dropped: tuple[tuple[str, str], ...] = ()
    refine: Callable[[Weights], list[str]] | None = None
    our_marks: tuple[str, ...] = ()
    restore: Callable[[Weights], list[str]] | None = None
    constants: tuple[tuple[str, str, Tensor], ...] = ()

    def reason_to_drop(self, name: str) -> str | None:
        """Say why a weight of theirs is left out, or return None where it is not."""
        return next((reason for pattern, reason in self.dropped if re.search(pattern, name)), None)

    def may_lack(self, prefix: str) -> bool:
        """Tell whether a network of this source may have no weight under one of its prefixes."""
        return any(re.search(pattern, prefix) for pattern in self.optional)


def layers(theirs: str, ours: str, conv: str = '0', norm: str = '1') -> list[tuple[str, str]]:
    """Pair the two layers of a convolution with norm that the other project names one by one.

    Args:
        theirs: Beginning of their names.
        ours: Beginning of ours.
        conv: Their name of the convolution.
        norm: Their name of the norm.

    Example:
        >>> layers('a.', 'b.')
        [('a.0.', 'b.conv.'), ('a.1.', 'b.bn.')]
    """
    return [(f'{theirs}{conv}.', f'{ours}conv.'), (f'{theirs}{norm}.', f'{ours}bn.')]


def head_options(weights: Weights, *auxiliary: str) -> dict[str, Any]:
    """Read the number of classes and the widths of the heads off our weights.

    Args:
        weights: Weights under our names.
        auxiliary: Names that the config gives to its auxiliary heads, in order.

    Example:
        >>> shapes = {'decode_head.conv_seg': (19, 64, 1, 1), 'auxiliary_head.0.conv_seg': (19, 32, 1, 1)}
        >>> head_options({f'{name}.weight': torch.zeros(shape) for name, shape in shapes.items()}, 'stage2')
        {'num_classes': 19, 'decode_head.channels': 64, 'auxiliary_head.stage2.channels': 32}
    """
    num_classes, channels = weights['decode_head.conv_seg.weight'].shape[:2]
    options: dict[str, Any] = {'num_classes': num_classes, 'decode_head.channels': channels}
    for index, name in enumerate(auxiliary):
        classifier = weights.get(f'auxiliary_head.{index}.conv_seg.weight')
        if classifier is not None:
            options[f'auxiliary_head.{name}.channels'] = classifier.shape[1]
    return options


def fusion_options(weights: Weights) -> dict[str, Any]:
    """Read the form of the feature fusion and of the context path off our weights, as far as shapes tell it.

    Args:
        weights: Weights under our names.
    """
    options = {
        'backbone.semantic_branch.channels': weights['backbone.semantic_branch.smooth16.conv.weight'].shape[0],
        'decode_head.aggregation_channels': weights['decode_head.aggregation.project.conv.weight'].shape[0],
        'decode_head.aggregation.attention': 'single',
        'decode_head.aggregation.attention_norm': 'decode_head.aggregation.attention.0.bn.weight' in weights,
    }
    if 'decode_head.aggregation.attention.1.conv.weight' in weights:
        inner, outer = weights['decode_head.aggregation.attention.0.conv.weight'].shape[:2]
        options['decode_head.aggregation.attention'] = 'mlp'
        options['decode_head.aggregation.reduction'] = outer // inner
    return options


def spatial_options(weights: Weights) -> dict[str, Any]:
    """Read the form of the spatial path off our weights.

    Args:
        weights: Weights under our names.
    """
    path = 'backbone.detail_branch'
    kernels = [weights[f'{path}.layers.{index}.conv.weight'] for index in range(3)]
    return {
        f'{path}.channels': tuple(kernel.shape[0] for kernel in kernels),
        f'{path}.kernel_sizes': tuple(kernel.shape[-1] for kernel in kernels),
        f'{path}.projection_channels': weights[f'{path}.projection.conv.weight'].shape[0],
    }


def resnet_options(weights: Weights) -> dict[str, Any]:
    """Read the depth and the stem of a ResNet under the context path off our weights.

    Args:
        weights: Weights under our names.

    Raises:
        CheckpointError: If no ResNet has as many blocks.
    """
    blocks = {name.split('.')[4] for name in weights if name.startswith(f'{BACKBONE}.layer3.')}
    bottleneck = f'{BACKBONE}.layer3.0.conv3.weight' in weights
    depth = _RESNETS.get((len(blocks), bottleneck))
    if depth is None:
        raise CheckpointError(f'the context backbone must be a ResNet of depth {sorted(_RESNETS.values())}, got one '
                              f'with {len(blocks)} blocks in its third stage')
    stem = weights.get(f'{BACKBONE}.stem.6.weight')
    options: dict[str, Any] = {f'{BACKBONE}.type': 'ResNet', f'{BACKBONE}.depth': depth}
    if stem is not None:
        options[f'{BACKBONE}.type'] = 'ResNetV1c'
        options[f'{BACKBONE}.stem_channels'] = stem.shape[0]
    return options


def add_zero_biases(weights: Weights) -> list[str]:
    """Give each classifier that has no bias one of zeros, in place, which changes no result.

    Args:
        weights: Weights under our names.

    Example:
        >>> weights = {'decode_head.conv_seg.weight': torch.ones(2, 3, 1, 1)}
        >>> add_zero_biases(weights)
        ['decode_head.conv_seg.bias was not there and is zero']
        >>> weights['decode_head.conv_seg.bias']
        tensor([0., 0.])
    """
    lacking = [name for name in weights if name.endswith('conv_seg.weight')
               and f'{name[:-len("weight")]}bias' not in weights]
    for name in lacking:
        weights[f'{name[:-len("weight")]}bias'] = torch.zeros_like(weights[name][:, 0, 0, 0])
    return [f'{name[:-len("weight")]}bias was not there and is zero' for name in lacking]
