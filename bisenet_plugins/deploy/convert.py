"""The whole way: config and checkpoint in, verified artefact out; nothing half-written stays behind."""

from __future__ import annotations

import contextlib
import importlib
import json
import logging
import os
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from ..datasets.samples import Sample, load_samples, synthetic_samples
from ..errors import DeployError, require
from ..runtime.artifact import META_FILE, Artifact
from ..runtime.backends import runtime_module
from ..runtime.predictor import Predictor
from ..runtime.preprocess import Preprocess, preprocess_of
from .settings import COMPUTE_CAPABILITIES, MAX_SHAPE, deploy_config
from .tensorrt_build import check_backend
from .verify import compare, require_agreement

__all__ = ['DeployOptions', 'deploy']

TRACE_SIZE = (64, 128)
"""Height and width of the image that a dynamic graph is traced with."""


@dataclass
class DeployOptions:
    """What to make.

    Args:
        backend: ``onnxruntime``, ``openvino``, ``tensorrt`` or ``tensorrt-rtx``.
        precision: ``fp32``, ``fp16`` or ``int8``.
        shape: Height and width of the input, None for dynamic.
        batch: Images at a time of a static artefact; a dynamic one takes any number.
        output: ``mask``, ``logits`` or ``logits_s8``.
        channel_order: ``bgr`` or ``rgb`` for the self-contained form that takes bytes.
        network_size: Height and width at which the network runs in the self-contained form.
        opset: ONNX opset, 13 to 17.
        max_shape: Largest height and width of a dynamic TensorRT engine.
        compute_capabilities: GPUs that a TensorRT-RTX engine is built for.
        calibration: Where INT8's images come from: a folder, a dataset config, ``train``, ``val``, or ``synthetic``.
        calibration_images: Most images to calibrate on.
        max_drop: Points of mIoU that INT8 may lose before sensitive layers are kept in higher precision.
        search: Whether INT8 looks for sensitive layers: ``auto`` or ``off``.
        images: Where the images to compare on come from, in the same words.
        image_count: Most images to compare on.
        verify: Compare with the PyTorch model.
        dump_info: Write mmdeploy's SDK files.
        overwrite: Replace an artefact that is already there.
        threads: Threads on the CPU; 0 leaves it to the runtimes.
    """

    backend: str = 'onnxruntime'
    precision: str = 'fp32'
    shape: tuple[int, int] | None = None
    batch: int = 1
    output: str = 'mask'
    channel_order: str | None = None
    network_size: tuple[int, int] | None = None
    opset: int = 17
    max_shape: tuple[int, int] = MAX_SHAPE
    compute_capabilities: Sequence[str] = COMPUTE_CAPABILITIES
    calibration: str | None = None
    calibration_images: int = 32
    max_drop: float = 0.5
    search: str = 'auto'
    images: str = 'synthetic'
    image_count: int = 8
    verify: bool = True
    dump_info: bool = True
    overwrite: bool = False
    threads: int = 0

    def deploy_config(self) -> dict[str, Any]:
        """Give mmdeploy's config for it.

        Raises:
            ValueError: If a word is unknown.
        """
        return deploy_config(self.backend, self.precision, self.shape, output=self.output,
                             channel_order=self.channel_order, network_size=self.network_size, opset=self.opset,
                             max_shape=self.max_shape, max_batch=max(self.batch, 1),
                             compute_capabilities=self.compute_capabilities)


def _check_out(out: str, overwrite: bool) -> None:
    """Refuse a folder that holds something else than an artefact to replace."""
    if not os.path.exists(out) or (os.path.isdir(out) and not os.listdir(out)):
        return
    if not os.path.isfile(os.path.join(out, META_FILE)):
        raise DeployError(f'out is {out}, which holds other files; give a new folder')
    if not overwrite:
        raise DeployError(f'out is {out}, which holds an artefact; give a new folder or --overwrite')


def _calibration(options: DeployOptions, artifact: Artifact, model_cfg: Any) -> Any:
    """Read the calibration images, and the labels where there are some, in the artefact's layout."""
    from ..datasets.samples import labelled
    from .quantize import Calibration
    if options.calibration is None:
        raise DeployError('precision int8 needs calibration images; give a folder, a dataset config, train, val or '
                          'synthetic (--calibration)')
    size = options.shape or TRACE_SIZE
    samples = load_samples(options.calibration, options.calibration_images, model_cfg, size)
    judges = load_samples(options.images, options.image_count, model_cfg, size) if options.images != 'synthetic' else []
    checks = judges or samples
    batches = [artifact.batch_of(sample.image)[0] for sample in samples]
    labels = [sample.label for sample in checks if sample.label is not None] if labelled(checks) else []
    return Calibration(batches, artifact.num_classes, [artifact.batch_of(sample.image)[0] for sample in checks],
                       labels, options.max_drop, options.search, align_corners=artifact.align_corners,
                       threads=options.threads)


def _sdk_files(folder: str, deploy_cfg: Any, model_cfg: Any, checkpoint: str | None, artifact: Artifact) -> None:
    """Write mmdeploy's ``deploy.json``, ``pipeline.json`` and ``detail.json``, with this artefact's own file names."""
    from mmdeploy.backend.sdk.export_info import export2SDK
    export2SDK(deploy_cfg, model_cfg, folder, pth=os.path.basename(checkpoint or ''), device='cpu')
    path = os.path.join(folder, 'deploy.json')
    with open(path) as file:
        info = json.load(file)
    weights = artifact.file.replace('.xml', '.bin') if artifact.backend == 'openvino' else ''
    info['models'][0].update(net=artifact.file, weights=weights, precision=artifact.precision.upper(),
                             backend=runtime_module(artifact.backend), dynamic_shape=artifact.shape is None)
    with open(path, 'w') as file:
        json.dump(info, file, indent=4)
    path = os.path.join(folder, 'detail.json')
    with open(path) as file:
        detail = json.load(file)
    detail['codebase']['config'] = artifact.config
    with open(path, 'w') as file:
        json.dump(detail, file, indent=4)


def _versions(backend: str) -> dict[str, str]:
    names = ['torch', 'mmdeploy', 'onnx', runtime_module(backend)]
    return {name: str(getattr(importlib.import_module(name), '__version__', '')) for name in names}


def _export(folder: str, deploy_cfg: Any, model_cfg: Any, checkpoint: str | None, options: DeployOptions) -> str:
    """Run mmdeploy's ``torch2onnx``."""
    from mmdeploy.apis import torch2onnx

    from .task import prepare_model_config
    size = options.shape or TRACE_SIZE
    image = synthetic_samples(1, size)[0].image
    traced = prepare_model_config(model_cfg, size[::-1])
    for step in traced.test_pipeline:
        if step['type'] == 'Resize':
            step.update(scale=size[::-1], keep_ratio=False)
    images = [image] * options.batch if options.shape else [image]
    torch2onnx(images, folder, 'end2end.onnx', deploy_cfg, traced, checkpoint, 'cpu')
    return os.path.join(folder, 'end2end.onnx')


def deploy(config: Any, checkpoint: str | None, out: str, options: DeployOptions) -> Artifact:
    """Make an artefact of a trained model.

    Args:
        config: mmseg config, or its path.
        checkpoint: The model's weights; None leaves those that it is built with.
        out: Folder of the artefact; it appears when everything in it is written and checked.
        options: What to make.

    Returns:
        The artefact, with the figures of its comparison.

    Raises:
        MissingPackageError: If a package is missing.
        NoGpuError: If TensorRT is asked for and there is no GPU.
        UnsupportedOperatorError: If exporter or backend refuses an operator.
        AgreementError: If the artefact differs from the model by more than its precision allows.
        DeployError: If ``out`` holds something else, or something else of the input does not fit.
        ValueError: If a word of the options is unknown.

    Note:
        Everything is written into a folder beside ``out`` and moved at the end.
    """
    settings = options.deploy_config()
    check_backend(options.backend)
    if options.precision == 'int8':
        require('nncf' if options.backend == 'openvino' else 'onnxruntime')
    _check_out(out, options.overwrite)
    from mmengine import Config

    from . import register_mmdeploy_parts
    from .task import prepare_model_config
    register_mmdeploy_parts()
    model_cfg = Config.fromfile(config) if isinstance(config, (str, os.PathLike)) else config
    deploy_cfg = Config(settings)
    parent = os.path.dirname(os.path.abspath(out))
    os.makedirs(parent, exist_ok=True)
    with _quiet_mmdeploy(), tempfile.TemporaryDirectory(prefix='.deploy-', dir=parent) as folder:
        work = os.path.join(folder, 'artifact')
        os.mkdir(work)
        predictor = Predictor(model_cfg, checkpoint)
        segmentor, model_cfg = predictor.model, predictor.cfg
        weights = os.path.join(folder, 'weights.pth')  # the same weights for export and comparison
        torch.save({'state_dict': segmentor.state_dict()}, weights)
        onnx_path = _export(work, deploy_cfg, model_cfg, weights, options)
        artifact = Artifact(
            options.backend, options.precision, 'end2end.onnx', 'end2end.onnx',
            num_classes=max(2, segmentor.decode_head.out_channels), output=options.output, shape=options.shape,
            batch=options.batch if options.shape else 1,
            channel_order=options.channel_order, network_size=options.network_size,
            align_corners=bool(segmentor.decode_head.align_corners),
            preprocess=_preprocess(model_cfg, options.shape), classes=list(predictor.classes),
            palette=np.asarray(predictor.palette).tolist(),
            config=os.path.basename(str(model_cfg.filename or '')), opset=options.opset,
            versions=_versions(options.backend), folder=work)
        _to_backend(artifact, onnx_path, deploy_cfg, model_cfg, options)
        if options.dump_info and options.channel_order is None:
            _sdk_files(work, deploy_cfg, prepare_model_config(model_cfg), checkpoint, artifact)
        artifact.save()
        if options.verify:
            samples = _fitting(load_samples(options.images, options.image_count, model_cfg,
                                            options.shape or TRACE_SIZE), options)
            artifact.checks = compare(work, segmentor, samples, options.threads)
            require_agreement(artifact.checks)
            artifact.save()
        if os.path.isdir(out):
            os.replace(out, os.path.join(folder, 'before')) if os.listdir(out) else os.rmdir(out)
        os.replace(work, out)
    artifact.folder = out
    return artifact


def _preprocess(model_cfg: Any, size: tuple[int, int] | None) -> Preprocess:
    """Return what the artifact does to an image: what the test pipeline does, to the size of a static graph."""
    pre: Any = preprocess_of(model_cfg)
    return replace(pre, size=tuple(size), divisor=1) if size else pre


def _fitting(samples: list[Sample], options: DeployOptions) -> list[Sample]:
    """Let odd sizes take part where sizes are dynamic and the images are synthetic."""
    if options.shape is None and options.images == 'synthetic':
        return [Sample(np.ascontiguousarray(sample.image[:len(sample.image) - 5 * (i % 2), :123 + 5 * (1 - i % 2)]))
                for i, sample in enumerate(samples)]
    return samples


def _to_backend(artifact: Artifact, onnx_path: str, deploy_cfg: Any, model_cfg: Any, options: DeployOptions) -> None:
    """Run mmdeploy's ``to_backend`` and note which files came out."""
    from mmdeploy.apis.utils import to_backend
    extra = {}
    if options.precision == 'int8':
        extra['calibration'] = _calibration(options, artifact, model_cfg)
    files = to_backend(runtime_module(options.backend), [onnx_path], artifact.folder, deploy_cfg,
                       device='cuda:0' if options.backend == 'tensorrt' else 'cpu', **extra)
    artifact.file = os.path.basename(files[0])
    typed = f'end2end_{options.precision}.onnx'
    if os.path.isfile(os.path.join(artifact.folder, typed)):
        artifact.graph = typed
    if extra:
        artifact.quantization = extra['calibration'].report


@contextlib.contextmanager
def _quiet_mmdeploy() -> Iterator[None]:
    """Keep mmdeploy's remarks about operators that these networks do not have out of the log."""
    from mmdeploy.utils import get_root_logger
    logger = get_root_logger()
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)
