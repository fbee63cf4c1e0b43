"""How mmseg's BiSeNetV2 names its weights, and how this package does."""

from __future__ import annotations

from typing import Any

from ...errors import CheckpointError
from .sources import BOOSTERS, Source, Weights, same, v2_options

_DETAIL, _SEMANTIC, _JOIN = 'backbone.detail_branch', 'backbone.semantic_branch', 'decode_head.aggregation'


def _prefixes() -> list[tuple[str, str]]:
    pairs = [
        ('backbone.detail.detail_branch.', f'{_DETAIL}.stages.'),
        ('backbone.semantic.stage1.conv_first.', f'{_SEMANTIC}.stem.conv.'),
        ('backbone.semantic.stage1.convs.', f'{_SEMANTIC}.stem.left.'),
        ('backbone.semantic.stage1.fuse_last.', f'{_SEMANTIC}.stem.fuse.'),
        ('backbone.semantic.stage4_CEBlock.gap.1.', f'{_SEMANTIC}.context.norm.'),
        ('backbone.semantic.stage4_CEBlock.conv_gap.', f'{_SEMANTIC}.context.conv_pooled.'),
        ('backbone.semantic.stage4_CEBlock.conv_last.', f'{_SEMANTIC}.context.conv.'),
        ('backbone.bga.detail_dwconv.0.depthwise_conv.', f'{_JOIN}.detail_keep.0.'),
        ('backbone.bga.detail_dwconv.0.pointwise_conv.', f'{_JOIN}.detail_keep.1.'),
        ('backbone.bga.detail_down.0.', f'{_JOIN}.detail_down.0.'),
        ('backbone.bga.semantic_conv.0.', f'{_JOIN}.semantic_up.'),
        ('backbone.bga.semantic_dwconv.0.depthwise_conv.', f'{_JOIN}.semantic_keep.0.'),
        ('backbone.bga.semantic_dwconv.0.pointwise_conv.', f'{_JOIN}.semantic_keep.1.'),
        ('backbone.bga.conv.', f'{_JOIN}.fuse.'),
        ('decode_head.convs.0.', 'decode_head.conv.'),
        ('decode_head.conv_seg.', 'decode_head.conv_seg.'),
    ]
    for stage, depth in zip((2, 3, 4), (2, 2, 4)):
        for layer in range(depth):
            theirs, ours = f'backbone.semantic.stage{stage}.{layer}', f'{_SEMANTIC}.stages.{stage - 2}.{layer}'
            pairs += [
                (f'{theirs}.conv1.', f'{ours}.gather.'),
                (f'{theirs}.dwconv.', f'{ours}.depthwise.'),
                (f'{theirs}.conv2.0.', f'{ours}.project.'),
            ]
            if layer == 0:
                pairs += [
                    (f'{theirs}.shortcut.0.depthwise_conv.', f'{ours}.shortcut.0.'),
                    (f'{theirs}.shortcut.0.pointwise_conv.', f'{ours}.shortcut.1.'),
                ]
    heads = [f'auxiliary_head.{index}.{part}' for index in range(len(BOOSTERS)) for part in ('convs', 'conv_seg')]
    return [*pairs, *same(*heads)]


def _options(weights: Weights) -> dict[str, Any]:
    options = v2_options(weights, pointwise_bias=True)
    for index, name in enumerate(BOOSTERS):
        convs = {key.split('.')[3] for key in weights if key.startswith(f'auxiliary_head.{index}.convs.')}
        if convs:
            options[f'auxiliary_head.{name}.num_convs'] = len(convs)
    return options


def _restore(weights: Weights) -> list[str]:
    """Refuse the paper's form of the semantic branch, which mmseg's classes cannot build."""
    gather = weights[f'{_SEMANTIC}.stages.0.0.gather.conv.weight']
    if gather.shape[0] != gather.shape[1]:
        raise CheckpointError("expansion: expected 'depthwise', the only form of mmseg's BiSeNetV2, got 'conv'")
    return []


SOURCE = Source(
    name='mmseg BiSeNetV2',
    marks=('backbone.detail.detail_branch.', 'backbone.bga.'),
    prefixes=tuple(_prefixes()),
    config='bisenetv2/bisenetv2_bga-depthwise_4xb4-150k_cityscapes-512x1024.py',
    options=_options,
    our_marks=(f'{_DETAIL}.stages.', f'{_SEMANTIC}.stem.conv.', f'{_JOIN}.semantic_up.'),
    restore=_restore)
