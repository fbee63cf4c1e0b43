"""How mmseg's BiSeNetV1 names its weights, and how this package does.

Every name begins with exactly one of the prefixes below, or is the same on both sides. The networks are equal when ours
is built with ``SpatialPath(kernel_sizes=(7, 3, 3), projection_channels=...)``, ``ContextPath(upsample_mode='nearest')``
and ``FeatureFusion(attention='single', attention_norm=True, attention_act=True)``.
"""

from __future__ import annotations

import re

_SEMANTIC = 'backbone.semantic_branch'

# (theirs, ours)
PREFIXES: list[tuple[str, str]] = [
    ('backbone.spatial_path.layer1.', 'backbone.detail_branch.layers.0.'),
    ('backbone.spatial_path.layer2.', 'backbone.detail_branch.layers.1.'),
    ('backbone.spatial_path.layer3.', 'backbone.detail_branch.layers.2.'),
    ('backbone.spatial_path.layer4.', 'backbone.detail_branch.projection.'),
    ('backbone.context_path.backbone.', f'{_SEMANTIC}.backbone.'),
    ('backbone.context_path.arm16.conv_layer.', f'{_SEMANTIC}.arm16.conv.'),
    ('backbone.context_path.arm16.atten_conv_layer.1.', f'{_SEMANTIC}.arm16.attention.'),
    ('backbone.context_path.arm32.conv_layer.', f'{_SEMANTIC}.arm32.conv.'),
    ('backbone.context_path.arm32.atten_conv_layer.1.', f'{_SEMANTIC}.arm32.attention.'),
    ('backbone.context_path.gap_conv.1.', f'{_SEMANTIC}.global_context.'),
    ('backbone.context_path.conv_head32.', f'{_SEMANTIC}.smooth16.'),
    ('backbone.context_path.conv_head16.', f'{_SEMANTIC}.smooth8.'),
    ('backbone.ffm.conv1.', 'decode_head.aggregation.project.'),
    ('backbone.ffm.conv_atten.0.', 'decode_head.aggregation.attention.0.'),
    ('decode_head.convs.0.', 'decode_head.conv.'),
]
# Regular expressions, applied in order: theirs to ours, and back.
RULES: list[tuple[str, str]] = [('^' + re.escape(theirs), ours) for theirs, ours in PREFIXES]
BACK_RULES: list[tuple[str, str]] = [('^' + re.escape(ours), theirs) for theirs, ours in PREFIXES]
