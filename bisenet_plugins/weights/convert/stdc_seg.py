"""How MichaelFan01/STDC-Seg names its weights, and how this package does."""

from __future__ import annotations

from functools import partial

import torch

from .coincheung_v1 import MLP, SHARED
from .mmseg_stdc import FUSION_KERNEL, stdc_options
from .sources import BACKBONE, NUM_BATCHES, Source, Weights, add_zero_biases, layers

_DEPTHS = dict(STDC1=(2, 2, 2), STDC2=(4, 5, 3))
_BLOCKS = 4
_EPS = 1e-5


def _features(depths: tuple[int, ...]) -> list[tuple[str, str]]:
    """Pair the backbone's layers, which are numbered through, with ours, which are numbered by stage."""
    pairs = [(f'cp.backbone.features.{index}.', f'{BACKBONE}.stem.{index}.') for index in range(2)]
    number = 2
    for stage, depth in enumerate(depths):
        for module in range(depth):
            theirs, ours = f'cp.backbone.features.{number}.', f'{BACKBONE}.stages.{stage}.{module}.'
            pairs += [(f'{theirs}conv_list.{block}.', f'{ours}blocks.{block}.') for block in range(_BLOCKS)]
            if module == 0:
                pairs += layers(f'{theirs}avd_layer.', f'{ours}downsample.')
            number += 1
    return pairs


def _refine(weights: Weights) -> list[str]:
    """Turn in-place batch norm, which scales by ``abs(weight) + eps``, into plain batch norm, in place.

    It is known by its missing counter of batches; the backbone has plain batch norm.
    """
    notes = add_zero_biases(weights)
    scales = [
        f'{name[:-len("running_var")]}weight' for name in weights if name.endswith('.running_var')
        and not name.startswith(f'{BACKBONE}.') and f'{name[:-len("running_var")]}{NUM_BATCHES}' not in weights
    ]
    for name in scales:
        weights[name] = weights[name].abs() + _EPS
    if scales:
        notes.append(
            f'{len(scales)} in-place batch norms scale by abs(weight) + {_EPS:g}; this value is now their weight')
    if 'auxiliary_head.2.conv_seg.weight' in weights:
        weights[FUSION_KERNEL] = torch.tensor([0.6, 0.3, 0.1]).reshape(1, 3, 1, 1)
        notes.append("the weights of the three border maps are not in such files; they are the release's 0.6, 0.3, 0.1")
    return notes


def _version(name: str, marks: tuple[str, ...], config: str) -> Source:
    return Source(
        name=f'MichaelFan01/STDC-Seg {name}',
        marks=('cp.backbone.features.', *marks),
        prefixes=(
            *_features(_DEPTHS[name]),
            *SHARED,
            *MLP,
            ('conv_out_sp8.conv.', 'auxiliary_head.2.conv.'),
            ('conv_out_sp8.conv_out.', 'auxiliary_head.2.conv_seg.'),
        ),
        config=f'stdc/{config}_seg50_3xb16-60k_cityscapes-512x1024.py',
        options=partial(stdc_options, context=True, detail=True),
        optional=(r'^conv_out(16|32|_sp8)\.', ),
        dropped=(
            (r'^cp\.backbone\.x(2|4|8|16|32)\.', "second names of the backbone's layers"),
            (r'^cp\.backbone\.(conv_last|fc|bn|linear)\.', "the backbone's ImageNet classifier, which is not run"),
            (r'^conv_out_sp(2|4|16)\.', 'border heads that are neither trained nor run'),
        ),
        refine=_refine)


STDC1 = _version('STDC1', (), 'stdc1')
STDC2 = _version('STDC2', ('cp.backbone.features.13.', ), 'stdc2')
