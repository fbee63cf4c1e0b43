"""How mmseg's STDC networks name their weights, and how this package does.

Every name begins with exactly one of the prefixes below, or is the same on both sides. The networks are equal when ours
is built with ``ContextPath(upsample_mode='nearest', out_backbone_strides=(8,))``, ``detail_branch=None`` and
``FeatureFusion(reduction=4)``.
"""

from __future__ import annotations

import re

_PATH = 'backbone.semantic_branch'
_MODULES = 5  # modules in the longest stage, that of STDC2

# (theirs, ours)
PREFIXES: list[tuple[str, str]] = [
    ('backbone.backbone.stages.0.', f'{_PATH}.backbone.stem.0.'),
    ('backbone.backbone.stages.1.', f'{_PATH}.backbone.stem.1.'),
    *((f'backbone.backbone.stages.{stage + 2}.{module}.{theirs}.',
       f'{_PATH}.backbone.stages.{stage}.{module}.{ours}.')
      for stage in range(3) for module in range(_MODULES)
      for theirs, ours in (('layers', 'blocks'), ('downsample', 'downsample'))),
    ('backbone.arms.0.conv_layer.', f'{_PATH}.arm32.conv.'),
    ('backbone.arms.0.atten_conv_layer.1.', f'{_PATH}.arm32.attention.'),
    ('backbone.arms.1.conv_layer.', f'{_PATH}.arm16.conv.'),
    ('backbone.arms.1.atten_conv_layer.1.', f'{_PATH}.arm16.attention.'),
    ('backbone.convs.0.', f'{_PATH}.smooth16.'),
    ('backbone.convs.1.', f'{_PATH}.smooth8.'),
    ('backbone.conv_avg.', f'{_PATH}.global_context.'),
    ('backbone.ffm.conv0.', 'decode_head.aggregation.project.'),
    ('backbone.ffm.attention.1.', 'decode_head.aggregation.attention.0.'),
    ('backbone.ffm.attention.2.', 'decode_head.aggregation.attention.1.'),
    ('decode_head.convs.0.', 'decode_head.conv.'),
    ('auxiliary_head.2.convs.0.', 'auxiliary_head.2.conv.'),
    ('auxiliary_head.2.fusion_kernel', 'auxiliary_head.2.detail_target.fusion_kernel'),
]
# Regular expressions, applied in order: theirs to ours, and back.
RULES: list[tuple[str, str]] = [('^' + re.escape(theirs), ours) for theirs, ours in PREFIXES]
BACK_RULES: list[tuple[str, str]] = [('^' + re.escape(ours), theirs) for theirs, ours in PREFIXES]
# Theirs without a counterpart: a constant.
DROP: list[str] = [r'^auxiliary_head\.2\.laplacian_kernel$']
# Their border classifier has a channel "no border" and a channel "border"; ours is the second one.
ROWS: dict[str, int] = {r'^auxiliary_head\.2\.conv_seg\.(weight|bias)$': 1}
