"""INT8 after training: nncf for OpenVINO, QDQ nodes for ONNX Runtime and TensorRT; the search for sensitive layers."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from inspect import signature
from typing import Any

import numpy as np

from ..datasets.samples import Sample, labelled
from ..errors import expect, require
from ..metrics import confusion_matrix, score
from ..runtime.artifact import Artifact
from ..runtime.backends import Backend, import_runtime
from ..runtime.backends.onnxruntime import OnnxRuntimeBackend
from ..runtime.backends.openvino import OpenVINOBackend
from ..runtime.postprocess import to_mask
from .graph import attribute, convolution_span, load_graph
from .options import METHODS, SEARCH_MODES

__all__ = ['Calibration', 'layer_groups', 'quantize_onnx', 'quantize_openvino', 'search_layers']

QUANTIZED_ONNX_OPS = ('Conv', 'Add', 'Mul', 'Concat', 'MaxPool', 'AveragePool', 'GlobalAveragePool', 'Relu')


@dataclass
class Calibration:
    """Images for quantisation, and how much it may lose.

    Args:
        artifact: What is made: its preprocessing, its classes and its batch.
        images: Images that ranges are measured on.
        checks: Images that the loss is measured on, against their labels if all have one, otherwise against the masks
            before quantisation; ``images`` when empty.
        limit: Points of mIoU that may be lost.
        search: ``auto`` keeps sensitive layers in higher precision until the limit holds; ``off`` quantises all.
        max_kept: Largest share of the layer groups that may stay in higher precision.
        threads: Threads on the CPU; 0 leaves it to the runtimes.
        method: How ranges come from what was seen: ``minmax``, ``entropy``, ``percentile`` (99.999 %), or ``auto``,
            which is percentile where minmax loses more than the limit. nncf, for OpenVINO, has its own way.
        ranges: Folder that keeps measured ranges, named by graph, method and images; None keeps none.
        report: Filled in: the method, mIoU before and after, the groups kept, and each group's sensitivity where
            measured.

    Raises:
        InputError: If there are no images, or ``search`` is unknown.
    """

    artifact: Artifact
    images: Sequence[Sample]
    checks: Sequence[Sample] = ()
    limit: float = 0.5
    search: str = 'auto'
    max_kept: float = 0.34
    threads: int = 0
    method: str = 'auto'
    ranges: str | None = None
    report: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        expect(bool(self.images), 'calibration', 'at least one image', len(self.images))
        expect(self.search in SEARCH_MODES, 'search', f'one of {SEARCH_MODES}', self.search)
        expect(self.method in METHODS, 'method', f'one of {METHODS}', self.method)
        self.checks = self.checks or self.images
        self.inputs = [self.artifact.batch_of(sample.image, sample.name)[0] for sample in self.images]
        self._prepared = [self.artifact.batch_of(sample.image, sample.name) for sample in self.checks]

    def masks(self, backend: Backend) -> list[np.ndarray]:
        """Return a model's masks of the images that the loss is measured on."""
        return [to_mask(backend(batch)[:1], prepared, self.artifact.align_corners, self.artifact.threshold)
                for batch, prepared in self._prepared]

    def targets(self, before: Backend) -> list[np.ndarray]:
        """Return the masks that count as true, which without labels are those before quantisation."""
        labels = [sample.label for sample in self.checks if sample.label is not None]
        return labels if labelled(self.checks) else self.masks(before)

    def miou(self, backend: Backend, targets: Sequence[np.ndarray]) -> float:
        """Measure a model in percent, on the masks that count as true."""
        return score(np.sum([confusion_matrix(mask, target, self.artifact.num_classes)
                             for mask, target in zip(self.masks(backend), targets, strict=True)], axis=0)).miou


def layer_groups(names: Sequence[str], depth: int = 3) -> dict[str, list[str]]:
    """Group layers by the module they come from.

    Args:
        names: Node names as the exporter gave them, such as ``/backbone/detail_branch/0/conv/Conv``.
        depth: Components of the path that make a group.

    Example:
        >>> layer_groups(['/a/b/c/d/Conv', '/a/b/c/e/Conv', '/f/Conv'])
        {'/a/b/c': ['/a/b/c/d/Conv', '/a/b/c/e/Conv'], '/f': ['/f/Conv']}
    """
    groups: dict[str, list[str]] = {}
    for name in names:
        parts = name.strip('/').split('/')
        groups.setdefault('/' + '/'.join(parts[:-1][:depth] or parts), []).append(name)
    return groups


def search_layers(quantise: Callable[[Sequence[str]], Any], open_model: Callable[[Any], Backend], before: Backend,
                  groups: Sequence[str], calibration: Calibration) -> Any:
    """Quantise, and where too much is lost keep the most sensitive groups in higher precision.

    Everything is quantised first. If that loses more than the limit, each group is left out once and the mIoU that
    comes back is its sensitivity; then groups are kept, the most sensitive first, until the limit holds.

    Args:
        quantise: Makes a model with the given groups left out.
        open_model: Loads what ``quantise`` made.
        before: The model before quantisation.
        groups: Names of the layer groups.
        calibration: Images, labels, limit; its ``report`` is filled in.

    Returns:
        The best model found.
    """
    targets = calibration.targets(before)
    reference = calibration.miou(before, targets)

    def measure(kept: Sequence[str]) -> tuple[float, Any]:
        model = quantise(kept)
        return reference - calibration.miou(open_model(model), targets), model

    kept: list[str] = []
    all_quantised, best = measure(kept)
    drop = all_quantised
    sensitivity: dict[str, float] = {}
    if calibration.search == 'auto' and drop > calibration.limit:
        sensitivity = {group: all_quantised - measure([group])[0] for group in groups}
        ranked = sorted(groups, key=lambda group: -sensitivity[group])
        for group in ranked[:max(1, int(len(ranked) * calibration.max_kept))]:
            kept_drop, model = measure([*kept, group])
            if kept_drop < drop:
                kept, drop, best = [*kept, group], kept_drop, model
            if drop <= calibration.limit:
                break
    calibration.report.update(
        images=len(calibration.images), judged_on='labels' if labelled(calibration.checks) else 'the model before INT8',
        miou_before=round(reference, 3), miou_after=round(reference - drop, 3), drop=round(drop, 3),
        drop_all_quantised=round(all_quantised, 3), kept_in_higher_precision=kept,
        sensitivity={group: round(value, 3) for group, value in sensitivity.items()})
    return best


def quantize_openvino(model: Any, calibration: Calibration) -> Any:
    """Quantise an OpenVINO model with nncf.

    Args:
        model: ``openvino.Model`` in single precision.
        calibration: Images; its report is filled in.

    Returns:
        The quantised ``openvino.Model``.

    Raises:
        MissingPackageError: If nncf is not installed.

    Note:
        Ranges are symmetric. With asymmetric ones (nncf's mixed preset) OpenVINO 2026.4 gave wrong scores on the CPU
        for a V2 network whose QDQ graph with asymmetric ranges was right on ONNX Runtime.
    """
    require('nncf')
    import_runtime('openvino')  # before nncf, which would import its telemetry
    import nncf
    nncf.set_log_level(40)
    groups = layer_groups([op.get_friendly_name().removesuffix('/WithoutBiases') for op in model.get_ordered_ops()
                           if op.get_type_name() in ('Convolution', 'GroupConvolution')])

    def quantise(kept: Sequence[str]) -> Any:
        scope = nncf.IgnoredScope(patterns=[f'{re.escape(group)}(/.*)?' for group in kept], validate=False)
        # keep progress bars out of the log
        with open(os.devnull, 'w') as nowhere, contextlib.redirect_stdout(nowhere):
            return nncf.quantize(model, nncf.Dataset(calibration.inputs), subset_size=len(calibration.inputs),
                                 preset=nncf.QuantizationPreset.PERFORMANCE, ignored_scope=scope)

    open_model = partial(OpenVINOBackend, threads=calibration.threads)
    return search_layers(quantise, open_model, open_model(model), list(groups), calibration)


def quantize_onnx(path: str, save_path: str, calibration: Calibration, symmetric: bool = False,
                  depthwise: bool = True) -> None:
    """Quantise an ONNX file: QuantizeLinear and DequantizeLinear around what runs in INT8.

    Args:
        path: ONNX file in single precision.
        save_path: File to write.
        calibration: Images; its report is filled in.
        symmetric: Zero points are zero and biases stay in single precision, as TensorRT needs it.
        depthwise: Whether grouped convolutions are quantised. TensorRT-RTX pads their groups to four channels, and its
            engine then holds zeros of three times each one's input.

    Raises:
        MissingPackageError: If onnxruntime is not installed.
        DeployError: If the file is damaged, or has no convolution.
    """
    require('onnx', 'onnxruntime')
    from onnxruntime.quantization import CalibrationMethod, QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process
    load_graph(path)  # refuses a damaged file in one sentence
    with tempfile.TemporaryDirectory() as folder:
        prepared = os.path.join(folder, 'prepared.onnx')
        quant_pre_process(path, prepared, auto_merge=True)
        graph = load_graph(prepared).graph
        first, last = convolution_span(graph, path)
        # resizing and argmax behind the last convolution, and normalisation before the first, are not quantised
        ops = {node.name: node.op_type for node in graph.node[first:last + 1] if node.op_type in QUANTIZED_ONNX_OPS
               and (depthwise or attribute(node, 'group', 1) == 1)}
        by_group = layer_groups([*ops])
        groups = [group for group, names in by_group.items() if any(ops[name] == 'Conv' for name in names)]
        seen = hashlib.sha256(graph.SerializeToString())
        for batch in calibration.inputs:
            seen.update(batch.tobytes())
        os.makedirs(calibration.ranges or folder, exist_ok=True)
        ranges = os.path.join(calibration.ranges or folder, seen.hexdigest()[:16])
        kinds = dict(zip(METHODS[1:], CalibrationMethod))
        cache = {'calibration_cache_path'} & {*signature(quantize_static).parameters}  # ONNX Runtime 1.23 has none
        options = {'QuantizeBias': not symmetric, 'ActivationSymmetric': symmetric, 'CalibStridedMinMax': 1}

        def quantise(method: str, kept: Sequence[str]) -> str:
            left_out = {name for group in kept for name in by_group[group]}
            target = os.path.join(folder, f'{len(os.listdir(folder))}.onnx')
            quantize_static(
                prepared, target, _Reader(graph.input[0].name, calibration.inputs), quant_format=QuantFormat.QDQ,
                activation_type=QuantType.QInt8 if symmetric else QuantType.QUInt8, weight_type=QuantType.QInt8,
                per_channel=True, calibrate_method=kinds[method], **{key: f'{ranges}_{method}.json' for key in cache},
                nodes_to_quantize=[name for name in ops if name not in left_out], extra_options=options)
            return target

        open_model = partial(OnnxRuntimeBackend, threads=calibration.threads)
        methods = ('minmax', 'percentile') if calibration.method == 'auto' else (calibration.method,)
        for method in methods:  # layers are left out for the last one only
            made = search_layers(partial(quantise, method), open_model, open_model(path),
                                 groups if method == methods[-1] else (), calibration)
            calibration.report['method'] = method
            if calibration.report['drop'] <= calibration.limit:
                break
        shutil.copyfile(made, save_path)


class _Reader:
    """Feed calibration batches to ONNX Runtime, which asks for one after the other so that few lie in memory."""

    def __init__(self, name: str, batches: Sequence[np.ndarray]) -> None:
        self.name, self.batches = name, batches
        self.set_range(0, len(batches))

    def __len__(self) -> int:
        return len(self.batches)

    def set_range(self, start_index: int, end_index: int) -> None:
        """Choose which batches come next."""
        self._left = iter(self.batches[start_index:end_index])

    def get_next(self) -> dict[str, np.ndarray] | None:
        """Return the next batch, None at the end."""
        return next(({self.name: batch} for batch in self._left), None)
