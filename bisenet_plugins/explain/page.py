"""The report: one self-contained HTML page with masks, errors, pathways, Grad-CAM and scores.

Letters: H and W are the sides of an image in pixels, K the number of classes.
"""

from __future__ import annotations

import base64
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from jinja2 import Environment, PackageLoader

from ..datasets.samples import Sample, counted
from ..errors import InputError, expect
from ..files import write_atomically
from ..metrics import Scores, confusion_matrix, score
from ..runtime.backends.torch import Logits
from ..runtime.predictor import Predictor
from ..runtime.preprocess import Prepared
from ..visualize import apart, encode_image, error_map, heat_map, overlay
from .gradcam import default_stages, grad_cam, one_pathway

__all__ = ['write_page']

WIDEST_IMAGE = 480
LEAST_SHARE = 0.005
"""A class that covers less of an image is not chosen for Grad-CAM."""


@dataclass
class _Shown:
    """One image of the page."""

    name: str
    image: np.ndarray
    label: np.ndarray | None
    prepared: Prepared
    mask: np.ndarray


def write_page(predictor: Predictor, samples: Iterable[Sample], out: str | os.PathLike[str],
               title: str = 'What the network learnt', stages: Sequence[str] | None = None,
               classes: Sequence[str] | None = None, show: int = 6, failed: list[str] | None = None) -> Scores | None:
    """Write a page with masks, errors, pathways, Grad-CAM, confusion matrix and IoU bars.

    Args:
        predictor: The network, as a PyTorch model.
        samples: Images, with labels or without; all of them are scored.
        out: The HTML file.
        title: Heading of the page.
        stages: Modules for Grad-CAM; None takes the backbone's maps and the aggregation.
        classes: Classes for Grad-CAM; None takes, in each image, the most and the least frequent one (of at least half
            a percent of the pixels).
        show: How many images are shown, evenly spread over all.
        failed: Gets a sentence for each image or label that cannot be used, which is left out; None ends at the first.

    Returns:
        The scores on the labelled images; None if none has a label.

    Raises:
        InputError: If there is no image that can be used, a class or a stage is unknown, ``show`` is below one, or
            ``predictor`` is a deployed folder.
    """
    expect(predictor.model is not None, 'predictor', 'a network as config and weights', 'what an export wrote')
    unknown = [name for name in classes or () if name not in predictor.classes]
    expect(not unknown, 'classes', f'some of {", ".join(predictor.classes)}', unknown)
    expect(show >= 1, 'show', 'at least 1', show)
    count, total, step = len(predictor.classes), 0, 1
    matrix = np.zeros((count, count), np.int64)
    seen: list[_Shown] = []  # every step-th image, so that a whole dataset needs no more memory
    for sample in counted(samples, predictor.model):
        try:
            prepared = predictor.preprocess(sample.image)
            mask = _segment(predictor, prepared)
            if sample.label is not None:
                matrix += confusion_matrix(mask, sample.label, count, name=f'label of {sample.name}')
        except InputError as error:
            if failed is None:
                raise
            failed.append(f'{error}' if sample.name in str(error) else f'{sample.name}: {error}')
            continue
        seen += [_Shown(sample.name, sample.image, sample.label, prepared, mask)] if total % step == 0 else []
        total += 1
        if stages and total == 1:  # a wrong one is refused before a whole dataset is scored
            list(_heat_rows(predictor, seen[0], stages, None))
        if len(seen) > max(32, 2 * show):
            seen, step = seen[::2], 2 * step
    expect(bool(seen), 'samples', 'at least one image that can be used', (failed or [])[:3])
    scores = score(matrix) if matrix.any() else None
    shown = [seen[at] for at in np.unique(np.linspace(0, len(seen) - 1, min(show, len(seen))).round().astype(int))]
    shares = 100.0 * matrix / np.maximum(matrix.sum(1, keepdims=True), 1)
    templates = Environment(loader=PackageLoader('bisenet_plugins', 'explain'), autoescape=True)
    page = templates.get_template('page.html').render(
        title=title, total=total, shown=len(shown), scores=scores, classes=predictor.classes,
        legend=[(name, tuple(colour.tolist())) for name, colour in zip(predictor.classes, _colours(predictor))],
        images=[_image_row(predictor, sample) for sample in shown], pathways=_pathway_rows(predictor, shown),
        heats=[row for sample in shown for row in _heat_rows(predictor, sample, stages, classes)],
        confusion=zip(predictor.classes, shares.tolist(), matrix.sum(1).tolist()),
        bars=[*zip(predictor.classes, scores.iou.tolist()), ('mean', scores.miou)] if scores else [])
    write_atomically(out, page.encode())
    return scores


def _segment(predictor: Predictor, prepared: Prepared) -> np.ndarray:
    """Segment one image with the model itself, so that hooks on it count."""
    with torch.no_grad():
        logits = Logits(predictor.model)(torch.from_numpy(prepared.inputs).to(predictor.device))
    return predictor.mask(logits, prepared)


def _figure(image: np.ndarray, caption: str) -> dict[str, str]:
    """Encode an image for the page."""
    height, width = image.shape[:2]
    if width > WIDEST_IMAGE:
        size = (WIDEST_IMAGE, max(1, round(WIDEST_IMAGE * height / width)))
        image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    return dict(caption=caption, jpeg=base64.b64encode(encode_image(image, '.jpg', quality=82)).decode())


def _colours(predictor: Predictor) -> np.ndarray:
    return apart(predictor.palette, len(predictor.classes))


def _image_row(predictor: Predictor, sample: _Shown) -> list[dict[str, str]]:
    """Image, truth, prediction and errors."""
    row = [_figure(sample.image, sample.name)]
    prediction = _figure(overlay(sample.image, sample.mask, _colours(predictor)), 'prediction')
    if sample.label is None:
        return [*row, prediction]
    count = len(predictor.classes)
    truth = np.where(sample.label < count, sample.label, 255).astype(np.uint8)
    correct = 100.0 * (sample.mask == truth).sum() / max((truth != 255).sum(), 1)
    errors = error_map(sample.image, sample.mask, sample.label, count)
    return [*row, _figure(overlay(sample.image, truth, _colours(predictor)), 'truth'), prediction,
            _figure(errors, f'errors ({correct:.1f} % correct)')]


def _pathway_rows(predictor: Predictor, shown: Sequence[_Shown]) -> list[list[dict[str, str]]] | str:
    """Detail alone, semantic alone, both; or why there is nothing to show."""
    rows = []
    try:
        for sample in shown:
            row = [_figure(sample.image, sample.name)]
            for kept in ('detail', 'semantic'):
                with one_pathway(predictor.model, kept):
                    alone = _segment(predictor, sample.prepared)
                share = 100.0 * (alone == sample.mask).mean()
                row.append(_figure(overlay(sample.image, alone, _colours(predictor)),
                                   f'{kept} pathway alone ({share:.1f} % as with both)'))
            rows.append([*row, _figure(overlay(sample.image, sample.mask, _colours(predictor)), 'both, aggregated')])
    except InputError as error:
        return str(error)
    return rows


def _heat_rows(predictor: Predictor, sample: _Shown, stages: Sequence[str] | None,
               classes: Sequence[str] | None) -> Iterator[tuple[str, list[dict[str, str]]]]:
    """One row for each class, one figure for each stage; no figures for a class that is not predicted."""
    inputs = torch.from_numpy(sample.prepared.inputs).to(predictor.device)  # (1, C, h, w)
    names = list(stages) if stages else default_stages(predictor.model, inputs)
    pixels = np.bincount(sample.mask.ravel(), minlength=len(predictor.classes))
    if classes:
        targets = [predictor.classes.index(name) for name in classes]
    else:
        seen = [number for number in np.argsort(pixels)[::-1] if pixels[number] >= LEAST_SHARE * sample.mask.size]
        targets = list(dict.fromkeys(int(number) for number in (pixels.argmax(), *seen[-1:])))
    for target in targets:
        heats = grad_cam(predictor.model, inputs, names, target) if pixels[target] else {}
        yield (f'{sample.name}: {predictor.classes[target]}',
               [_figure(heat_map(sample.image, heat), stage) for stage, heat in heats.items()])
