"""How CoinCheung/BiSeNet names the weights of its BiSeNet V2, and how this package does.

Its upsampling inside the aggregation is by a fixed factor of four, so the two agree at sides that are multiples of 32;
at others only ours runs.
"""

from __future__ import annotations

from functools import partial

from .sources import Source, layers, v2_options

_DETAIL, _SEMANTIC, _JOIN = 'backbone.detail_branch', 'backbone.semantic_branch', 'decode_head.aggregation'


def _prefixes() -> list[tuple[str, str]]:
    pairs = [
        *((f'detail.S{stage + 1}.', f'{_DETAIL}.stages.{stage}.') for stage in range(3)),
        *((f'segment.S1S2.{part}.', f'{_SEMANTIC}.stem.{part}.') for part in ('conv', 'left', 'fuse')),
        ('segment.S5_5.bn.', f'{_SEMANTIC}.context.norm.'),
        ('segment.S5_5.conv_gap.', f'{_SEMANTIC}.context.conv_pooled.'),
        ('segment.S5_5.conv_last.', f'{_SEMANTIC}.context.conv.'),
        *layers('bga.left1.', f'{_JOIN}.detail_keep.0.'),
        ('bga.left1.2.', f'{_JOIN}.detail_keep.1.conv.'),
        *layers('bga.left2.', f'{_JOIN}.detail_down.0.'),
        *layers('bga.right1.', f'{_JOIN}.semantic_up.'),
        *layers('bga.right2.', f'{_JOIN}.semantic_keep.0.'),
        ('bga.right2.2.', f'{_JOIN}.semantic_keep.1.conv.'),
        *layers('bga.conv.', f'{_JOIN}.fuse.'),
        ('head.conv.', 'decode_head.conv.'),
    ]
    for stage, (name, depth) in enumerate((('S3', 2), ('S4', 2), ('S5_4', 4))):
        for layer in range(depth):
            theirs, ours = f'segment.{name}.{layer}.', f'{_SEMANTIC}.stages.{stage}.{layer}.'
            pairs += [(f'{theirs}conv1.', f'{ours}gather.'), *layers(f'{theirs}conv2.', f'{ours}project.')]
            if layer:
                pairs += layers(f'{theirs}dwconv.', f'{ours}depthwise.0.')
                continue
            pairs += [
                *layers(f'{theirs}dwconv1.', f'{ours}depthwise.0.'),
                *layers(f'{theirs}dwconv2.', f'{ours}depthwise.1.'),
                *layers(f'{theirs}shortcut.', f'{ours}shortcut.0.'),
                *layers(f'{theirs}shortcut.', f'{ours}shortcut.1.', '2', '3'),
            ]
    return pairs


_CONFIG = 'bisenetv2/bisenetv2_bga-depthwise_4xb4-150k_cityscapes-512x1024.py'
_OPTIONS = partial(v2_options, pointwise_bias=False, upsample_mode='nearest')
_MARKS = ('detail.S1.', 'segment.S1S2.')

SOURCE = Source(
    name='CoinCheung/BiSeNet V2',
    marks=_MARKS,
    prefixes=(*_prefixes(), ('head.conv_out.1.', 'decode_head.conv_seg.')),
    config=_CONFIG,
    options=_OPTIONS,
    dropped=((r'^aux(2|3|4|5_4)\.', 'auxiliary heads with an upsampling and a convolution that ours have not; they are '
              'not run at inference'), ))

# Its first versions, whose heads are all of the one form that ours have.
PLAIN_HEADS = Source(
    name='CoinCheung/BiSeNet V2 (plain heads)',
    marks=(*_MARKS, 'head.conv_out.weight'),
    prefixes=(
        *_prefixes(),
        ('head.conv_out.', 'decode_head.conv_seg.'),
        *((f'{theirs}.{part}.', f'auxiliary_head.{index}.{ours}.')
          for index, theirs in enumerate(('aux2', 'aux3', 'aux4', 'aux5_4'))
          for part, ours in (('conv', 'convs.0'), ('conv_out', 'conv_seg'))),
    ),
    config=_CONFIG,
    options=_OPTIONS,
    optional=(r'^aux(2|3|4|5_4)\.', ))
