"""How mmseg's BiSeNetV1 names its weights, and how this package does."""

from __future__ import annotations

from functools import partial

from .sources import PATH, Source, same, v1_options

SOURCE = Source(
    name='mmseg BiSeNetV1',
    marks=('backbone.context_path.', 'backbone.spatial_path.layer1.'),
    prefixes=(
        ('backbone.spatial_path.layer1.', 'backbone.detail_branch.layers.0.'),
        ('backbone.spatial_path.layer2.', 'backbone.detail_branch.layers.1.'),
        ('backbone.spatial_path.layer3.', 'backbone.detail_branch.layers.2.'),
        ('backbone.spatial_path.layer4.', 'backbone.detail_branch.projection.'),
        ('backbone.context_path.backbone.', f'{PATH}.backbone.'),
        ('backbone.context_path.arm16.conv_layer.', f'{PATH}.arm16.conv.'),
        ('backbone.context_path.arm16.atten_conv_layer.1.', f'{PATH}.arm16.attention.'),
        ('backbone.context_path.arm32.conv_layer.', f'{PATH}.arm32.conv.'),
        ('backbone.context_path.arm32.atten_conv_layer.1.', f'{PATH}.arm32.attention.'),
        ('backbone.context_path.gap_conv.1.', f'{PATH}.global_context.'),
        ('backbone.context_path.conv_head32.', f'{PATH}.smooth16.'),
        ('backbone.context_path.conv_head16.', f'{PATH}.smooth8.'),
        ('backbone.ffm.conv1.', 'decode_head.aggregation.project.'),
        ('backbone.ffm.conv_atten.0.', 'decode_head.aggregation.attention.0.'),
        ('decode_head.convs.0.', 'decode_head.conv.'),
        *same('decode_head.conv_seg', 'auxiliary_head.0.convs.0', 'auxiliary_head.0.conv_seg',
              'auxiliary_head.1.convs.0', 'auxiliary_head.1.conv_seg'),
    ),
    config='bisenetv1/bisenetv1_r18_4xb4-80k_cityscapes-1024x1024.py',
    options=partial(v1_options, attention_act=True),
    our_marks=('backbone.detail_branch.layers.', f'{PATH}.arm32.', 'decode_head.aggregation.project.'))
