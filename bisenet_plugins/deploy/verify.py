"""Compare artifacts with the PyTorch model they came from, on the same inputs, and time them in one run."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from functools import partial
from typing import Any

import numpy as np
import torch

from ..datasets.samples import Sample, counted, labelled, load_samples
from ..errors import AgreementError, DeployError, InputError, NoGpuError, expect, raised_as
from ..metrics import confusion_matrix, score
from ..runtime.artifact import META_FILE, Artifact
from ..runtime.backends import Backend
from ..runtime.backends.onnxruntime import OnnxRuntimeBackend
from ..runtime.postprocess import to_mask
from ..runtime.predictor import Predictor
from ..runtime.preprocess import PipelinePreprocess, Preprocess, preprocess_of
from ..timing import interleave, machine, spread
from ..weights.store import pretrained_names
from .deploy_model import DeployModel, classify

__all__ = ['THRESHOLDS', 'artifact_preprocess', 'compare', 'judge', 'loaded_network', 'require_agreement', 'verify']

THRESHOLDS = {'fp32': 99.99, 'fp16': 99.0}
"""Least share of equal pixels, in percent."""
# In half precision classes that nearly tie change places: on drawn scenes, which a network of photographs finds
# ambiguous, in half a percent of the pixels, on photographs in 0.01.

USUAL_INT8 = 95.0
"""Share of equal pixels, in percent, below which an INT8 artifact is warned of; the networks in the package have 99."""

MAX_DROP = 0.5
"""Most points of mIoU that an artifact, such as one in INT8, may lose on equal inputs."""


def _open(artifact: Artifact, threads: int) -> tuple[Backend, str]:
    """Load an artifact, or where its GPU is missing the ONNX file that it was built from."""
    try:
        return artifact.open(threads), artifact.file
    except NoGpuError:
        ran = f'{artifact.graph}; {artifact.file} was only built, because there is no NVIDIA GPU here'
        return OnnxRuntimeBackend(os.path.join(artifact.folder, artifact.graph), threads), ran


def loaded_network(config: Any, checkpoint: Any) -> Predictor:
    """Load the network that is deployed, or that artifacts are compared with.

    Args:
        config: mmseg config, or its path; or the name of a network that comes with the package.
        checkpoint: Its weights; None leaves those that it is built with.

    Raises:
        InputError: If ``config`` is itself an artifact.
    """
    if isinstance(config, (str, os.PathLike)) and os.path.isdir(config) and config not in pretrained_names():
        raise InputError(f'config: expected a config file or the name of a network, got the folder {config}')
    return Predictor(config, checkpoint, backend='torch')


def artifact_preprocess(pipeline: Preprocess, shape: tuple[int, int] | None, stretch: bool,
                        contained: bool) -> Preprocess:
    """Return how an artifact of a network prepares images: as the test pipeline does, brought to a static shape.

    Args:
        pipeline: How the test pipeline does.
        shape: Height and width of a static artifact.
        stretch: Whether images are resized to ``shape`` without keeping their ratio.
        contained: Whether the graph resizes and pads by itself.
    """
    if contained:
        pipeline = replace(pipeline, scale=shape and shape[::-1], scale_factor=1.0, keep_ratio=True, divisor=1)
    return replace(pipeline, size=shape, divisor=1, stretch=stretch) if shape else pipeline


def compare(folder: str, network: Predictor, samples: Sequence[Sample], threads: int = 0) -> dict[str, Any]:
    """Compare one artifact with its network: the graph on equal inputs, and the masks with those that users know.

    Args:
        folder: Folder of the artifact.
        network: The network in PyTorch, with its own test pipeline.
        samples: Images, with labels or without.
        threads: Threads on the CPU; 0 leaves it to the runtime.

    Returns:
        What was run and on how many images; ``agreement`` in percent of pixels and ``max_logit_difference`` on equal
        inputs; ``pipeline_agreement`` with the network's own masks; where every image has a label, mIoU of the network
        in its own pipeline (``miou_pytorch``), on equal inputs, and of the artifact; ``settings`` in which
        the artifact is not the network's own; and ``warnings`` of distortion.

    Raises:
        InputError: If the artifact has other numbers of classes or channels than the network.
    """
    artifact = Artifact.load(folder)
    segmentor, given = network.model, artifact.preprocess
    pipeline: Any = preprocess_of(network.cfg, channels=network.network.channels)
    model = DeployModel(segmentor, artifact.output, artifact.channel_order, artifact.network_size,
                        pipeline=pipeline).eval()
    own_steps = artifact_preprocess(pipeline, artifact.shape, given.stretch, bool(artifact.channel_order))
    for kind, has, least in (('classes', artifact.num_classes, max(2, segmentor.decode_head.out_channels)),
                             ('channels of the image', len(given.mean), len(own_steps.mean))):
        expect(has == least, folder, f'{least} {kind}, as the network has', has)
    backend, ran = _open(artifact, threads)
    counts = np.zeros(4)  # pixels, equal ones on equal inputs, equal ones by the network's own pipeline, its own alone
    largest: float | None = None
    matrices = np.zeros((3, artifact.num_classes, artifact.num_classes), np.int64)
    for sample in counted(samples, segmentor):
        batch, prepared = artifact.batch_of(sample.image, sample.name)
        with torch.no_grad():
            scores = model.scores(torch.from_numpy(batch))
            expected = classify(segmentor, scores) if model.output == 'mask' else scores
        with raised_as(DeployError, f'{artifact.file} fails on an input of {prepared.network_size}; a network that '
                       'computes with the size that is traced needs a static shape'):
            output, shown = backend(batch), backend.scores(batch)
        if shown is not None and (artifact.output != 'mask' or scores.shape[1] > 1):  # else it is a probability
            largest = max(largest or 0.0, float(np.abs(shown.astype(np.float64) - scores.numpy()).max()))
        same, mask = [to_mask(value[:1], prepared, artifact.align_corners, artifact.threshold)
                      for value in (expected, output)]
        # classes at another size than the image's were taken before they were resized, logits are after
        resized = artifact.output == 'mask' and prepared.window != (0, prepared.size[0], 0, prepared.size[1])
        alike = not resized and np.array_equal(network.preprocess(sample.image).inputs, batch[:1])
        own = same if alike else network(sample.image)
        counts += mask.size, (mask == same).sum(), (mask == own).sum(), (same == own).sum()
        if sample.label is not None:
            matrices += [confusion_matrix(one, sample.label, artifact.num_classes, name=f'label of {sample.name}')
                         for one in (own, same, mask)]
    shares = dict(agreement=float(100 * counts[1] / counts[0]), pipeline_agreement=float(100 * counts[2] / counts[0]))
    report: dict[str, Any] = dict(backend=artifact.backend, precision=artifact.precision, ran=ran, images=len(samples),
                                  max_logit_difference=largest, **shares)
    pairs = {name: (value, getattr(given, name)) for name, value in asdict(own_steps).items()}
    pairs |= {name: (getattr(network, name), getattr(artifact, name)) for name in ('align_corners', 'threshold')}
    changed = {name: dict(expected=own, got=got) for name, (own, got) in pairs.items() if own != got}
    report |= dict(settings=changed) if changed else {}
    size, warnings, moved = artifact.shape, [], float(100 - 100 * counts[3] / counts[0])
    if artifact.precision == 'int8' and report['agreement'] < USUAL_INT8:
        warnings.append(f'expected {USUAL_INT8} % of the pixels or more to agree at int8, got '
                        f'{report["agreement"]:.1f} %; the calibration images are probably unlike these')
    exact = preprocess_of(network.cfg, segmentor.data_preprocessor, network.network.channels)
    if not (changed or size) and moved > 0.01 and isinstance(exact, PipelinePreprocess):
        warnings.append("the network's test pipeline has steps that no artifact can hold, without which "
                        f'{moved:.2f} % of the pixels differ')
    if given.stretch:
        warnings.append(f'images are resized to {size} without keeping their ratio, as was asked')
    own = max((pipeline.target_size(*sample.image.shape[:2]) for sample in samples), key=math.prod)
    better = '' if own == size else f'; --shape {own[0]}x{own[1]}, as in the test pipeline, loses less'
    brought = f'images are brought to {size}{better}' if size else 'images are brought to the network'
    if labelled(samples):
        names = ('miou_pytorch', 'miou_equal_inputs', 'miou_artifact')
        report.update(zip(names, (round(score(matrix).miou, 3) for matrix in matrices)))
        lost = report['miou_pytorch'] - report['miou_equal_inputs']
        if lost > MAX_DROP:
            warnings.append(f'{lost:.2f} points of mIoU are lost to how {brought}')
    elif size and moved > 5:
        warnings.append(f'{moved:.2f} % of the pixels differ by how {brought}')
    return report | (dict(warnings=warnings) if warnings else {})


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
    least, agreement = THRESHOLDS.get(report['precision'], 0.0), report['agreement']
    missed = [] if agreement >= least else [f'expected {least} % of the pixels to agree at {report["precision"]}, got '
                                            f'{agreement:.4f} %']
    missed += [f"expected the network's {name} in {META_FILE}, {value['expected']}, got {value['got']}"
               for name, value in report.get('settings', {}).items()]
    drop = report['miou_equal_inputs'] - report['miou_artifact'] if 'miou_artifact' in report else 0.0
    if drop > MAX_DROP:
        missed.append(f'expected at most {MAX_DROP} points of mIoU to be lost on equal inputs, got {drop:.3f}')
    return missed


def require_agreement(report: Mapping[str, Any]) -> None:
    """Refuse an artifact that misses a threshold.

    Args:
        report: What :func:`compare` returned.

    Raises:
        AgreementError: If one is missed.
    """
    if missed := judge(report):
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
    numbers = dict(folders=(len(folders), 1), count=(count, 1), rounds=(rounds, 0), threads=(threads, 0))
    for name, (value, least) in numbers.items():
        expect(value >= least, name, f'at least {least}', value)
    artifacts = {folder: Artifact.load(folder) for folder in folders}
    predictor = loaded_network(config, checkpoint)
    samples = load_samples(images, count, predictor.cfg, artifacts[folders[0]].shape or (128, 256))
    reports = {folder: compare(folder, predictor, samples, threads) for folder in artifacts}
    missed = [f'{folder}: {sentence}' for folder, report in reports.items() for sentence in judge(report)]
    result: dict[str, Any] = dict(config=os.path.basename(str(predictor.cfg.filename or '')), images=images,
                                  machine=machine(), artifacts=reports)
    if rounds:
        calls = {folder: partial(artifact.open(threads), artifact.batch_of(samples[0].image, samples[0].name)[0])
                 for folder, artifact in artifacts.items() if 'only built' not in reports[folder]['ran']}
        result['latency_ms'] = {folder: spread(seconds) for folder, seconds in interleave(calls, rounds).items()}
    return result, missed
