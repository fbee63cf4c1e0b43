"""How CoinCheung/BiSeNet names the weights of its BiSeNet V1, and how this package does."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from ...errors import CheckpointError
from .sources import PATH, Source, Weights, add_zero_biases, v1_options

# Names that this project shares with STDC-Seg, which began as a copy of it.
SHARED = (
    *((f'cp.{arm}.conv.', f'{PATH}.{arm}.conv.') for arm in ('arm16', 'arm32')),
    *((f'cp.{arm}.conv_atten.', f'{PATH}.{arm}.attention.conv.') for arm in ('arm16', 'arm32')),
    *((f'cp.{arm}.bn_atten.', f'{PATH}.{arm}.attention.bn.') for arm in ('arm16', 'arm32')),
    ('cp.conv_head32.', f'{PATH}.smooth16.'),
    ('cp.conv_head16.', f'{PATH}.smooth8.'),
    ('cp.conv_avg.', f'{PATH}.global_context.'),
    ('ffm.convblk.', 'decode_head.aggregation.project.'),
    ('conv_out.conv.', 'decode_head.conv.'),
    ('conv_out.conv_out.', 'decode_head.conv_seg.'),
    ('conv_out16.conv.', 'auxiliary_head.0.convs.0.'),
    ('conv_out16.conv_out.', 'auxiliary_head.0.conv_seg.'),
    ('conv_out32.conv.', 'auxiliary_head.1.convs.0.'),
    ('conv_out32.conv_out.', 'auxiliary_head.1.conv_seg.'),
)
# The attention of the feature fusion: two layers, or, in the newer versions of CoinCheung/BiSeNet, one with norm.
MLP = (
    ('ffm.conv1.', 'decode_head.aggregation.attention.0.conv.'),
    ('ffm.conv2.', 'decode_head.aggregation.attention.1.conv.'),
)
SINGLE = (
    ('ffm.conv.', 'decode_head.aggregation.attention.0.conv.'),
    ('ffm.bn.', 'decode_head.aggregation.attention.0.bn.'),
)
_SPATIAL = (
    *((f'sp.conv{layer + 1}.', f'backbone.detail_branch.layers.{layer}.') for layer in range(3)),
    ('sp.conv_out.', 'backbone.detail_branch.projection.'),
)
_MARKS = ('cp.resnet.', 'sp.conv1.')


def _refine(weights: Weights) -> list[str]:
    """Refuse the versions that classify each pixel of a cell apart, where the heads differ in their rows."""
    rows = {name: value.shape[0] for name, value in weights.items() if name.endswith('conv_seg.weight')}
    if len(set(rows.values())) > 1:
        raise CheckpointError('heads: expected one output per class, got classifiers with '
                              f'{sorted(rows.values())}: these heads rearrange channels into pixels, which ours do not')
    return []


def _version(name: str, marks: tuple[str, ...], attention: tuple[tuple[str, str], ...],
             options: Callable[[Weights], dict[str, Any]] = v1_options,
             refine: Callable[[Weights], list[str]] = _refine) -> Source:
    return Source(
        name=name,
        marks=(*_MARKS, *marks),
        prefixes=(('cp.resnet.', f'{PATH}.backbone.'), *_SPATIAL, *SHARED, *attention),
        config='bisenetv1/bisenetv1_r18_4xb4-80k_cityscapes-1024x1024.py',
        options=options,
        optional=(r'^conv_out(16|32)\.', ),
        refine=refine)


SOURCE = _version('CoinCheung/BiSeNet V1', ('ffm.conv.', ), SINGLE)
TWO_LAYERS = _version('CoinCheung/BiSeNet V1 (two-layer attention)', ('ffm.conv1.', 'conv_out.conv_out.bias'), MLP)
# The first versions have classifiers without bias, and resize logits with aligned corners.
FIRST = _version('CoinCheung/BiSeNet V1 (classifiers without bias)', ('ffm.conv1.', ), MLP,
                 partial(v1_options, align_corners=True), add_zero_biases)
