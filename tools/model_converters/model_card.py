"""The model card that goes with shipped weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from bisenet_plugins.metrics import Scores

__all__ = ['CARD_KEYS', 'log_table', 'model_card', 'recipe_of', 'score_table']

CARD_KEYS = ('summary', 'data', 'licence', 'recipe', 'seeds', 'log', 'limits')
"""What a command line may say about a network in its own words."""

_CAMVID = dict(
    data='CamVid (Cambridge-driving Labeled Video Database), the 11-class form at 480 x 360 in the layout of the '
    'SegNet tutorial: 367 training and 101 validation images. The 233 test images were not used.',
    licence='CamVid is for research use, CC BY-NC 4.0; cite Brostow, Fauqueur, Cipolla: Semantic object classes in '
    'video, 2008. The weights were made from these images: use them for research, not commercially.',
    limits='Trained on three drives through one town at day and dusk, from behind one windscreen; the validation '
    'images come from one of them. Other countries, night, rain, snow and other viewpoints are seen worse, and small '
    'classes (poles, signs, pedestrians) are often missed. Not for decisions on the road.',
)
_UNKNOWN = dict(
    data='Not stated.',
    licence='Not stated: the licence of the training data holds.',
    limits='Not stated.',
)


def recipe_of(cfg: Mapping[str, Any]) -> str:
    """Say in a few words how a config trains.

    Args:
        cfg: The config.

    Example:
        >>> recipe_of(dict(train_cfg=dict(max_iters=1500), train_dataloader=dict(batch_size=8)))
        'from random weights; 1500 iterations, batch 8'
    """
    loader = cfg.get('train_dataloader') or {}
    loop = cfg.get('train_cfg') or {}
    optimizer = dict((cfg.get('optim_wrapper') or {}).get('optimizer') or {})
    length = f'{loop["max_iters"]} iterations' if 'max_iters' in loop else f'{loop.get("max_epochs", "?")} epochs'
    told = [f'from random weights; {length}, batch {loader.get("batch_size", "?")}']
    if optimizer:
        kind = optimizer.pop('type')
        settings = ', '.join(f'{key} {value}' for key, value in optimizer.items())
        told.append(f'{kind} ({settings})')
    schedule = cfg.get('param_scheduler') or []
    for step in [schedule] if isinstance(schedule, Mapping) else schedule:
        inner = ', '.join(f'{key} {value}' for key, value in step.items() if key not in ('type', 'by_epoch'))
        told.append(f'{step["type"]} ({inner})')
    steps = [step for step in (loader.get('dataset') or {}).get('pipeline', ()) if isinstance(step['type'], str)]
    for step in steps:
        name = step['type'].rpartition('.')[2]
        if not name.startswith(('Load', 'Pack', 'Seed')):
            inner = ', '.join(f'{key} {value}' for key, value in step.items() if key != 'type')
            told.append(f'{name} ({inner})' if inner else name)
    return '; '.join(told)


def score_table(scores: Scores, classes: Sequence[str]) -> str:
    """Set out IoU and accuracy of every class in Markdown.

    Args:
        scores: As from :func:`bisenet_plugins.metrics.score`.
        classes: Names of the classes.
    """
    def number(value: float) -> str:
        return '-' if np.isnan(value) else f'{value:.2f}'

    rows = [f'| {name} | {number(iou)} | {number(accuracy)} |'
            for name, iou, accuracy in zip(classes, scores.iou, scores.accuracy)]
    mean = f'| **mean** | **{number(scores.miou)}** | {number(float(np.nanmean(scores.accuracy)))} |'
    return '\n'.join(['| class | IoU | accuracy |', '|---|---|---|', *rows, mean])


def log_table(history: Mapping[int, Mapping[str, float]]) -> str:
    """Set out loss and mIoU at every validation in Markdown.

    Args:
        history: Scalars by step, as from ``read_history``.

    Example:
        >>> print(log_table({1: dict(loss=2.0), 2: dict(loss=1.5), 3: dict(mIoU=40.0)}))
        | step | loss | val mIoU |
        |---|---|---|
        | 3 | 1.500 | 40.00 |
    """
    rows, loss = [], '-'
    for step, values in history.items():
        loss = f'{values["loss"]:.3f}' if 'loss' in values else loss
        if 'mIoU' in values:
            rows.append(f'| {step} | {loss} | {values["mIoU"]:.2f} |')
    return '\n'.join(['| step | loss | val mIoU |', '|---|---|---|', *rows])


def model_card(name: str, facts: Mapping[str, str], told: Mapping[str, str], camvid: bool) -> str:
    """Write a model card.

    Args:
        name: Name of the network.
        facts: What was measured or read: ``file``, ``network``, ``classes``, ``recipe``, ``seeds``, ``validation``,
            ``log`` and ``command``.
        told: Words of the user's own for any of ``CARD_KEYS``.
        camvid: Whether the network was trained on CamVid, whose licence is then stated.

    Example:
        >>> facts = dict.fromkeys(('file', 'network', 'classes', 'recipe', 'seeds', 'validation', 'log', 'command'), '')
        >>> print(model_card('small', facts, dict(seeds='0, 1'), True).splitlines()[0])
        # small
    """
    words = {**(_CAMVID if camvid else _UNKNOWN), **facts}
    words.update({key: text for key, text in told.items() if key != 'log'})
    log = '\n\n'.join(text for text in (told.get('log'), facts['log']) if text) or 'Not kept.'
    sections = dict(
        Use=f'```python\nimport bisenet_plugins\n\npredictor = bisenet_plugins.load_pretrained({name!r})\n'
        'mask = predictor(image)  # BGR (H, W, 3) uint8 -> (H, W) uint8 class ids\n```\n'
        f'or `bisenet predict PHOTO --pretrained {name}`.'
        + ' It knows streets as seen from a car, by day.' * camvid,
        File='\n\n'.join(text for text in (words['file'], facts.get('graphs')) if text),
        Network=f'{words["network"]}\n\nClasses: {words["classes"]}.',
        Data=words['data'],
        Licence=words['licence'],
        Recipe=f'{words["recipe"]}.\n\nSeed: {words["seeds"]}.\n\nExported by `{words["command"]}`.',
        Scores=words['validation'],
        Log=log,
        Limits=words['limits'],
    )
    head = f'# {name}\n\n{words.get("summary", "Semantic segmentation of street scenes.")}\n'
    return head + ''.join(f'\n## {title}\n{text}\n' for title, text in sections.items())
