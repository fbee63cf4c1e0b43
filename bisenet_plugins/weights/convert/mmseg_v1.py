"""How mmseg's BiSeNetV1 names its weights, and how this package does."""

from __future__ import annotations

from typing import Any

from .sources import Source, Weights, fusion_options, head_options, resnet_options, spatial_options

_SEMANTIC = 'backbone.semantic_branch'


def _options(weights: Weights) -> dict[str, Any]:
    heads = head_options(weights, 'context8', 'context16')
    return {
        **spatial_options(weights),
        **resnet_options(weights),
        **fusion_options(weights),
        'decode_head.aggregation.attention_act': True,
        f'{_SEMANTIC}.upsample_mode': 'nearest',
        'decode_head.align_corners': False,
        **heads,
        **{name.replace('.channels', '.align_corners'): False for name in heads if name.startswith('auxiliary_head.')},
    }


SOURCE = Source(
    name='mmseg BiSeNetV1',
    marks=('backbone.context_path.', 'backbone.spatial_path.layer1.'),
    prefixes=(
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
        *((f'{name}.', f'{name}.') for name in (
            'decode_head.conv_seg', 'auxiliary_head.0.convs.0', 'auxiliary_head.0.conv_seg',
            'auxiliary_head.1.convs.0', 'auxiliary_head.1.conv_seg')),
    ),
    config='bisenetv1/bisenetv1_r18_4xb4-80k_cityscapes-1024x1024.py',
    options=_options,
    our_marks=('backbone.detail_branch.layers.', f'{_SEMANTIC}.arm32.', 'decode_head.aggregation.project.'))
