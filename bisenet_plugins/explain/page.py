"""One HTML page that shows what a network learnt; its pictures are in it, and it opens without a network.

Letters: H and W are the sides of a picture in pixels, K the number of classes.
"""

from __future__ import annotations

import base64
import html
import os
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from ..files import write_atomically
from ..metrics import Scores, confusion_matrix, score
from ..runtime.predictor import Predictor
from ..runtime.sources import UnreadableError, find_sources, read_image
from ..visualize import error_map, heat_map, overlay
from .gradcam import default_stages, grad_cam, has_grad_cam_package, network_input, one_pathway, segment

__all__ = ['find_pairs', 'write_page']

_STYLE = '''
:root { color-scheme: light dark; --ink: #1c1e21; --paper: #fff; --line: #d5d8dc; --bar: #3b7dd8; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e6e6; --paper: #17191c; --line: #3c4046; --bar: #6aa3ee; } }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper); margin: 2rem auto;
  max-width: 1180px; padding: 0 1rem; }
h2 { margin-top: 2.2rem; border-bottom: 1px solid var(--line); }
.row { display: flex; flex-wrap: wrap; gap: .5rem; margin: .6rem 0; }
figure { margin: 0; flex: 1 1 220px; max-width: 380px; }
figure img { width: 100%; display: block; }
figcaption { font-size: .8rem; overflow-wrap: anywhere; }
table { border-collapse: collapse; font-size: .8rem; }
.wide { overflow-x: auto; }
td, th { padding: .2rem .45rem; text-align: right; border: 1px solid var(--line); }
th[scope=row] { text-align: left; }
.bar { background: var(--bar); height: .8rem; min-width: 1px; }
.bars td { border: 0; }
.bars td.long { width: 26rem; text-align: left; }
.swatch { display: inline-block; width: .8rem; height: .8rem; margin: 0 .3rem 0 .8rem; border: 1px solid var(--line); }
'''


def find_pairs(
    inputs: Sequence[str], labels: str | os.PathLike[str] | None = None
) -> list[tuple[str, np.ndarray, np.ndarray | None]]:
    """Read pictures, and the label map of each.

    Args:
        inputs: Picture files, folders and patterns.
        labels: Folder with a PNG of class ids for each picture, under the same name; None where there are none.

    Returns:
        Name, BGR picture and label map (or None) of each.

    Raises:
        ValueError: If there is no picture, one cannot be read, or its label map is missing or of another size.
    """
    pairs: list[tuple[str, np.ndarray, np.ndarray | None]] = []
    for source in find_sources(list(inputs)):
        if source.kind != 'image':
            raise ValueError(f'{source} is no picture; pictures, folders of them or patterns are wanted')
        try:
            image = read_image(source.path)
        except UnreadableError as error:
            raise ValueError(str(error)) from error
        label = None
        if labels is not None:
            path = Path(labels) / f'{source.path.stem}.png'
            label = cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_UNCHANGED) if path.is_file() else None
            if label is None:
                raise ValueError(f'{source} has no label map: {path} is wanted, a PNG of class ids')
            if label.shape != image.shape[:2]:
                raise ValueError(f'{path} is {label.shape}, its picture {image.shape[:2]}; one id a pixel is wanted')
        pairs.append((source.path.name, image, label))
    if not pairs:
        raise ValueError('there is no picture to look at')
    return pairs


def write_page(
    predictor: Predictor,
    pairs: Sequence[tuple[str, np.ndarray, np.ndarray | None]],
    out: str | os.PathLike[str],
    title: str = 'What the network learnt',
    stages: Sequence[str] | None = None,
    classes: Sequence[str] | None = None,
    show: int = 6,
) -> Scores | None:
    """Write a page with pictures, errors, pathways, Grad-CAM, confusion matrix and IoU bars.

    Args:
        predictor: The network.
        pairs: As from :func:`find_pairs`; all of them are scored.
        out: The HTML file.
        title: Heading of the page.
        stages: Modules for Grad-CAM; None takes the backbone's maps and the aggregation.
        classes: Classes for Grad-CAM; None takes, in each picture, the commonest and the rarest (of at least half a
            percent of the pixels).
        show: How many pictures are shown, evenly spread over all.

    Returns:
        What the network reaches on the labelled pictures; None if none has labels.

    Raises:
        ValueError: If a class or a stage is unknown, or ``show`` is below one.
    """
    unknown = [name for name in classes or () if name not in predictor.classes]
    if unknown:
        raise ValueError(f'there is no class {unknown[0]!r}, the network knows {", ".join(predictor.classes)}')
    if show < 1:
        raise ValueError(f'show is {show}, one or more is wanted')
    count = len(predictor.classes)
    matrix = np.zeros((count, count), np.int64)
    masks = [segment(predictor, image) for _, image, _ in pairs]
    for mask, (_, _, label) in zip(masks, pairs):
        if label is not None:
            matrix += confusion_matrix(mask, label, count)
    scores = score(matrix) if matrix.any() else None
    chosen = np.unique(np.linspace(0, len(pairs) - 1, min(show, len(pairs))).round().astype(int))
    shown = [(*pairs[number], masks[number]) for number in chosen]
    head = f'{len(pairs)} pictures, {len(shown)} of them shown.'
    if scores is not None:
        head += f' Mean IoU {scores.miou:.2f} %, {scores.pixels:.2f} % of the labelled pixels right.'
    swatches = ''.join(
        f'<span><span class="swatch" style="background:rgb{tuple(predictor.palette[number].tolist())}"></span>'
        f'{html.escape(name)}</span>' for number, name in enumerate(predictor.classes))
    body = [
        f'<h1>{html.escape(title)}</h1><p>{head}</p><p>{swatches}</p>',
        _section('pictures', 'Pictures', 'Red: wrong. Black: not labelled.', _picture_rows(predictor, shown)),
        _section('pathways', 'Pathway by pathway', 'The class map when only one pathway says what is where: the '
                 "other one's map is replaced by its mean over the picture.", _pathway_rows(predictor, shown)),
        _section('grad-cam', 'Grad-CAM', 'Where each stage holds what speaks for the class, blue to red; all '
                 'blue: nothing in this stage does, taken by its mean gradient. Computed by '
                 + ('the package grad-cam.' if has_grad_cam_package() else "this project's own few lines."),
                 _grad_cam_rows(predictor, shown, stages, classes)),
        _section('confusion', 'Confusion matrix', 'In percent of the true class (row); columns are predictions.',
                 _confusion_table(matrix, predictor.classes) if scores else _NO_LABELS),
        _section('iou', 'IoU of each class', 'In percent.', _bars(scores, predictor.classes) if scores else _NO_LABELS),
    ]
    page = (f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>{html.escape(title)}</title>'
            f'<meta name="viewport" content="width=device-width"><style>{_STYLE}</style></head>\n'
            f'<body>{"".join(body)}</body></html>\n')
    write_atomically(out, page.encode())
    return scores


_NO_LABELS = '<p>The pictures have no labels.</p>'
_Shown = Sequence[tuple[str, np.ndarray, 'np.ndarray | None', np.ndarray]]


def _section(key: str, title: str, text: str, content: str) -> str:
    """Wrap a part of the page."""
    return f'<section id="{key}"><h2>{title}</h2><p>{text}</p>{content}</section>\n'


def _figure(image: np.ndarray, caption: str) -> str:
    """Put a picture into the page itself, at most 480 pixels wide."""
    if image.shape[1] > 480:
        image = cv2.resize(image, (480, round(480 * image.shape[0] / image.shape[1])), interpolation=cv2.INTER_AREA)
    _, encoded = cv2.imencode('.jpg', image, [cv2.IMWRITE_JPEG_QUALITY, 82])
    text, code = html.escape(caption), base64.b64encode(encoded.tobytes()).decode()
    return f'<figure><img alt="{text}" src="data:image/jpeg;base64,{code}"><figcaption>{text}</figcaption></figure>'


def _row(figures: Sequence[str]) -> str:
    """Set figures side by side."""
    return f'<div class="row">{"".join(figures)}</div>'


def _picture_rows(predictor: Predictor, shown: _Shown) -> str:
    """Picture, truth, prediction and errors."""
    rows = []
    for name, image, label, mask in shown:
        row = [_figure(image, name)]
        if label is not None:
            count = len(predictor.classes)
            truth = np.where(label < count, label, 255).astype(np.uint8)
            row.append(_figure(overlay(image, truth, predictor.palette), 'truth'))
            right = 100.0 * (mask == truth).sum() / max((truth != 255).sum(), 1)
            errors = _figure(error_map(image, mask, label, count), f'errors ({right:.1f} % right)')
        row.append(_figure(overlay(image, mask, predictor.palette), 'prediction'))
        rows.append(_row([*row, errors] if label is not None else row))
    return ''.join(rows)


def _pathway_rows(predictor: Predictor, shown: _Shown) -> str:
    """Detail alone, semantic alone, both."""
    rows = []
    try:
        for name, image, _, mask in shown:
            row = [_figure(image, name)]
            for kept in ('detail', 'semantic'):
                with one_pathway(predictor.model, kept):
                    alone = segment(predictor, image)
                share = 100.0 * (alone == mask).mean()
                row.append(_figure(overlay(image, alone, predictor.palette),
                                   f'{kept} pathway alone ({share:.1f} % as with both)'))
            rows.append(_row([*row, _figure(overlay(image, mask, predictor.palette), 'both, aggregated')]))
    except ValueError as error:
        return f'<p>Not shown: {html.escape(str(error))}.</p>'
    return ''.join(rows)


def _grad_cam_rows(
    predictor: Predictor, shown: _Shown, stages: Sequence[str] | None, classes: Sequence[str] | None
) -> str:
    """One row for each class of each picture, a picture for each stage."""
    rows = []
    for name, image, _, mask in shown:
        inputs = network_input(predictor, image)['inputs']
        names = list(stages) if stages else default_stages(predictor.model, inputs)
        found = np.bincount(mask.ravel(), minlength=len(predictor.classes))
        if classes:
            targets = [predictor.classes.index(one) for one in classes]
        else:
            seen = [number for number in np.argsort(found)[::-1] if found[number] >= 0.005 * mask.size]
            targets = list(dict.fromkeys((int(found.argmax()), int(seen[-1] if seen else found.argmax()))))
        for target in targets:
            label = predictor.classes[target]
            rows.append(f'<h3>{html.escape(f"{name}: {label}")}</h3>')
            if not found[target]:
                rows.append('<p>The network sees none here.</p>')
                continue
            heats = grad_cam(predictor.model, inputs, names, target)
            rows.append(_row([_figure(heat_map(image, heat), stage) for stage, heat in heats.items()]))
    return ''.join(rows)


def _confusion_table(matrix: np.ndarray, classes: Sequence[str]) -> str:
    """Rows of true classes, coloured by their share."""
    shares = 100.0 * matrix / np.maximum(matrix.sum(1, keepdims=True), 1)
    head = ''.join(f'<th scope="col">{html.escape(name)}</th>' for name in classes)
    rows = []
    for number, name in enumerate(classes):
        hues = ('59, 125, 216' if column == number else '216, 80, 59' for column in range(len(classes)))
        cells = ''.join(f'<td style="background:rgba({hue}, {share / 100:.2f})">{share:.1f}</td>'
                        for hue, share in zip(hues, shares[number]))
        rows.append(f'<tr><th scope="row">{html.escape(name)}</th>{cells}<td>{matrix[number].sum()}</td></tr>')
    rows.insert(0, f'<tr><th></th>{head}<th scope="col">pixels</th></tr>')
    return f'<div class="wide"><table>{"".join(rows)}</table></div>'


def _bars(scores: Scores, classes: Sequence[str]) -> str:
    """A bar for each class, and the mean."""
    rows = []
    for name, value in [*zip(classes, scores.iou), ('mean', scores.miou)]:
        text, width = ('not there', 0.0) if np.isnan(value) else (f'{value:.2f}', float(value))
        rows.append(f'<tr><th scope="row">{html.escape(name)}</th><td>{text}</td>'
                    f'<td class="long"><div class="bar" style="width:{width:.2f}%"></div></td></tr>')
    return f'<table class="bars">{"".join(rows)}</table>'
