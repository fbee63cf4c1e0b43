"""How mmseg's BiSeNetV2 names its weights, and how this package does.

Every name begins with exactly one of the prefixes below, or is the same on both sides. The networks are equal when ours
is built with ``SemanticBranch(expansion='depthwise')``, ``BilateralGuidedAggregation(out_act=True, pointwise_bias=True)``
and ``BoosterHead(num_convs=2)``.
"""

from __future__ import annotations

import re

_DETAIL, _SEMANTIC, _JOIN = 'backbone.detail_branch', 'backbone.semantic_branch', 'decode_head.aggregation'

# (theirs, ours)
PREFIXES: list[tuple[str, str]] = [
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
]
for _stage, _depth in zip((2, 3, 4), (2, 2, 4)):
    for _layer in range(_depth):
        _theirs = f'backbone.semantic.stage{_stage}.{_layer}'
        _ours = f'{_SEMANTIC}.stages.{_stage - 2}.{_layer}'
        PREFIXES += [
            (f'{_theirs}.conv1.', f'{_ours}.gather.'),
            (f'{_theirs}.dwconv.', f'{_ours}.depthwise.'),
            (f'{_theirs}.conv2.0.', f'{_ours}.project.'),
            (f'{_theirs}.shortcut.0.depthwise_conv.', f'{_ours}.shortcut.0.'),
            (f'{_theirs}.shortcut.0.pointwise_conv.', f'{_ours}.shortcut.1.'),
        ]
# Regular expressions, applied in order: theirs to ours, and back.
RULES: list[tuple[str, str]] = [('^' + re.escape(theirs), ours) for theirs, ours in PREFIXES]
BACK_RULES: list[tuple[str, str]] = [('^' + re.escape(ours), theirs) for theirs, ours in PREFIXES]
