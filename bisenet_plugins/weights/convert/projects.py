"""The projects whose weights can be converted: their names, their options, and the values that differ.

``names.ini`` beside this file says which names correspond.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import torch

from ...errors import CheckpointError
from . import sources
from .sources import BACKBONE, PATH, Source, Weights, head_options, read_names, v1_options, v2_options

__all__ = ['SOURCES']

_R18 = 'bisenetv1/bisenetv1_r18_4xb4-80k_cityscapes-1024x1024.py'
_V2 = 'bisenetv2/bisenetv2_bga-depthwise_4xb4-150k_cityscapes-512x1024.py'
_BORDER = 'auxiliary_head.2.conv_seg'
_EPS = 1e-5

MMSEG_V1 = Source(
    name='mmseg BiSeNetV1', marks=('backbone.context_path.', 'backbone.spatial_path.layer1.'),
    prefixes=read_names('mmseg BiSeNetV1'), config=_R18, options=partial(v1_options, attention_act=True),
    our_marks=('backbone.detail_branch.layers.', f'{PATH}.arm32.', 'decode_head.aggregation.project.'))


def _mmseg_v2_options(weights: Weights) -> dict[str, Any]:
    options = v2_options(weights, pointwise_bias=True)
    for index, name in enumerate(sources.BOOSTERS):
        if convs := {key.split('.')[3] for key in weights if key.startswith(f'auxiliary_head.{index}.convs.')}:
            options[f'auxiliary_head.{name}.num_convs'] = len(convs)
    return options


def _refuse_paper_form(weights: Weights) -> list[str]:
    """Refuse the paper's form of the semantic branch, which mmseg's classes cannot build."""
    gather = weights[f'{PATH}.stages.0.0.gather.conv.weight']
    if gather.shape[0] != gather.shape[1]:
        raise CheckpointError("expansion: expected 'depthwise', the only form of mmseg's BiSeNetV2, got 'conv'")
    return []


MMSEG_V2 = Source(
    name='mmseg BiSeNetV2', marks=('backbone.detail.detail_branch.', 'backbone.bga.'),
    prefixes=read_names('mmseg BiSeNetV2'), config=_V2, options=_mmseg_v2_options,
    our_marks=('backbone.detail_branch.stages.', f'{PATH}.stem.conv.', 'decode_head.aggregation.semantic_up.'),
    restore=_refuse_paper_form)


def _stdc_options(weights: Weights, context: bool, detail: bool | None = None) -> dict[str, Any]:
    """Return the options of an STDC-Seg.

    Args:
        weights: Weights under our names.
        context: ``align_corners`` of the auxiliary heads on the context path.
        detail: That of the border head; None leaves it open.
    """
    arch = 'stdc2' if f'{BACKBONE}.stages.0.2.blocks.0.conv.weight' in weights else 'stdc1'
    return {'backbone.detail_branch': None, f'{BACKBONE}.arch': arch, f'{PATH}.out_backbone_strides': (8, ),
            **sources.fusion_options(weights),
            **head_options(weights, True, dict(context8=context, context16=context, detail=detail))}


def _keep_border(weights: Weights) -> list[str]:
    """Keep the second of the border classifier's two channels, in place."""
    if weights.get(f'{_BORDER}.weight', torch.empty(0)).shape[0] != 2:
        return []
    for part in ('weight', 'bias'):
        weights[f'{_BORDER}.{part}'] = weights[f'{_BORDER}.{part}'][1:]
    return ["the border classifier keeps its channel 'border'; the other one, 'no border', has no counterpart"]


def _restore_border(weights: Weights) -> list[str]:
    """Restore the second channel of the border classifier and the constant beside it, in place."""
    if f'{_BORDER}.weight' not in weights:
        return []
    for part in ('weight', 'bias'):
        border = weights[f'{_BORDER}.{part}']
        weights[f'{_BORDER}.{part}'] = torch.cat((-border, border))
    weights['auxiliary_head.2.laplacian_kernel'] = torch.tensor([-1., -1, -1, -1, 8, -1, -1, -1, -1]).view(1, 1, 3, 3)
    return ["the border classifier's channel 'no border' is the negative of 'border'"]


MMSEG_STDC = Source(
    name='mmseg STDC', marks=('backbone.backbone.stages.', 'backbone.arms.'), prefixes=read_names('mmseg STDC'),
    config='stdc/stdc1_seg50_3xb16-60k_cityscapes-512x1024.py', options=partial(_stdc_options, context=False),
    optional=(r'^auxiliary_head\.', r'^backbone\.backbone\.stages\.[234]\.[2-9]\.'),
    dropped=((r'^auxiliary_head\.2\.laplacian_kernel$', 'a constant'), ), refine=_keep_border,
    our_marks=(f'{PATH}.arm32.', f'{BACKBONE}.stem.0.', 'decode_head.aggregation.project.'),
    restore=_restore_border)


def _refuse_pixel_shuffle(weights: Weights) -> list[str]:
    """Refuse the versions that classify each pixel of a cell apart, where the heads differ in their rows."""
    rows = {name: value.shape[0] for name, value in weights.items() if name.endswith('conv_seg.weight')}
    if len(set(rows.values())) > 1:
        raise CheckpointError('heads: expected one output per class, got classifiers with '
                              f'{sorted(rows.values())}: these heads rearrange channels into pixels, which ours do not')
    return []


def _coincheung_v1(form: str, attention: str, marks: tuple[str, ...], **settings: Any) -> Source:
    return Source(**{**dict(
        name=f'CoinCheung/BiSeNet V1{form}', marks=('cp.resnet.', 'sp.conv1.', *marks),
        prefixes=read_names('CoinCheung/BiSeNet V1', 'CoinCheung/BiSeNet, context path and heads', attention),
        config=_R18, options=v1_options, optional=(r'^conv_out(16|32)\.', ), refine=_refuse_pixel_shuffle), **settings})


_ATTENTIONS = ('single attention', 'two-layer attention')
COINCHEUNG_V1 = (
    _coincheung_v1('', _ATTENTIONS[0], ('ffm.conv.', )),
    _coincheung_v1(' (two-layer attention)', _ATTENTIONS[1], ('ffm.conv1.', 'conv_out.conv_out.bias')),
    # The first versions have classifiers without bias, and resize logits with aligned corners.
    _coincheung_v1(' (classifiers without bias)', _ATTENTIONS[1], ('ffm.conv1.', ),
                   options=partial(v1_options, align_corners=True), refine=sources.add_zero_biases))


def _coincheung_v2(form: str, heads: str, marks: tuple[str, ...] = (), **settings: Any) -> Source:
    """Its upsampling inside the aggregation is by four, so the two agree at sides that are multiples of 32."""
    return Source(
        name=f'CoinCheung/BiSeNet V2{form}', marks=('detail.S1.', 'segment.S1S2.', *marks),
        prefixes=read_names('CoinCheung/BiSeNet V2', f'CoinCheung/BiSeNet V2, {heads}'), config=_V2,
        options=partial(v2_options, pointwise_bias=False, upsample_mode='nearest'), **settings)


_AUX = r'^aux(2|3|4|5_4)\.'
COINCHEUNG_V2 = (
    _coincheung_v2(' (plain heads)', 'plain heads', ('head.conv_out.weight', ), optional=(_AUX, )),
    _coincheung_v2('', 'heads', dropped=((_AUX, 'auxiliary heads with an upsampling and a convolution that ours have '
                                                'not; they are not run at inference'), )))


def _refine_stdc_seg(weights: Weights) -> list[str]:
    """Turn in-place batch norm, which scales by ``abs(weight) + eps``, into plain batch norm, in place.

    It is known by its missing counter of batches; the backbone has plain batch norm.
    """
    notes = sources.add_zero_biases(weights)
    norms = [name.removesuffix('running_var') for name in weights
             if name.endswith('.running_var') and not name.startswith(f'{BACKBONE}.')]
    scales = [f'{norm}weight' for norm in norms if f'{norm}{sources.NUM_BATCHES}' not in weights]
    for name in scales:
        weights[name] = weights[name].abs() + _EPS
    if scales:
        notes.append(f'{len(scales)} in-place batch norms scale by abs(weight) + {_EPS:g}; this is now their weight')
    if 'auxiliary_head.2.conv_seg.weight' in weights:
        weights['auxiliary_head.2.detail_target.fusion_kernel'] = torch.tensor([0.6, 0.3, 0.1]).reshape(1, 3, 1, 1)
        notes.append("the weights of the three border maps are not in such files; they are the release's 0.6, 0.3, 0.1")
    return notes


def _stdc_seg(name: str, *marks: str) -> Source:
    project = 'MichaelFan01/STDC-Seg'
    return Source(
        name=f'{project} {name}', marks=('cp.backbone.features.', *marks),
        prefixes=read_names(project, f'{project} {name}', 'CoinCheung/BiSeNet, context path and heads', _ATTENTIONS[1]),
        config=f'stdc/{name.lower()}_seg50_3xb16-60k_cityscapes-512x1024.py',
        options=partial(_stdc_options, context=True, detail=True),
        optional=(r'^conv_out(16|32|_sp8)\.', ),
        dropped=((r'^cp\.backbone\.x(2|4|8|16|32)\.', "second names of the backbone's layers"),
                 (r'^cp\.backbone\.(conv_last|fc|bn|linear)\.', "the backbone's ImageNet classifier, which is not run"),
                 (r'^conv_out_sp(2|4|16)\.', 'border heads that are neither trained nor run')),
        refine=_refine_stdc_seg)


def _stdc_imagenet(name: str, *marks: str) -> Source:
    """The backbone alone, under the names of :class:`STDCBackbone`, for its ``init_cfg``."""
    project, arch = 'MichaelFan01/STDC-Seg', name.lower()
    return Source(
        name=f'{project} {name}, ImageNet', marks=('features.2.conv_list.', *marks),
        prefixes=tuple((theirs.removeprefix('cp.backbone.'), ours.removeprefix(f'{BACKBONE}.'))
                       for theirs, ours in read_names(project, f'{project} {name}')
                       if theirs.startswith('cp.backbone.')),
        config='STDCBackbone', options=lambda weights: dict(arch=arch),
        dropped=((r'^(conv_last|fc|bn|linear|x(2|4|8|16|32))\.', 'the classifier and second names of layers'), ))


def _torchseg(form: str, config: str, marks: tuple[str, ...], *names: str) -> Source:
    """TorchSeg is the release of BiSeNet V1's authors."""
    return Source(
        name=f'TorchSeg BiSeNet V1 with {form}', marks=('spatial_path.conv_7x7.', 'context_path.', *marks),
        prefixes=read_names('TorchSeg', *(f'TorchSeg, {name}' for name in names)),
        config=f'bisenetv1/bisenetv1_{config}_4xb4-80k_cityscapes-1024x1024.py',
        options=partial(v1_options, align_corners=True, upsample_mode='bilinear'),
        optional=(r'^heads\.[01]\.', ))


# Where marks of one are among another's, the more particular one stands first.
SOURCES: tuple[Source, ...] = (
    MMSEG_V1, MMSEG_V2, MMSEG_STDC, *COINCHEUNG_V1, *COINCHEUNG_V2, _stdc_seg('STDC2', 'cp.backbone.features.13.'),
    _stdc_seg('STDC1'), _stdc_imagenet('STDC2', 'features.13.'), _stdc_imagenet('STDC1'),
    _torchseg('ResNet (deep stem)', 'r101', ('context_path.layer4.', 'context_path.conv1.0.'), 'ResNet', 'deep stem'),
    _torchseg('ResNet', 'r18', ('context_path.layer4.', ), 'ResNet', "ResNet's stem"),
    _torchseg('Xception39', 'x39', ('context_path.layer1.0.proj.', ), 'Xception39'))
