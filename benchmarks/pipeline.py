"""Time mmseg's ``inference_model`` and our ``Predictor`` with the same weights: ``python -m benchmarks.pipeline``."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.config import Config
from torch import nn

from benchmarks.candidates import HELP, parse_candidate, time_candidates
from benchmarks.harness import Report, load_image, options, parse, save
from benchmarks.pairs import write_pair
from benchmarks.plots import plot_speed
from bisenet_plugins.datasets.samples import dataset_samples
from bisenet_plugins.metrics import confusion_matrix, score

__all__ = ['main', 'time_pipeline']

THEIRS, OURS = 'mmseg inference_model', 'Predictor, head 1024'


def time_pipeline(
    folder: str | os.PathLike[str], image: np.ndarray, rounds: int, size: tuple[int, int] = (512, 1024),
    narrow: bool = False, extra: Sequence[Mapping[str, Any]] = (), device: str = 'cpu', memory: bool = True,
    weights: str | None = None, scored: dict[str, Any] | None = None, classes: int | None = None
) -> Report:
    """Time both from an image to its mask, and compare the masks.

    Args:
        folder: Where configs and weights of the networks are written, for ``tools/deploy.py`` to start from; existing
            ones are kept.
        image: ``(H, W, 3)`` uint8 BGR.
        rounds: Rounds that count.
        size: Height and width at which the networks see the image.
        narrow: Also time ours with a main head of 128 channels.
        extra: Further candidates, such as deployed folders.
        device: Where configs run.
        memory: Whether the peak memory of each is taken.
        weights: Checkpoint of mmseg's BiSeNet V2 in place of random weights.
        scored: Config of a dataset; the mIoU of both on it goes into ``checks``.
        classes: Number of classes, as for :func:`~benchmarks.pairs.write_pair`.
    """
    specs: list[dict[str, Any]] = []
    for width in (1024, 128) if narrow else (1024,):
        for name, path in write_pair(folder, image, size, width, weights, classes).items():
            if name == 'ours' or width == 1024:
                kind, label = ('mmseg', THEIRS) if name == 'mmseg' else ('torch', f'Predictor, head {width}')
                specs.append(dict(name=label, kind=kind, path=str(path), checkpoint=str(path.with_suffix('.pth'))))
    report, found = time_candidates('pipeline', [*specs, *extra], image, rounds, device, memory)
    report.settings.update(network_size=list(size), weights='random' if weights is None else 'trained')
    theirs, ours = found[THEIRS].whole(image), found[OURS].whole(image)
    report.checks = dict(agreement_with_mmseg=round(float((ours == theirs).mean()), 6),
                         classes_in_the_mask=len(np.unique(theirs)))
    for spec in extra:
        share = float((found[spec['name']].whole(image) == ours).mean())
        report.checks[f'agreement of {spec["name"]} with {OURS}'] = round(share, 6)
    with torch.inference_mode():
        logits = found[THEIRS].network_alone(image)()[0]
        once = nn.functional.interpolate(logits, image.shape[:2], mode='bilinear', align_corners=False)
        two = once.topk(2, 1).values[0]
        near = ((two[0] - two[1]) <= 1e-4 * two.abs().amax(0).clamp(min=1)).cpu().numpy()
        differ = once.argmax(1)[0].cpu().numpy() != ours
    report.checks.update(pixels_that_differ_from_one_resize_and_argmax=int(differ.sum()),
                         of_these_no_ties_up_to_rounding=int((differ & ~near).sum()))
    if scored is not None:
        report.checks['scored'] = _score({name: found[name].whole for name in (THEIRS, OURS)}, scored, logits.shape[1])
    return report


def _score(
    calls: Mapping[str, Callable[[np.ndarray], np.ndarray]], dataset: dict[str, Any], classes: int
) -> dict[str, Any]:
    """Score both on labelled images, and count the pixels on which they agree."""
    matrices = {name: np.zeros((classes, classes), np.int64) for name in calls}
    images = same = total = 0
    for sample in dataset_samples(dataset):
        masks = {name: call(sample.image) for name, call in calls.items()}
        for name, mask in masks.items():
            matrices[name] += confusion_matrix(mask, sample.label, classes)
        first, second = masks.values()
        images, same, total = images + 1, same + int((first == second).sum()), total + first.size
    return dict(images=images, same_pixels=round(same / max(total, 1), 6),
                mIoU={name: round(score(matrix).miou, 3) for name, matrix in matrices.items()})


def main(argv: Sequence[str] | None = None) -> None:
    parser = options("Time mmseg's inference_model and our Predictor with the same weights.", rounds=10, image=True)
    parser.add_argument('--folder', help='where configs and weights of the two networks are kept')
    parser.add_argument('--weights', help="checkpoint of mmseg's BiSeNet V2 (default: random weights)")
    parser.add_argument('--classes', type=int, help="number of classes (default: the checkpoint's, or 19)")
    parser.add_argument('--narrow', action='store_true', help='also ours with a main head of 128 channels')
    parser.add_argument('--scored', metavar='CONFIG', help='config on whose validation images both are scored')
    parser.add_argument('--extra', nargs='+', default=[], metavar='CANDIDATE', help=HELP)
    parser.add_argument('--size', nargs=2, type=int, default=(512, 1024), metavar=('H', 'W'),
                        help="size of the networks' input (default: 512 1024)")
    parser.add_argument('--no-memory', action='store_true', help='leave out peak memory, which takes a process each')
    args = parse(parser, argv)
    scored = dict(Config.fromfile(args.scored).val_dataloader.dataset) if args.scored else None
    try:
        extra = [parse_candidate(text) for text in args.extra]
    except ValueError as error:
        sys.exit(f'error: {error}')
    with tempfile.TemporaryDirectory() as folder:
        report = time_pipeline(
            args.folder or folder, load_image(args.image, tuple(args.image_size)), args.rounds, tuple(args.size),
            args.narrow, extra, args.device, not args.no_memory, args.weights, scored, args.classes)
    save(report, args.out, argv)
    if args.out:
        plot_speed([args.out], Path(args.out).with_suffix('.png'))


if __name__ == '__main__':
    main()
