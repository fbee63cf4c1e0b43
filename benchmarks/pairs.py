"""mmseg's BiSeNet V2 and ours with the same weights: the pair that ``speed`` and ``train_step`` compare."""

from __future__ import annotations

import copy
import os
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from mmengine.config import Config
from mmseg.registry import MODELS
from mmseg.utils import register_all_modules
from torch import Tensor, nn

from bisenet_plugins.weights.convert import read_weights, to_ours

__all__ = ['pair_configs', 'pair_weights', 'with_classes', 'write_pair']

_CLASSIFIER = 'decode_head.conv_seg'
BOOSTERS = {'stage2': (16, 16), 'stage3': (32, 64), 'stage4': (64, 256), 'stage5': (128, 1024)}


def pair_configs(
    size: tuple[int, int] = (512, 1024), head_channels: int = 1024, classes: int = 19, ohem: bool = False
) -> dict[str, Config]:
    """Return mmseg's BiSeNet V2 as its Cityscapes configs have it, and the same network of our parts.

    Args:
        size: Height and width at which the networks see an image.
        head_channels: Width of the main head; mmseg's is 1024.
        classes: Number of classes.
        ohem: Whether the losses take hard pixels only.

    Returns:
        Configs by ``mmseg`` and ``ours``, with a model and a test pipeline.
    """
    norm: dict[str, Any] = dict(type='BN')
    shared = dict(data_preprocessor=dict(
        type='SegDataPreProcessor', mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375], bgr_to_rgb=True,
        pad_val=0, seg_pad_val=255, size=size, test_cfg=dict(size_divisor=1)), train_cfg=dict(),
        test_cfg=dict(mode='whole'))
    their_head: dict[str, Any] = dict(
        type='FCNHead', num_classes=classes, norm_cfg=norm, align_corners=False, concat_input=False,
        loss_decode=dict(type='CrossEntropyLoss', use_sigmoid=False, loss_weight=1.0))
    if ohem:
        kept = size[0] * size[1] // 16
        their_head['sampler'] = dict(type='OHEMPixelSampler', thresh=0.7, min_kept=kept)
    our_loss = dict(type='OhemCrossEntropyLoss', **({} if ohem else dict(threshold=1.0)))
    theirs = dict(
        type='EncoderDecoder', backbone=dict(type='BiSeNetV2', norm_cfg=norm), **shared,
        decode_head=dict(in_channels=128, in_index=0, channels=head_channels, num_convs=1, **their_head),
        auxiliary_head=[dict(in_channels=channels, in_index=index, channels=width, num_convs=2, **their_head)
                        for index, (channels, width) in enumerate(BOOSTERS.values(), 1)])
    ours = dict(
        type='BilateralSegmentor', num_classes=classes, norm_cfg=norm,
        **shared,
        backbone=dict(type='BilateralNetwork', detail_branch=dict(type='DetailBranch'),
                      semantic_branch=dict(type='SemanticBranch', expansion='depthwise')),
        decode_head=dict(
            type='BGAHead', channels=head_channels, loss_decode=our_loss,
            aggregation=dict(type='BilateralGuidedAggregation', out_act=True, pointwise_bias=True)),
        auxiliary_head=[dict(type='BoosterHead', channels=width, in_index=index, num_convs=2, loss_decode=our_loss)
                        for index, (_, width) in enumerate(BOOSTERS.values(), 1)])
    steps = [dict(type='LoadImageFromFile'), dict(type='Resize', scale=size[::-1], keep_ratio=False),
             dict(type='PackSegInputs')]
    data = dict(type='CityscapesDataset', pipeline=steps)
    return {name: Config(copy.deepcopy(dict(
        default_scope='mmseg', model=model, test_pipeline=steps, test_dataloader=dict(dataset=data))))
        for name, model in dict(mmseg=theirs, ours=ours).items()}


def pair_weights(configs: dict[str, Config], image: np.ndarray) -> dict[str, dict[str, Tensor]]:
    """Return the same random weights for both networks, with batch norm statistics of an image.

    Args:
        configs: As from :func:`pair_configs`.
        image: ``(H, W, 3)`` uint8 BGR.
    """
    register_all_modules(init_default_scope=True)
    torch.manual_seed(0)
    model: Any = MODELS.build(configs['mmseg'].model)
    halves = [cv2.resize(half, (512, 256)) for half in (image, image[:, ::-1])]
    batch = torch.from_numpy(np.stack(halves)).permute(0, 3, 1, 2).float().sub(110).div(58)
    for module in model.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.momentum = 1.0
    with torch.no_grad():
        maps = model.train().extract_feat(batch)
        for head in (model.decode_head, *(model.auxiliary_head if model.with_auxiliary_head else ())):
            head.forward(maps)
    nn.init.normal_(model.decode_head.conv_seg.weight, std=0.1)
    weights = {name: value.clone() for name, value in model.state_dict().items()}
    return dict(mmseg=weights, ours=to_ours(weights).weights)


def _deployed(cfg: Config) -> Config:
    """Remove the auxiliary heads, which do not run at inference."""
    cfg.model.pop('auxiliary_head')
    return cfg


def write_pair(
    folder: str | os.PathLike[str], image: np.ndarray, size: tuple[int, int], width: int, weights: str | None = None,
    classes: int | None = None
) -> dict[str, Path]:
    """Write config and weights of both networks, without auxiliary heads, unless they exist.

    Args:
        folder: Where they go.
        image: ``(H, W, 3)`` uint8 BGR, for batch norm statistics of random weights.
        size: Height and width at which the networks see an image.
        width: Width of the main head.
        weights: Checkpoint of mmseg's BiSeNet V2 in place of random weights. For a narrower head, the channels of its
            head that matter most are kept, and its classifier is fitted to the wide one's scores on the image.
        classes: Number of classes; where the checkpoint has fewer, the further ones are copies of its first ones with
            scores lower by two, which cost what classes cost and never win. None is the checkpoint's, or 19.

    Returns:
        The config of each; its weights lie beside it.
    """
    paths = {name: Path(folder) / f'{name}-{width}.py' for name in ('mmseg', 'ours')}
    if all(path.is_file() and path.with_suffix('.pth').is_file() for path in paths.values()):
        return paths
    if weights is None:
        configs = {name: _deployed(cfg) for name, cfg in pair_configs(size, width, classes or 19).items()}
        states = pair_weights(configs, image)
    else:
        given = with_classes(read_weights(weights)[0], classes or 0)
        given = {name: value for name, value in given.items() if not name.startswith('auxiliary_head')}
        given = _narrowed(given, width, image, size)
        states = dict(mmseg=given, ours=to_ours(given).weights)
        pair = pair_configs(size, width, len(given[f'{_CLASSIFIER}.bias']))
        configs = {name: _deployed(cfg) for name, cfg in pair.items()}
    Path(folder).mkdir(parents=True, exist_ok=True)
    for name, cfg in configs.items():
        cfg.dump(str(paths[name]))
        torch.save(dict(state_dict=states[name]), paths[name].with_suffix('.pth'))
    return paths


def with_classes(weights: dict[str, Tensor], classes: int) -> dict[str, Tensor]:
    """Change the classifier's number of classes.

    Args:
        weights: Weights of a segmentor.
        classes: So many at least; further ones are copies of the first with scores lower by two, which never win.
    """
    weight, bias = (weights[f'{_CLASSIFIER}.{name}'] for name in ('weight', 'bias'))
    copied = torch.arange(max(classes - len(bias), 0)) % len(bias)
    return {**weights, f'{_CLASSIFIER}.weight': torch.cat([weight, weight[copied]]),
            f'{_CLASSIFIER}.bias': torch.cat([bias, bias[copied] - 2])}


def _narrowed(
    weights: dict[str, Tensor], width: int, image: np.ndarray, size: tuple[int, int]
) -> dict[str, Tensor]:
    """Keep the head's channels that matter most on an image, and fit the classifier to the scores of all."""
    wide, classes = weights[f'{_CLASSIFIER}.weight'].shape[1], len(weights[f'{_CLASSIFIER}.bias'])
    if width >= wide:
        return weights
    register_all_modules(init_default_scope=True)
    model: Any = MODELS.build(_deployed(pair_configs(size, wide, classes)['mmseg']).model).eval()
    model.load_state_dict(weights)
    seen: list[Tensor] = []
    model.decode_head.conv_seg.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    batch = torch.from_numpy(cv2.resize(image, size[::-1]))[None].permute(0, 3, 1, 2)
    with torch.no_grad():
        inputs = model.data_preprocessor(dict(inputs=list(batch), data_samples=[]))['inputs']
        scores = model(inputs, mode='tensor')[0].flatten(1).T  # (h * w, classes)
    features = seen[0]  # (1, wide, h, w)
    flat = features[0].flatten(1)  # (wide, h * w)
    kept = (flat.std(1) * weights[f'{_CLASSIFIER}.weight'].flatten(1).norm(dim=0)).topk(width).indices
    known = torch.cat([flat[kept], torch.ones_like(flat[:1])]).T.double()
    fitted = torch.linalg.lstsq(known, scores.double(), driver='gelsd').solution.float()  # (width + 1, classes)
    narrow = {name: value[kept] if name.startswith('decode_head.convs.') and value.ndim else value
              for name, value in weights.items()}
    return {**narrow, f'{_CLASSIFIER}.weight': fitted[:-1].T[..., None, None].contiguous(),
            f'{_CLASSIFIER}.bias': fitted[-1].contiguous()}
