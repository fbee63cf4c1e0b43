"""How TorchSeg, the authors' release of BiSeNet V1, names its weights, and how this package does."""

from __future__ import annotations

from functools import partial

from .sources import BACKBONE, PATH, Source, v1_options

_MARKS = ('spatial_path.conv_7x7.', 'context_path.')
_LAYERS = tuple((f'context_path.layer{stage}.', f'{BACKBONE}.layer{stage}.') for stage in range(1, 5))
_PREFIXES = (
    ('spatial_path.conv_7x7.', 'backbone.detail_branch.layers.0.'),
    ('spatial_path.conv_3x3_1.', 'backbone.detail_branch.layers.1.'),
    ('spatial_path.conv_3x3_2.', 'backbone.detail_branch.layers.2.'),
    ('spatial_path.conv_1x1.', 'backbone.detail_branch.projection.'),
    ('global_context.1.', f'{PATH}.global_context.'),
    ('arms.0.conv_3x3.', f'{PATH}.arm32.conv.'),
    ('arms.0.channel_attention.1.', f'{PATH}.arm32.attention.'),
    ('arms.1.conv_3x3.', f'{PATH}.arm16.conv.'),
    ('arms.1.channel_attention.1.', f'{PATH}.arm16.attention.'),
    ('refines.0.', f'{PATH}.smooth16.'),
    ('refines.1.', f'{PATH}.smooth8.'),
    ('ffm.conv_1x1.', 'decode_head.aggregation.project.'),
    ('ffm.channel_attention.1.', 'decode_head.aggregation.attention.0.'),
    ('ffm.channel_attention.2.', 'decode_head.aggregation.attention.1.'),
    ('heads.0.conv_3x3.', 'auxiliary_head.1.convs.0.'),
    ('heads.0.conv_1x1.', 'auxiliary_head.1.conv_seg.'),
    ('heads.1.conv_3x3.', 'auxiliary_head.0.convs.0.'),
    ('heads.1.conv_1x1.', 'auxiliary_head.0.conv_seg.'),
    ('heads.2.conv_3x3.', 'decode_head.conv.'),
    ('heads.2.conv_1x1.', 'decode_head.conv_seg.'),
)


def _xception() -> list[tuple[str, str]]:
    pairs = [('context_path.conv1.', f'{BACKBONE}.stem.0.')]
    for stage, depth in enumerate((4, 8, 4)):
        for block in range(depth):
            theirs, ours = f'context_path.layer{stage + 1}.{block}.', f'{BACKBONE}.stages.{stage}.{block}.'
            parts = [(f'residual_branch.{index}.', f'residual.{index}.') for index in range(3)]
            for their_part, our_part in parts if block else [*parts, ('proj.', 'shortcut.')]:
                pairs += [
                    (f'{theirs}{their_part}conv1.', f'{ours}{our_part}depthwise_conv.conv.'),
                    (f'{theirs}{their_part}point_wise_cbr.', f'{ours}{our_part}pointwise_conv.'),
                ]
    return pairs


_OPTIONS = partial(v1_options, align_corners=True, upsample_mode='bilinear')
RESNET = Source(
    name='TorchSeg BiSeNet V1 with ResNet',
    marks=(*_MARKS, 'context_path.layer4.'),
    prefixes=(
        ('context_path.conv1.', f'{BACKBONE}.conv1.'),
        ('context_path.bn1.', f'{BACKBONE}.bn1.'),
        *_LAYERS,
        *_PREFIXES,
    ),
    config='bisenetv1/bisenetv1_r18_4xb4-80k_cityscapes-1024x1024.py',
    options=_OPTIONS,
    optional=(r'^heads\.[01]\.', ))
# The deeper ResNets have three 3x3 convolutions in place of the 7x7 one.
DEEP_STEM = Source(
    name='TorchSeg BiSeNet V1 with ResNet (deep stem)',
    marks=(*RESNET.marks, 'context_path.conv1.0.'),
    prefixes=(
        *((f'context_path.conv1.{layer}.', f'{BACKBONE}.stem.{layer}.') for layer in (0, 1, 3, 4, 6)),
        ('context_path.bn1.', f'{BACKBONE}.stem.7.'),
        *_LAYERS,
        *_PREFIXES,
    ),
    config='bisenetv1/bisenetv1_r101_4xb4-80k_cityscapes-1024x1024.py',
    options=_OPTIONS,
    optional=RESNET.optional)
XCEPTION = Source(
    name='TorchSeg BiSeNet V1 with Xception39',
    marks=(*_MARKS, 'context_path.layer1.0.proj.'),
    prefixes=(*_xception(), *_PREFIXES),
    config='bisenetv1/bisenetv1_x39_4xb4-80k_cityscapes-1024x1024.py',
    options=_OPTIONS,
    optional=RESNET.optional)
