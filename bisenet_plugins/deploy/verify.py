"""Compare artefacts with the PyTorch model they came from, on the same inputs, and time them in one run."""

from __future__ import annotations

import os
import platform
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import nn

from ..datasets.samples import Sample, labelled, load_samples
from ..errors import AgreementError, NoGpuError
from ..runtime.artifact import Artifact
from ..runtime.backends import Backend
from ..runtime.backends.onnxruntime import OnnxRuntimeBackend
from ..runtime.postprocess import to_mask
from ..runtime.preprocess import resize_nearest
from .forms import DeployForm, classify
from .metrics import MeanIoU

__all__ = ['THRESHOLDS', 'compare', 'judge', 'latencies', 'reference_form', 'verify']

THRESHOLDS = {'fp32': 99.99, 'fp16': 99.9}
"""Least share of equal pixels, in percent."""

MAX_INT8_DROP = 0.5
"""Most points of mIoU that INT8 may lose."""


def reference_form(artifact: Artifact, segmentor: nn.Module) -> DeployForm:
    """Build the PyTorch function that an artefact must equal.

    Args:
        artifact: The artefact.
        segmentor: The model.
    """
    return DeployForm(segmentor, artifact.output, artifact.channel_order, artifact.network_size).eval()


def _open(artifact: Artifact, threads: int) -> tuple[Backend, str]:
    """Load an artefact, or where its GPU is missing the ONNX file that it was built from."""
    try:
        return artifact.open(threads), artifact.file
    except NoGpuError:
        return OnnxRuntimeBackend(os.path.join(artifact.folder, artifact.graph), threads), artifact.graph


def compare(folder: str, segmentor: nn.Module, samples: Sequence[Sample], threads: int = 0) -> dict[str, Any]:
    """Compare one artefact with the model.

    Args:
        folder: Folder of the artefact.
        segmentor: The model in evaluation mode.
        samples: Images, with labels or without.
        threads: Threads on the CPU; 0 leaves it to the runtime.

    Returns:
        What was run and on how many images; ``agreement`` in percent of pixels, ``max_logit_difference``, and mIoU of
        both where every image has a label.
    """
    artifact = Artifact.load(folder)
    form = reference_form(artifact, segmentor)
    session, ran = _open(artifact, threads)
    equal = total = 0
    largest: float | None = None
    metrics = {name: MeanIoU(artifact.num_classes) for name in ('pytorch', 'artifact')}
    judged = labelled(samples)
    for sample in samples:
        batch, prepared = artifact.batch_of(sample.image)
        with torch.no_grad():
            scores = form.scores(torch.from_numpy(batch))
            expected = scores.numpy() if form.output != 'mask' else classify(segmentor, scores).numpy()
        output, shown = session(batch), session.scores(batch)
        if shown is not None:
            difference = float(np.abs(shown.astype(np.float64) - scores.numpy()).max())
            largest = difference if largest is None else max(largest, difference)
        masks = [to_mask(value[:1], prepared, artifact.align_corners) for value in (expected, output)]
        equal += int((masks[0] == masks[1]).sum())
        total += masks[0].size
        if sample.label is not None and judged:
            for metric, mask in zip(metrics.values(), masks, strict=True):
                metric.add(resize_nearest(mask, sample.label.shape), sample.label)  # type: ignore[arg-type]
    report: dict[str, Any] = dict(backend=artifact.backend, precision=artifact.precision, ran=ran, images=len(samples),
                                  agreement=100 * equal / total, max_logit_difference=largest)
    if judged:
        report.update({f'miou_{name}': round(metric.value, 3) for name, metric in metrics.items()})
    return report


def judge(report: Mapping[str, Any]) -> list[str]:
    """Hold a comparison against the thresholds.

    Args:
        report: What :func:`compare` gave.

    Returns:
        A sentence for each threshold that is missed; none if all hold.

    Example:
        >>> judge(dict(precision='fp32', agreement=100.0))
        []
    """
    precision = report['precision']
    if precision == 'int8':
        if 'miou_pytorch' not in report:
            return []
        drop = report['miou_pytorch'] - report['miou_artifact']
        return [f'INT8 loses {drop:.3f} points of mIoU, more than {MAX_INT8_DROP}'] if drop > MAX_INT8_DROP else []
    least = THRESHOLDS[precision]
    if report['agreement'] < least:
        return [f'{report["agreement"]:.4f} % of the pixels agree, fewer than the {least} % that {precision} needs']
    return []


def require_agreement(report: Mapping[str, Any]) -> None:
    """Refuse an artefact that misses a threshold.

    Args:
        report: What :func:`compare` gave.

    Raises:
        AgreementError: If one is missed.
    """
    missed = judge(report)
    if missed:
        raise AgreementError(f'the {report["backend"]} {report["precision"]} artefact differs from the PyTorch model: '
                             + '; '.join(missed))


def latencies(calls: Mapping[str, Callable[[], Any]], rounds: int = 10, warmup: int = 2) -> dict[str, float]:
    """Time several calls in turns, so that a machine that slows down slows all of them.

    Args:
        calls: What to time, by name.
        rounds: Turns.
        warmup: Turns before the clock starts.

    Returns:
        Median time of each call in milliseconds.

    Example:
        >>> sorted(latencies({'a': lambda: 1, 'b': lambda: 2}, rounds=2))
        ['a', 'b']
    """
    times: dict[str, list[float]] = {name: [] for name in calls}
    for turn in range(warmup + rounds):
        for name, call in calls.items():
            start = time.perf_counter()
            call()
            if turn >= warmup:
                times[name].append(1000 * (time.perf_counter() - start))
    return {name: statistics.median(values) for name, values in times.items()}


def artifact_latencies(folders: Sequence[str], image: np.ndarray, rounds: int = 10,
                       threads: int = 0) -> dict[str, float]:
    """Time artefacts side by side on one image, from their input to their output.

    Args:
        folders: Folders of artefacts that run on this machine.
        image: Image as OpenCV reads it.
        rounds: Turns.
        threads: Threads on the CPU; 0 leaves it to the runtime.

    Returns:
        Median time in milliseconds by the folder's name.
    """
    calls: dict[str, Callable[[], Any]] = {}
    for folder in folders:
        artifact = Artifact.load(folder)
        session, batch = artifact.open(threads), artifact.batch_of(image)[0]
        calls[os.path.basename(os.path.normpath(folder))] = partial(session, batch)
    return latencies(calls, rounds)


def verify(config: Any, checkpoint: str | None, folders: Sequence[str], images: str = 'synthetic', count: int = 16,
           rounds: int = 0, threads: int = 0) -> tuple[dict[str, Any], list[str]]:
    """Compare several artefacts with their model, and time them where asked.

    Args:
        config: mmseg config, or its path.
        checkpoint: The model's weights.
        folders: Folders of artefacts.
        images: Where the images come from, in the words of :func:`~bisenet_plugins.datasets.samples.load_samples`.
        count: Most images.
        rounds: Turns of the latency table; 0 for none.
        threads: Threads on the CPU; 0 leaves it to the runtimes.

    Returns:
        The figures, and a sentence for each threshold that is missed.

    Raises:
        DeployError: If a folder is no artefact, or the images cannot be read.
    """
    from ..runtime.predictor import Predictor
    predictor = Predictor(config, checkpoint)
    first = Artifact.load(folders[0])
    samples = load_samples(images, count, predictor.cfg, first.shape or (128, 256))
    reports = {}
    missed = []
    for folder in folders:
        name = os.path.basename(os.path.normpath(folder))
        reports[name] = compare(folder, predictor.model, samples, threads)
        missed += [f'{name}: {sentence}' for sentence in judge(reports[name])]
    result: dict[str, Any] = dict(
        config=os.path.basename(str(predictor.cfg.filename or '')), images=images,
        machine=dict(processor=_processor(), threads=threads or os.cpu_count(), torch=torch.__version__),
        artifacts=reports)
    if rounds:
        result['latency_ms'] = artifact_latencies(folders, samples[0].image, rounds, threads)
        result['latency_rounds'] = rounds
    return result, missed


def _processor() -> str:
    """Name the processor, as far as the system tells."""
    try:
        with open('/proc/cpuinfo') as file:
            return next(line.split(':', 1)[1].strip() for line in file if line.startswith('model name'))
    except (OSError, StopIteration):
        return platform.processor()
