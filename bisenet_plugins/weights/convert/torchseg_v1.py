"""How TorchSeg, the authors' release of BiSeNet V1, names its weights, and how this package does."""

from __future__ import annotations

from typing import Any

from .sources import BACKBONE, Source, Weights, fusion_options, head_options, resnet_options, spatial_options

_PATH = 'backbone.semantic_branch'
_MARKS = ('spatial_path.conv_7x7.', 'context_path.')
_LAYERS = tuple((f'context_path.layer{stage}.', f'{BACKBONE}.layer{stage}.') for stage in range(1, 5))
_PREFIXES = (
    ('spatial_path.conv_7x7.', 'backbone.detail_branch.layers.0.'),
    ('spatial_path.conv_3x3_1.', 'backbone.detail_branch.layers.1.'),
    ('spatial_path.conv_3x3_2.', 'backbone.detail_branch.layers.2.'),
    ('spatial_path.conv_1x1.', 'backbone.detail_branch.projection.'),
    ('global_context.1.', f'{_PATH}.global_context.'),
    ('arms.0.conv_3x3.', f'{_PATH}.arm32.conv.'),
    ('arms.0.channel_attention.1.', f'{_PATH}.arm32.attention.'),
    ('arms.1.conv_3x3.', f'{_PATH}.arm16.conv.'),
    ('arms.1.channel_attention.1.', f'{_PATH}.arm16.attention.'),
    ('refines.0.', f'{_PATH}.smooth16.'),
    ('refines.1.', f'{_PATH}.smooth8.'),
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


def _common_options(weights: Weights) -> dict[str, Any]:
    options = {
        **spatial_options(weights),
        **fusion_options(weights),
        'decode_head.aggregation.attention_act': False,
        f'{_PATH}.upsample_mode': 'bilinear',
        f'{_PATH}.align_corners': True,
        'decode_head.align_corners': True,
        **head_options(weights, 'context8', 'context16'),
    }
    for name in ('context8', 'context16'):
        if f'auxiliary_head.{name}.channels' in options:
            options[f'auxiliary_head.{name}.align_corners'] = True
    return options


def _resnet_options(weights: Weights) -> dict[str, Any]:
    return {**resnet_options(weights), **_common_options(weights)}


def _xception_options(weights: Weights) -> dict[str, Any]:
    return {f'{BACKBONE}.type': 'Xception39', **_common_options(weights)}


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
    options=_resnet_options,
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
    options=_resnet_options,
    optional=RESNET.optional)
XCEPTION = Source(
    name='TorchSeg BiSeNet V1 with Xception39',
    marks=(*_MARKS, 'context_path.layer1.0.proj.'),
    prefixes=(*_xception(), *_PREFIXES),
    config='bisenetv1/bisenetv1_x39_4xb4-80k_cityscapes-1024x1024.py',
    options=_xception_options,
    optional=RESNET.optional)
