"""mmseg's BiSeNet V2 and ours with the same weights: the pair that comparisons are made with."""

from __future__ import annotations

import copy
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from mmengine.config import Config
from mmseg.registry import MODELS
from mmseg.utils import register_all_modules
from torch import Tensor, nn

from benchmarks.harness import Report
from benchmarks.runs import run_subjects
from bisenet_plugins.metrics import confusion_matrix, labelled_pictures, score
from bisenet_plugins.weights.convert import read_weights, to_ours

__all__ = ['pair_configs', 'pair_weights', 'run_pipeline', 'write_pair']

_CLASSIFIER = 'decode_head.conv_seg'
BOOSTERS = {'stage2': (16, 16), 'stage3': (32, 64), 'stage4': (64, 256), 'stage5': (128, 1024)}


def pair_configs(
    size: tuple[int, int] = (512, 1024), head_channels: int = 1024, classes: int = 19, ohem: bool = False
) -> dict[str, Config]:
    """Write mmseg's BiSeNet V2 as its Cityscapes configs have it, and the same network of our parts.

    Args:
        size: Height and width at which the networks see a picture.
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
        type='BilateralSegmentor', num_classes=classes, norm_cfg=norm, channels_last=True, recompute_norms=True,
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


def pair_weights(configs: dict[str, Config], picture: np.ndarray) -> dict[str, dict[str, Tensor]]:
    """Give both networks the same random weights, with batch norm statistics of a picture.

    Args:
        configs: As from :func:`pair_configs`.
        picture: ``(H, W, 3)`` uint8 BGR.
    """
    register_all_modules(init_default_scope=True)
    torch.manual_seed(0)
    model: Any = MODELS.build(configs['mmseg'].model)
    halves = [cv2.resize(half, (512, 256)) for half in (picture, picture[:, ::-1])]
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
    """Leave the auxiliary heads out, which take no part in prediction."""
    cfg.model.pop('auxiliary_head')
    return cfg


def write_pair(
    folder: str | os.PathLike[str], picture: np.ndarray, size: tuple[int, int], width: int, weights: str | None = None,
    classes: int | None = None
) -> dict[str, Path]:
    """Write config and weights of both networks, without auxiliary heads, where they are not there already.

    Args:
        folder: Where they go.
        picture: ``(H, W, 3)`` uint8 BGR, for batch norm statistics of random weights.
        size: Height and width at which the networks see a picture.
        width: Width of the main head.
        weights: Checkpoint of mmseg's BiSeNet V2 to take in place of random weights. For a narrower head, the channels
            of its head that matter most are kept, and its classifier is fitted to the wide one's scores on the picture.
        classes: Number of classes; where the checkpoint has fewer, the further ones are copies of its first ones with
            scores lower by two, so that they cost what classes cost and never win. None is the checkpoint's, or 19.

    Returns:
        The config of each; its weights lie beside it.
    """
    paths = {name: Path(folder) / f'{name}-{width}.py' for name in ('mmseg', 'ours')}
    if all(path.is_file() and path.with_suffix('.pth').is_file() for path in paths.values()):
        return paths
    if weights is None:
        configs = {name: _deployed(cfg) for name, cfg in pair_configs(size, width, classes or 19).items()}
        states = pair_weights(configs, picture)
    else:
        given = _with_classes(read_weights(weights)[0], classes or 0)
        given = {name: value for name, value in given.items() if not name.startswith('auxiliary_head')}
        given = _narrowed(given, width, picture, size)
        states = dict(mmseg=given, ours=to_ours(given).weights)
        pair = pair_configs(size, width, len(given[f'{_CLASSIFIER}.bias']))
        configs = {name: _deployed(cfg) for name, cfg in pair.items()}
    Path(folder).mkdir(parents=True, exist_ok=True)
    for name, cfg in configs.items():
        cfg.dump(str(paths[name]))
        torch.save(dict(state_dict=states[name]), paths[name].with_suffix('.pth'))
    return paths


def _with_classes(weights: dict[str, Tensor], classes: int) -> dict[str, Tensor]:
    """Add classes to the classifier that never win."""
    weight, bias = (weights[f'{_CLASSIFIER}.{name}'] for name in ('weight', 'bias'))
    copied = torch.arange(max(classes - len(bias), 0)) % len(bias)
    return {**weights, f'{_CLASSIFIER}.weight': torch.cat([weight, weight[copied]]),
            f'{_CLASSIFIER}.bias': torch.cat([bias, bias[copied] - 2])}


def _narrowed(
    weights: dict[str, Tensor], width: int, picture: np.ndarray, size: tuple[int, int]
) -> dict[str, Tensor]:
    """Keep the head's channels that matter most on a picture, and fit the classifier to the scores of all."""
    wide, classes = weights[f'{_CLASSIFIER}.weight'].shape[1], len(weights[f'{_CLASSIFIER}.bias'])
    if width >= wide:
        return weights
    register_all_modules(init_default_scope=True)
    model: Any = MODELS.build(_deployed(pair_configs(size, wide, classes)['mmseg']).model).eval()
    model.load_state_dict(weights)
    image = torch.from_numpy(cv2.resize(picture, size[::-1]))[None].permute(0, 3, 1, 2)
    with torch.no_grad():
        maps = model.extract_feat(model.data_preprocessor(dict(inputs=list(image), data_samples=[]))['inputs'])
        features = model.decode_head._forward_feature(maps)  # (1, wide, h, w)
        scores = model.decode_head.conv_seg(features)[0].flatten(1).T  # (h * w, classes)
    flat = features[0].flatten(1)  # (wide, h * w)
    kept = (flat.std(1) * weights[f'{_CLASSIFIER}.weight'].flatten(1).norm(dim=0)).topk(width).indices
    known = torch.cat([flat[kept], torch.ones_like(flat[:1])]).T.double()
    fitted = torch.linalg.lstsq(known, scores.double(), driver='gelsd').solution.float()  # (width + 1, classes)
    narrow = {name: value[kept] if name.startswith('decode_head.convs.') and value.ndim else value
              for name, value in weights.items()}
    return {**narrow, f'{_CLASSIFIER}.weight': fitted[:-1].T[..., None, None].contiguous(),
            f'{_CLASSIFIER}.bias': fitted[-1].contiguous()}


def run_pipeline(
    folder: str | os.PathLike[str], picture: np.ndarray, iterations: int, size: tuple[int, int] = (512, 1024),
    narrow: bool = False, extra: list[dict[str, Any]] | None = None, device: str = 'cpu', memory: bool = True,
    weights: str | None = None, scored: dict[str, Any] | None = None, classes: int | None = None
) -> Report:
    """Time mmseg's ``inference_model`` and our ``Predictor`` with the same weights, from a picture to its class map.

    Args:
        folder: Where configs and weights of the networks are written, from which ``tools/deploy.py`` can go on; kept
            if they are there already.
        picture: ``(H, W, 3)`` uint8 BGR.
        iterations: Rounds that count.
        size: Height and width at which the networks see the picture.
        narrow: Also time ours with a main head 128 channels wide.
        extra: Further subjects, such as deployed folders.
        device: Where configs run.
        memory: Whether the peak memory of each is taken.
        weights: Checkpoint of mmseg's BiSeNet V2 to take in place of random weights.
        scored: Config of a dataset; the mIoU of both on it goes into ``checks``.
        classes: Number of classes, as for :func:`write_pair`.
    """
    specs: list[dict[str, Any]] = []
    for width in (1024, 128) if narrow else (1024,):
        for name, path in write_pair(folder, picture, size, width, weights, classes).items():
            if name == 'ours' or width == 1024:
                label = 'mmseg inference_model' if name == 'mmseg' else f'Predictor, head {width}'
                specs.append(dict(name=label, way=name, path=str(path), checkpoint=str(path.with_suffix('.pth'))))
                if name == 'mmseg':
                    specs.append(dict(specs[-1], name=f'{label}, memory kept', keep=True))
    report, subjects = run_subjects([*specs, *(extra or [])], picture, iterations, 2, device, memory)
    report.benchmark = 'pipeline'
    report.settings.update(network_size=list(size), weights='random' if weights is None else 'trained')
    theirs = subjects['mmseg inference_model'].whole(picture)
    ours = subjects['Predictor, head 1024'].whole(picture)
    report.checks = dict(agreement_with_mmseg=round(float((ours == theirs).mean()), 6),
                         classes_in_the_map=len(np.unique(theirs)))
    for spec in extra or []:
        share = float((subjects[spec['name']].whole(picture) == ours).mean())
        report.checks[f'agreement of {spec["name"]} with Predictor, head 1024'] = round(share, 6)
    stages = subjects['mmseg inference_model'].stages
    with torch.inference_mode():
        logits = stages['network'](stages['normalise'](stages['resize'](picture)))[0]
        once = nn.functional.interpolate(logits, picture.shape[:2], mode='bilinear', align_corners=False)
        two = once.topk(2, 1).values[0]
        near = ((two[0] - two[1]) <= 1e-4 * two.abs().amax(0).clamp(min=1)).cpu().numpy()
        differ = once.argmax(1)[0].cpu().numpy() != ours
    report.checks.update(pixels_that_differ_from_one_resize_and_argmax=int(differ.sum()),
                         of_these_no_ties_within_float_noise=int((differ & ~near).sum()))
    if scored is not None:
        ways = {name: subjects[name].whole for name in ('mmseg inference_model', 'Predictor, head 1024')}
        report.checks['scored'] = _scored(ways, scored, logits.shape[1])
    return report


def _scored(
    ways: dict[str, Callable[[np.ndarray], np.ndarray]], dataset: dict[str, Any], classes: int
) -> dict[str, Any]:
    """Score both ways on labelled pictures, and count the pixels on which they agree."""
    matrices = {name: np.zeros((classes, classes), np.int64) for name in ways}
    pictures = same = total = 0
    for picture, label in labelled_pictures(dataset):
        maps = {name: way(picture) for name, way in ways.items()}
        for name, found in maps.items():
            matrices[name] += confusion_matrix(found, label, classes)
        first, second = maps.values()
        pictures, same, total = pictures + 1, same + int((first == second).sum()), total + first.size
    return dict(pictures=pictures, same_pixels=round(same / max(total, 1), 6),
                mIoU={name: round(score(matrix).miou, 3) for name, matrix in matrices.items()})
