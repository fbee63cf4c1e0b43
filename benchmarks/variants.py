"""Variants of a config as rows of overrides: the rows of the papers' tables and other networks of each family.

A row holds what ``--cfg-options`` takes, so that mmseg's own training tool trains it, over one config.
"""

from __future__ import annotations

import copy
import json
import os
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mmengine.config import Config

__all__ = ['ABLATION_BASE', 'ABLATIONS', 'NETWORKS', 'Variant', 'apply_options', 'command_line']

ABLATION_BASE = 'bisenetv2/bisenetv2_bga_4xb4-150k_cityscapes-512x1024.py'
Options = dict[str, Any]


@dataclass(frozen=True)
class Variant:
    """One row of overrides.

    Args:
        what: What differs from the config, and where the paper has it.
        options: Values by dotted key, as ``--cfg-options`` takes them.
    """

    what: str
    options: Options


def _loss(*heads: str) -> Options:
    return {f'model.{head}.loss_decode.{key}': value for head in heads
            for key, value in (('type', 'CrossEntropyLoss'), ('avg_non_ignore', True))}


def _branch(**values: Any) -> Options:
    return {f'model.backbone.semantic_branch.{key}': value for key, value in values.items()}


def _other_branch(**values: Any) -> Options:
    return _branch(_delete_=True, **values)


def _width(alpha: float) -> Options:
    return {f'model.backbone.{branch}_branch.width_mult': alpha for branch in ('detail', 'semantic')}


def _alone(branch: str, in_index: int) -> Options:
    head = dict(_delete_=True, type='BoosterHead', channels=128, in_index=in_index)
    return {
        'model.backbone._delete_': True, 'model.backbone.type': branch,
        **{f'model.decode_head.{key}': value for key, value in head.items()},
        **_loss('decode_head'), 'model.auxiliary_head': None
    }


_STAGES = [f'auxiliary_head.stage{stage}' for stage in (2, 3, 4, 5)]
_PLAIN: Options = {**_loss('decode_head'), 'model.auxiliary_head': None}
_NO_OHEM = _loss('decode_head', *_STAGES)
_LARGE: Options = {**_width(2.0), 'model.backbone.semantic_branch.depth_mult': 3.0}


def _boosters(*without: int) -> Options:
    heads = [f'auxiliary_head.stage{stage}' for stage in (2, 3, 4, 5) if stage not in without]
    return {**_loss('decode_head', *heads), **{f'model.auxiliary_head.stage{stage}': None for stage in without}}


_STAGE_5_5: Options = {
    f'model.auxiliary_head.stage5_5.{key}': value
    for key, value in dict(type='BoosterHead', channels=128, in_index=5).items()
}

# Over ABLATION_BASE: the rows of the BiSeNet V2 paper's tables.
ABLATIONS: dict[str, Variant] = {
    'bga': Variant('the whole network: BGA, boosters, OHEM', {}),
    'detail-only': Variant('Table 2, the detail branch alone', _alone('DetailBranch', 0)),
    'semantic-only': Variant('Table 2, the semantic branch alone', _alone('SemanticBranch', -1)),
    'sum': Variant('Table 2, the two maps added', _PLAIN | {'model.decode_head.aggregation.type': 'SumAggregation'}),
    'concat': Variant('Table 2, the two maps stacked',
                      _PLAIN | {'model.decode_head.aggregation.type': 'ConcatAggregation'}),
    'bga-no-booster': Variant('Table 2, BGA without boosters and OHEM: the base of Tables 2 and 3', _PLAIN),
    'bga-no-ohem': Variant('Table 2, BGA and boosters without OHEM: plain cross entropy in every head', _NO_OHEM),
    'lambda-0.5': Variant('Table 3a, channel ratio lambda 1/2', _PLAIN | _branch(channel_ratio=0.5)),
    'lambda-0.125': Variant('Table 3a, channel ratio lambda 1/8', _PLAIN | _branch(channel_ratio=0.125)),
    'lambda-0.0625': Variant('Table 3a, channel ratio lambda 1/16', _PLAIN | _branch(channel_ratio=0.0625)),
    'no-glayer': Variant('Table 3b, the gathering convolution is 1x1 instead of 3x3',
                         _PLAIN | _branch(gather_kernel=1)),
    'no-ddwconv': Variant('Table 3b, one 5x5 depthwise convolution at stride 2 instead of two 3x3',
                          _PLAIN | _branch(double_depthwise=False)),
    'no-glayer-no-ddwconv': Variant('Table 3b, both', _PLAIN | _branch(gather_kernel=1, double_depthwise=False)),
    'epsilon-1': Variant('Table 3c, expansion ratio epsilon 1', _PLAIN | _branch(expand_ratio=1)),
    'epsilon-2': Variant('Table 3c, expansion ratio epsilon 2', _PLAIN | _branch(expand_ratio=2)),
    'epsilon-4': Variant('Table 3c, expansion ratio epsilon 4', _PLAIN | _branch(expand_ratio=4)),
    'epsilon-8': Variant('Table 3c, expansion ratio epsilon 8', _PLAIN | _branch(expand_ratio=8)),
    'booster-5': Variant('Table 4, a booster on stage 5_4', _boosters(2, 3, 4)),
    'booster-45': Variant('Table 4, boosters on stages 4 and 5_4', _boosters(2, 3)),
    'booster-345': Variant('Table 4, boosters on stages 3, 4 and 5_4', _boosters(2)),
    'booster-23455': Variant('Table 4, boosters on stages 2, 3, 4, 5_4 and 5_5',
                             _NO_OHEM | _STAGE_5_5 | _loss('auxiliary_head.stage5_5')),
    'alpha-1.25': Variant('Table 5, width alpha 1.25', _width(1.25)),
    'alpha-1.5': Variant('Table 5, width alpha 1.5', _width(1.5)),
    'alpha-1.75': Variant('Table 5, width alpha 1.75', _width(1.75)),
    'alpha-2.0': Variant('Table 5, width alpha 2', _width(2.0)),
    'depth-2': Variant('Table 5, depth d 2', _branch(depth_mult=2.0)),
    'depth-3': Variant('Table 5, depth d 3', _branch(depth_mult=3.0)),
    'depth-4': Variant('Table 5, depth d 4', _branch(depth_mult=4.0)),
    'large': Variant('Tables 5 and 7, V2-Large: alpha 2, d 3', _LARGE),
    'shufflenetv2': Variant(
        'Table 6, ShuffleNetV2 1.5x as semantic branch; needs mmpretrain',
        _other_branch(type='mmpretrain.ShuffleNetV2', widen_factor=1.5, out_indices=[0, 1, 2]) | {
            'model.auxiliary_head.stage2': None,
            **{f'model.auxiliary_head.stage{i + 2}.in_index': i for i in (1, 2, 3)}
        }),
    'mobilenetv2': Variant('Table 6, MobileNetV2 as semantic branch', _other_branch(type='MobileNetV2')),
    'resnet18': Variant('Table 6, ResNet-18 as semantic branch', _other_branch(type='ResNetV1c', depth=18)),
}

# Over any config of the folder: networks that share its recipes.
NETWORKS: dict[str, dict[str, Variant]] = dict(
    bisenetv2={
        'large': Variant('V2-Large: twice as wide, three times as deep', _LARGE),
        'depthwise': Variant("the form of published checkpoints: the depthwise convolution expands, a third of the "
                             "semantic branch's FLOPs", _branch(expansion='depthwise')),
        'mobilenetv2': ABLATIONS['mobilenetv2'],
        'resnet18': ABLATIONS['resnet18'],
        'stdc1': Variant('STDC1 as semantic branch', _other_branch(type='STDCBackbone', arch='stdc1')),
    },
    bisenetv1={
        'r101': Variant('ResNet-101', {'model.backbone.semantic_branch.backbone.depth': 101}),
        'x39': Variant('Xception39', {
            'model.backbone.semantic_branch.backbone._delete_': True,
            'model.backbone.semantic_branch.backbone.type': 'Xception39',
            'model.auxiliary_head.context8.channels': 128,
            'model.auxiliary_head.context16.channels': 128
        }),
    },
    stdc={'stdc2': Variant('STDC2', {'model.backbone.semantic_branch.backbone.arch': 'stdc2'})})


def apply_options(config: Config | str | os.PathLike[str], options: Mapping[str, Any]) -> Config:
    """Lay a row over a config.

    Args:
        config: A config or its file.
        options: Values by dotted key.

    Returns:
        The config with the row; the one that came in stays as it was.
    """
    cfg = copy.deepcopy(config) if isinstance(config, Config) else Config.fromfile(config)
    cfg.merge_from_dict(copy.deepcopy(dict(options)))  # merging takes _delete_ out
    return cfg


def command_line(options: Mapping[str, Any]) -> str:
    """Write a row as the arguments of ``--cfg-options``, quoted for a shell.

    Args:
        options: Values by dotted key.

    Example:
        >>> command_line({'model.auxiliary_head': None, 'model.backbone.out_indices': [0, 1]})
        "model.auxiliary_head=None 'model.backbone.out_indices=[0,1]'"
    """
    def word(value: Any) -> str:
        return json.dumps(value, separators=(',', ':')) if isinstance(value, list) else str(value)

    return ' '.join(shlex.quote(f'{key}={word(value)}') for key, value in options.items())
