"""How mmseg's STDC networks name their weights, and how this package does."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch

from .sources import BACKBONE, PATH, Source, Weights, fusion_options, head_options, same

_DEPTHS = dict(stdc1=(2, 2, 2), stdc2=(4, 5, 3))
_BORDER = 'auxiliary_head.2.conv_seg'
FUSION_KERNEL = 'auxiliary_head.2.detail_target.fusion_kernel'


def stdc_options(weights: Weights, context: bool, detail: bool | None = None) -> dict[str, Any]:
    """Return the options of an STDC-Seg.

    Args:
        weights: Weights under our names.
        context: ``align_corners`` of the auxiliary heads on the context path.
        detail: That of the border head; None leaves it open.
    """
    arch = 'stdc2' if f'{BACKBONE}.stages.0.2.blocks.0.conv.weight' in weights else 'stdc1'
    return {
        'backbone.detail_branch': None,
        f'{BACKBONE}.arch': arch,
        f'{PATH}.out_backbone_strides': (8, ),
        **fusion_options(weights),
        **head_options(weights, True, dict(context8=context, context16=context, detail=detail)),
    }


def _refine(weights: Weights) -> list[str]:
    """Keep the second of the border classifier's two channels, in place."""
    if weights.get(f'{_BORDER}.weight', torch.empty(0)).shape[0] != 2:
        return []
    for part in ('weight', 'bias'):
        weights[f'{_BORDER}.{part}'] = weights[f'{_BORDER}.{part}'][1:]
    return ["the border classifier keeps its channel 'border'; the other one, 'no border', has no counterpart"]


def _restore(weights: Weights) -> list[str]:
    """Restore the second channel of the border classifier, in place."""
    if f'{_BORDER}.weight' not in weights:
        return []
    for part in ('weight', 'bias'):
        border = weights[f'{_BORDER}.{part}']
        weights[f'{_BORDER}.{part}'] = torch.cat((-border, border))
    return ["the border classifier's channel 'no border' is the negative of 'border'"]


SOURCE = Source(
    name='mmseg STDC',
    marks=('backbone.backbone.stages.', 'backbone.arms.'),
    prefixes=(
        ('backbone.backbone.stages.0.', f'{BACKBONE}.stem.0.'),
        ('backbone.backbone.stages.1.', f'{BACKBONE}.stem.1.'),
        *((f'backbone.backbone.stages.{stage + 2}.{module}.{theirs}.', f'{BACKBONE}.stages.{stage}.{module}.{ours}.')
          for stage, depth in enumerate(_DEPTHS['stdc2']) for module in range(depth)
          for theirs, ours in (('layers', 'blocks'), ('downsample', 'downsample')) if ours == 'blocks' or not module),
        ('backbone.arms.0.conv_layer.', f'{PATH}.arm32.conv.'),
        ('backbone.arms.0.atten_conv_layer.1.', f'{PATH}.arm32.attention.'),
        ('backbone.arms.1.conv_layer.', f'{PATH}.arm16.conv.'),
        ('backbone.arms.1.atten_conv_layer.1.', f'{PATH}.arm16.attention.'),
        ('backbone.convs.0.', f'{PATH}.smooth16.'),
        ('backbone.convs.1.', f'{PATH}.smooth8.'),
        ('backbone.conv_avg.', f'{PATH}.global_context.'),
        ('backbone.ffm.conv0.', 'decode_head.aggregation.project.'),
        ('backbone.ffm.attention.1.', 'decode_head.aggregation.attention.0.'),
        ('backbone.ffm.attention.2.', 'decode_head.aggregation.attention.1.'),
        ('decode_head.convs.0.', 'decode_head.conv.'),
        ('auxiliary_head.2.convs.0.', 'auxiliary_head.2.conv.'),
        ('auxiliary_head.2.fusion_kernel', FUSION_KERNEL),
        *same('decode_head.conv_seg', 'auxiliary_head.0.convs.0', 'auxiliary_head.0.conv_seg',
              'auxiliary_head.1.convs.0', 'auxiliary_head.1.conv_seg', _BORDER),
    ),
    config='stdc/stdc1_seg50_3xb16-60k_cityscapes-512x1024.py',
    options=partial(stdc_options, context=False),
    optional=(r'^auxiliary_head\.', r'^backbone\.backbone\.stages\.[234]\.[2-9]\.'),
    dropped=((r'^auxiliary_head\.2\.laplacian_kernel$', 'a constant'), ),
    refine=_refine,
    our_marks=(f'{PATH}.arm32.', f'{BACKBONE}.stem.0.', 'decode_head.aggregation.project.'),
    restore=_restore,
    constants=(('auxiliary_head.2.', 'auxiliary_head.2.laplacian_kernel',
                torch.tensor([-1., -1, -1, -1, 8, -1, -1, -1, -1]).reshape(1, 1, 3, 3)), ))
