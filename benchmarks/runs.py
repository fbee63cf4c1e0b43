"""Benchmarks of whole ways from a picture to its class map.

Letters: H and W the sides of a picture in pixels.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch

from benchmarks.harness import Report, apart, interleave, peak_memory_mb, spread, synchronise
from benchmarks.subjects import Subject, open_subject
from bisenet_plugins.datasets.scenes.painter import paint_scene
from bisenet_plugins.runtime.sources import read_image
from bisenet_plugins.visualize import as_palette, overlay

__all__ = ['load_picture', 'run_scaling', 'run_subjects', 'subject_memory']

Spec = Mapping[str, Any]


def load_picture(path: str | None, size: tuple[int, int]) -> np.ndarray:
    """Read a picture, or paint a street scene, at a size.

    Args:
        path: The file; None paints.
        size: Height and width.

    Shape:
        - Output: ``(H, W, 3)`` uint8 BGR.
    """
    if path is None:
        small = (min(size[0], 512), min(size[1], 1024))
        image = np.ascontiguousarray(paint_scene(small, 0, 0)[0][..., ::-1])
    else:
        image = read_image(Path(path))
    if image.shape[:2] != size:
        image = cv2.resize(image, (size[1], size[0]), interpolation=cv2.INTER_CUBIC)
    return image


def run_subjects(
    specs: Sequence[Spec], picture: np.ndarray, iterations: int, warmup: int = 3, device: str = 'cpu',
    memory: bool = True, read_from: str | None = None, suffix: str = '.png'
) -> tuple[Report, dict[str, Subject]]:
    """Time several subjects in turn: the whole way, then the same way stage by stage.

    Args:
        specs: Arguments of :func:`~benchmarks.subjects.open_subject`; the first is the one
            that the others are compared with.
        picture: ``(H, W, 3)`` uint8 BGR.
        iterations: Rounds that count.
        warmup: Rounds that do not.
        device: Where configs run.
        memory: Whether each subject's peak memory is taken in a process of its own.
        read_from: File that each round of the stages reads and decodes; None decodes from memory.
        suffix: Format in which the picture is held in memory.

    Returns:
        The figures, and the subjects for further checks.

    Raises:
        ValueError: If two subjects have one name.

    Note:
        ``ms`` is from a decoded picture to its class map, which is what mmseg's ``inference_model`` does with an
        array. Decoding and drawing are in ``stages_ms`` only.
    """
    names = [spec['name'] for spec in specs]
    if len(set(names)) < len(names):
        raise ValueError(f'subjects are named {names}, each wants a name of its own (NAME=PATH)')
    subjects = {spec['name']: open_subject(**{'device': device, **spec}) for spec in specs}
    calls = {name: _bind(subject, picture) for name, subject in subjects.items()}
    states = {name: subject.memory for name, subject in subjects.items()}
    times = interleave(calls, iterations, warmup, device, states)
    encoded = cv2.imencode(suffix, picture)[1]
    rounds = max(1, min(iterations, 50))
    staged: dict[str, list[dict[str, float]]] = {name: [] for name in names}
    for _ in range(rounds):
        for name, subject in subjects.items():
            subject.memory()
            calls[name]()
            staged[name].append(_stages_once(subject, encoded, read_from, device))
    report = Report('subjects', settings=dict(
        picture=list(picture.shape[:2]), iterations=iterations, warmup=warmup, batch=1, decoded_from=suffix,
        file_read_in_decode_stage=read_from is not None, file_read_in_ms=False))
    for name, subject in subjects.items():
        row: dict[str, Any] = dict(
            name=name, ms=spread(times[name]), precision=subject.precision, gmacs=subject.gmacs,
            stages_ms={stage: spread([one[stage] for one in staged[name]]) for stage in staged[name][0]})
        if memory:
            row.update(apart(subject_memory, {'device': device, **dict(specs[names.index(name)])}, picture.shape[:2]))
        report.rows.append(row)
    report.compare(times, names[0])
    return report, subjects


def _bind(subject: Subject, picture: np.ndarray) -> Any:
    return lambda: subject.whole(picture)


def _stages_once(subject: Subject, encoded: np.ndarray, path: str | None, device: str) -> dict[str, float]:
    """Take a picture through all stages, and time each."""
    seconds: dict[str, float] = {}
    last = time.perf_counter()

    def lap(name: str) -> None:
        nonlocal last
        synchronise(device)
        now = time.perf_counter()
        seconds[name] = now - last
        last = now

    content = encoded if path is None else np.fromfile(path, np.uint8)
    image: Any = cv2.imdecode(content, cv2.IMREAD_COLOR)
    lap('decode')
    value: Any = image
    with torch.inference_mode():
        for name, stage in subject.stages.items():
            value = stage(value)
            lap(name)
    palette = as_palette(None, 256)
    last = time.perf_counter()
    if value.shape == image.shape[:2]:
        overlay(image, value.astype(np.uint8, copy=False), palette)
        lap('overlay')
    return seconds


def subject_memory(spec: Spec, size: tuple[int, int]) -> dict[str, float]:
    """Predict a few times in this process, and say how its memory grew.

    Args:
        spec: Arguments of :func:`~benchmarks.subjects.open_subject`.
        size: Height and width of the picture.

    Returns:
        Peak memory in MiB after loading and after predicting.
    """
    subject = open_subject(**spec)
    picture = load_picture(None, (size[0], size[1]))
    device = spec.get('device', 'cpu')
    loaded = peak_memory_mb(device)
    for _ in range(3):
        subject.whole(picture)
    return dict(loaded_memory_mb=loaded, peak_memory_mb=peak_memory_mb(device))


def run_scaling(
    spec: Spec, sizes: Sequence[tuple[int, int]], iterations: int, picture: str | None = None, device: str = 'cpu'
) -> Report:
    """Time one network, without resizing the picture, at several sizes, and fit how each stage's time grows.

    Args:
        spec: As for :func:`run_subjects`.
        sizes: Heights and widths.
        iterations: Rounds at each size; two more warm up.
        picture: File that is scaled to every size; None paints one.
        device: Where the network runs.

    Returns:
        The figures; ``checks.exponents`` has the slope of log time over log pixels of every stage and of the whole.

    Raises:
        ValueError: If there are fewer than two sizes.
    """
    if len(sizes) < 2:
        raise ValueError(f'{len(sizes)} sizes are given, two or more are wanted')
    report = Report('scaling', settings=dict(sizes=[list(size) for size in sizes], iterations=iterations, batch=1))
    subject = open_subject(**{'device': device, 'native': True, **spec})
    medians: dict[str, list[float]] = {}
    subject.memory()
    for size in sizes:
        image = load_picture(picture, size)
        times = interleave({'whole': _bind(subject, image)}, iterations, 2, device)['whole']
        encoded = cv2.imencode('.jpg', image)[1]
        staged = [_stages_once(subject, encoded, None, device) for _ in range(iterations)]
        stages = {stage: spread([one[stage] for one in staged]) for stage in staged[0]}
        report.rows.append(dict(name=f'{size[0]} x {size[1]}', ms=spread(times), stages_ms=stages,
                                megapixels=round(size[0] * size[1] / 1e6, 3)))
        for stage, values in (*stages.items(), ('whole', spread(times))):
            medians.setdefault(stage, []).append(values['p50'])
    pixels = np.log([float(height * width) for height, width in sizes])
    report.checks['exponents'] = {
        stage: round(float(np.polyfit(pixels, np.log(values), 1)[0]), 3) for stage, values in medians.items()}
    return report
