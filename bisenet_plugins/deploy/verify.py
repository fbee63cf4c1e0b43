"""Compare artifacts with the PyTorch model they came from, on the same inputs, and time them in one run."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import nn

from ..datasets.samples import Sample, labelled, load_samples
from ..errors import AgreementError, InputError, NoGpuError
from ..metrics import confusion_matrix, score
from ..runtime.artifact import Artifact
from ..runtime.backends import Backend
from ..runtime.backends.onnxruntime import OnnxRuntimeBackend
from ..runtime.postprocess import to_mask
from ..runtime.predictor import Predictor
from ..timing import interleave, machine, spread
from .deploy_model import DeployModel, classify

__all__ = ['THRESHOLDS', 'compare', 'judge', 'loaded_network', 'require_agreement', 'verify']

THRESHOLDS = {'fp32': 99.99, 'fp16': 99.9}
"""Least share of equal pixels, in percent."""

MAX_INT8_DROP = 0.5
"""Most points of mIoU that INT8 may lose."""


def _open(artifact: Artifact, threads: int) -> tuple[Backend, str]:
    """Load an artifact, or where its GPU is missing the ONNX file that it was built from."""
    try:
        return artifact.open(threads), artifact.file
    except NoGpuError:
        return OnnxRuntimeBackend(os.path.join(artifact.folder, artifact.graph), threads), artifact.graph


def loaded_network(config: Any, checkpoint: Any) -> Predictor:
    """Load the network that is deployed, or that artifacts are compared with.

    Args:
        config: mmseg config, or its path; or the name of a network that comes with the package.
        checkpoint: Its weights; None leaves those that it is built with.

    Raises:
        InputError: If ``config`` is itself an artifact.
    """
    if isinstance(config, (str, os.PathLike)) and os.path.isdir(config):
        raise InputError(f'config: expected a config file or the name of a network, got the folder {config}')
    return Predictor(config, checkpoint, backend='torch')


def compare(folder: str, segmentor: nn.Module, samples: Sequence[Sample], threads: int = 0) -> dict[str, Any]:
    """Compare one artifact with the model.

    Args:
        folder: Folder of the artifact.
        segmentor: The model in evaluation mode.
        samples: Images, with labels or without.
        threads: Threads on the CPU; 0 leaves it to the runtime.

    Returns:
        What was run and on how many images; ``agreement`` in percent of pixels, ``max_logit_difference``, and mIoU of
        both where every image has a label.
    """
    artifact = Artifact.load(folder)
    model = DeployModel(segmentor, artifact.output, artifact.channel_order, artifact.network_size).eval()
    backend, ran = _open(artifact, threads)
    equal = total = 0
    largest: float | None = None
    matrices = np.zeros((2, artifact.num_classes, artifact.num_classes), np.int64)
    for sample in samples:
        batch, prepared = artifact.batch_of(sample.image)
        with torch.no_grad():
            scores = model.scores(torch.from_numpy(batch))
            expected = classify(segmentor, scores) if model.output == 'mask' else scores
        output, shown = backend(batch), backend.scores(batch)
        if shown is not None:
            largest = max(largest or 0.0, float(np.abs(shown.astype(np.float64) - scores.numpy()).max()))
        masks = [to_mask(value[:1], prepared, artifact.align_corners) for value in (expected, output)]
        equal += int((masks[0] == masks[1]).sum())
        total += masks[0].size
        if sample.label is not None:
            matrices += [confusion_matrix(mask, sample.label, artifact.num_classes) for mask in masks]
    report: dict[str, Any] = dict(backend=artifact.backend, precision=artifact.precision, ran=ran, images=len(samples),
                                  agreement=100 * equal / total, max_logit_difference=largest)
    if labelled(samples):
        report.update(miou_pytorch=round(score(matrices[0]).miou, 3), miou_artifact=round(score(matrices[1]).miou, 3))
    return report


def judge(report: Mapping[str, Any]) -> list[str]:
    """Return the thresholds that a comparison misses.

    Args:
        report: What :func:`compare` returned.

    Returns:
        A sentence for each of them.

    Example:
        >>> judge(dict(precision='fp32', agreement=100.0))
        []
    """
    precision = report['precision']
    if precision != 'int8':
        least, agreement = THRESHOLDS[precision], report['agreement']
        return [] if agreement >= least else [f'expected {least} % of the pixels to agree at {precision}, got '
                                              f'{agreement:.4f} %']
    drop = report['miou_pytorch'] - report['miou_artifact'] if 'miou_pytorch' in report else 0.0
    return [] if drop <= MAX_INT8_DROP else [f'expected INT8 to lose at most {MAX_INT8_DROP} points of mIoU, got '
                                             f'{drop:.3f}']


def require_agreement(report: Mapping[str, Any]) -> None:
    """Refuse an artifact that misses a threshold.

    Args:
        report: What :func:`compare` returned.

    Raises:
        AgreementError: If one is missed.
    """
    missed = judge(report)
    if missed:
        raise AgreementError(f'the {report["backend"]} {report["precision"]} artifact differs from the PyTorch model: '
                             + '; '.join(missed))


def verify(config: Any, checkpoint: str | None, folders: Sequence[str], images: str = 'synthetic', count: int = 16,
           rounds: int = 0, threads: int = 0) -> tuple[dict[str, Any], list[str]]:
    """Compare several artifacts with their model, and time them where asked.

    Args:
        config: As for :func:`loaded_network`.
        checkpoint: As for :func:`loaded_network`.
        folders: Folders of artifacts; the report names each as it is named here.
        images: Where the images come from, in the words of :func:`~bisenet_plugins.datasets.samples.load_samples`.
        count: Most images.
        rounds: Rounds of the latency table; 0 for none.
        threads: Threads on the CPU; 0 leaves it to the runtimes.

    Returns:
        The figures, and a sentence for each threshold that is missed.

    Raises:
        InputError: If a number is out of range, or the images cannot be read.
        DeployError: If a folder is no artifact.
    """
    for name, value, least in (('folders', len(folders), 1), ('count', count, 1), ('rounds', rounds, 0),
                               ('threads', threads, 0)):
        if value < least:
            raise InputError(f'{name}: expected at least {least}, got {value}')
    artifacts = {folder: Artifact.load(folder) for folder in folders}
    predictor = loaded_network(config, checkpoint)
    samples = load_samples(images, count, predictor.cfg, artifacts[folders[0]].shape or (128, 256))
    reports = {folder: compare(folder, predictor.model, samples, threads) for folder in artifacts}
    missed = [f'{folder}: {sentence}' for folder, report in reports.items() for sentence in judge(report)]
    result: dict[str, Any] = dict(config=os.path.basename(str(predictor.cfg.filename or '')), images=images,
                                  machine=machine(), artifacts=reports)
    if rounds:
        calls: dict[str, Callable[[], Any]] = {}
        for folder, artifact in artifacts.items():
            calls[folder] = partial(artifact.open(threads), artifact.batch_of(samples[0].image)[0])
        result['latency_ms'] = {folder: spread(seconds) for folder, seconds in interleave(calls, rounds).items()}
    return result, missed
