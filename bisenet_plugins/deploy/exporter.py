"""The whole way: config and checkpoint in, verified artifact out; nothing half-written stays behind."""

from __future__ import annotations

import contextlib
import io
import json
import os
import platform
import re
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ..datasets.samples import Sample, counted, load_samples, synthetic_samples
from ..errors import BisenetError, InputError, expect, require
from ..files import is_running, write_atomically
from ..runtime.artifact import META_FILE, Artifact
from ..runtime.backends import PROGRAMS, import_runtime, runtime_module
from ..runtime.predictor import Predictor
from ..runtime.preprocess import preprocess_of
from .graph import describe_graph, finish_graph
from .options import TRACE_SIZE, DeployOptions
from .programs import export_program, program_to_onnx, write_program
from .quantize import Calibration
from .tensorrt_build import check_backend
from .verify import artifact_preprocess, compare, loaded_network, require_agreement

__all__ = ['deploy']

OWN = re.compile(r'end2end.*|(artifact|deploy|detail|pipeline)\.json')
"""Names of an artifact's files."""


def deploy(config: Any, checkpoint: str | None, out: str, options: DeployOptions) -> Artifact:
    """Make an artifact of a trained network.

    Args:
        config: mmseg config, or its path; or the name of a network that comes with the package.
        checkpoint: The network's weights; None leaves a config's random ones, of which the checks then warn, whatever
            its ``load_from`` says: that is where a training starts.
        out: Folder of the artifact; it appears when everything in it is written and checked.
        options: What to make.

    Returns:
        The artifact, with the figures of its comparison.

    Raises:
        InputError: If ``out`` holds something else or cannot be written, or images are missing.
        MissingPackageError: If a package is not installed.
        NoGpuError: If TensorRT is asked for and there is no GPU.
        UnsupportedOperatorError: If exporter or backend refuses an operator.
        AgreementError: If the artifact differs from the network by more than its precision allows.

    Note:
        Everything is written into a folder beside ``out`` and moved at the end. What a killed run left there is
        removed by the next one.
    """
    check_backend(options.backend)
    if options.precision == 'int8':
        require('nncf' if options.backend == 'openvino' else 'onnxruntime')
        expect(options.calibration is not None, 'calibration', 'a folder of images, a dataset config, train, val or '
               'synthetic, because the precision is int8', options.calibration)
    if options.exporter == 'program':
        require('onnxscript')
    _check_out(out, options.overwrite)
    if options.ranges:
        try:
            os.makedirs(options.ranges, exist_ok=True)
        except OSError as error:
            raise InputError(f'ranges: expected a folder that can be made, got {options.ranges}: {error.strerror}'
                             ) from error
    predictor = loaded_network(config, checkpoint)
    channels = predictor.network.channels
    expect(channels in (1, 3), 'config', 'a network of grey or colour images', f'one of {channels} channels')
    options = replace(options, channels=channels, pipeline=preprocess_of(predictor.cfg, channels=channels))
    artifact = _describe(predictor, options)
    samples, calibration = [], None
    if options.verify or options.precision == 'int8':
        samples = _samples('images', options.images, options.image_count, predictor, options)
    if options.calibration is not None and options.precision == 'int8':
        images = _samples('calibration', options.calibration, options.calibration_images, predictor, options)
        calibration = Calibration(artifact, images, () if options.images == 'synthetic' else samples,
                                  options.max_drop, options.search, threads=options.threads,
                                  method=options.calibration_method, ranges=options.ranges)
    with _work_folder(os.path.realpath(out)) as folder:  # on the disk where it goes
        artifact.folder = os.path.join(folder, 'artifact')
        os.mkdir(artifact.folder)
        if options.backend in PROGRAMS:
            artifact.file = artifact.graph = write_program(predictor.model, artifact.folder, options)
        else:
            _through_mmdeploy(artifact, predictor, checkpoint, options, folder, calibration)
        artifact.quantization = calibration.report if calibration else {}
        artifact.save()
        if options.verify:
            artifact.checks = compare(artifact.folder, predictor, samples, options.threads)
            require_agreement(artifact.checks)
        if artifact.quantization.get('drop', 0) > options.max_drop:
            artifact.checks.setdefault('warnings', []).append(
                f'INT8 loses {artifact.quantization["drop"]} points of mIoU, and max_drop is {options.max_drop}')
        if checkpoint is None and predictor.name is None:
            start = predictor.cfg.get('load_from')
            artifact.checks.setdefault('warnings', []).append(
                'the weights are random, good for timing alone, because the config came without WEIGHTS'
                + (f' (its load_from, {start}, is where a training starts)' if start else ''))
        for name in filter(lambda name: name.endswith('.onnx'), os.listdir(artifact.folder)):
            describe_graph(os.path.join(artifact.folder, name), artifact.metadata(name))
        artifact.save()
        _check_out(out, options.overwrite)  # it may have been filled meanwhile
        place = os.path.realpath(out)
        if os.path.isdir(place) and os.listdir(place):
            os.replace(place, os.path.join(folder, 'before'))
        if os.path.isdir(place):  # empty; it stays, as a mount or the folder where the user stands must
            for name in sorted(os.listdir(artifact.folder), key=META_FILE.__eq__):
                shutil.move(os.path.join(artifact.folder, name), place)
        else:
            os.replace(artifact.folder, place)
    artifact.folder = out
    return artifact


def _check_out(out: str, overwrite: bool) -> None:
    """Refuse a place where no artifact can be, or that holds something else than an artifact to replace."""
    place = os.path.abspath(out)
    while not os.path.lexists(place):
        place = os.path.dirname(place)
    expect(os.path.isdir(place), 'out', 'a folder', f'{out}, where {place} is a file')
    if not os.path.isdir(out) or not os.listdir(out):
        return
    expect(os.path.isfile(os.path.join(out, META_FILE)), 'out', 'a new folder', f'{out}, which holds other files')
    expect(overwrite, 'out', 'a new folder or --overwrite', f'{out}, which holds an artifact')
    others = [name for name in os.listdir(out) if not OWN.fullmatch(name)]
    expect(not others, 'out', 'an artifact and nothing else where it is to be replaced', others)


@contextlib.contextmanager
def _work_folder(out: str) -> Iterator[str]:
    """Make a folder beside another one for as long as this process works, and remove those of ended processes."""
    parent = os.path.dirname(os.path.abspath(out))
    prefix = f'.deploy-{platform.node()}-'
    try:
        os.makedirs(parent, exist_ok=True)
        for name in os.listdir(parent):
            pid = name.removeprefix(prefix).partition('-')[0]
            if name.startswith(prefix) and pid.isdigit() and not is_running(int(pid)):
                shutil.rmtree(os.path.join(parent, name), ignore_errors=True)
        work = tempfile.TemporaryDirectory(prefix=f'{prefix}{os.getpid()}-', dir=parent)
    except OSError as error:
        raise InputError(f'out: expected a folder that can be written, got {out}: {error.strerror}') from error
    with work as folder:
        yield folder


def _describe(predictor: Predictor, options: DeployOptions) -> Artifact:
    """Fill in what is known of an artifact before there are files."""
    head = predictor.model.decode_head
    preprocess = artifact_preprocess(options.pipeline, options.shape, options.stretch, bool(options.channel_order))
    names = ['torch', *([] if options.backend in PROGRAMS else ['mmdeploy', 'onnx']), runtime_module(options.backend)]
    return Artifact(
        options.backend, options.precision, 'end2end.onnx', 'end2end.onnx', num_classes=max(2, head.out_channels),
        output=options.output, shape=options.shape, batch=options.batch if options.shape else 1,
        channel_order=options.channel_order, network_size=options.network_size,
        align_corners=bool(head.align_corners), threshold=predictor.threshold, preprocess=preprocess,
        classes=list(predictor.classes), palette=np.asarray(predictor.palette)[:predictor.num_classes].tolist(),
        config=os.path.basename(str(predictor.cfg.filename or '')), opset=options.opset or 0,
        versions={name: str(getattr(import_runtime(name), '__version__', '')) for name in names})


def _samples(name: str, source: str, count: int, predictor: Predictor, options: DeployOptions) -> list[Sample]:
    """Read images, and let odd sizes take part where sizes are dynamic and the images are synthetic."""
    try:
        # a size far from the trace's
        samples = list(counted(load_samples(source, count, predictor.cfg, options.shape or (96, 160)), predictor.model))
    except BisenetError as error:
        raise InputError(f'{name}: {str(error).removeprefix("images: ")}') from error
    if options.shape is None and source == 'synthetic':
        return [Sample(np.ascontiguousarray(sample.image[:len(sample.image) - 5 * (i % 2), :155 + 5 * (1 - i % 2)]))
                for i, sample in enumerate(samples)]
    return samples


def _trace(folder: str, deploy_cfg: Any, model_cfg: Any, weights: str, options: DeployOptions) -> None:
    """Run mmdeploy's ``torch2onnx``."""
    from mmdeploy.apis import torch2onnx

    from .mmdeploy.task import prepare_model_config
    size = options.shape or TRACE_SIZE
    traced = prepare_model_config(model_cfg, size[::-1])
    traced.test_pipeline = [dict(type='LoadImageFromFile'),
                            dict(type='Resize', scale=size[::-1], keep_ratio=False), dict(type='PackSegInputs')]
    image = np.resize(synthetic_samples(1, size)[0].image, (*size, options.channels))
    images = [image] * (options.batch if options.shape else 1)
    torch2onnx(images, folder, 'end2end.onnx', deploy_cfg, traced, weights, 'cpu')


def _through_mmdeploy(artifact: Artifact, predictor: Predictor, checkpoint: str | None, options: DeployOptions,
                      folder: str, calibration: Calibration | None) -> None:
    """Run mmdeploy's steps: ONNX, the backend's file, the SDK's files."""
    from mmdeploy.backend.base import get_backend_manager
    from mmengine import Config

    from .mmdeploy.managers import quiet_mmdeploy
    deploy_cfg = Config(options.deploy_config())
    weights = os.path.join(folder, 'weights.pth')  # the same weights for export and comparison
    torch.save({'state_dict': predictor.model.state_dict()}, content := io.BytesIO())
    write_atomically(weights, content.getvalue())  # torch's own writer does not say that a disk is full
    with quiet_mmdeploy():
        graph = os.path.join(artifact.folder, 'end2end.onnx')
        if options.exporter == 'program':
            program_to_onnx(export_program(predictor.model, options), graph, options)
            finish_graph(graph)
        else:
            _trace(artifact.folder, deploy_cfg, predictor.cfg, weights, options)
        describe_graph(graph, artifact.metadata('end2end.onnx'))
        manager = get_backend_manager(runtime_module(options.backend))
        (file,) = manager.to_backend([graph], artifact.folder, deploy_cfg, calibration=calibration)
        artifact.file = os.path.basename(file)
        typed = f'end2end_{options.precision}.onnx'
        if os.path.isfile(os.path.join(artifact.folder, typed)):
            artifact.graph = typed
        # the SDK resizes by no factor
        if options.dump_info and options.channel_order is None and options.pipeline.scale_factor == 1:
            _sdk_files(artifact, deploy_cfg, predictor.cfg, checkpoint)


def _sdk_files(artifact: Artifact, deploy_cfg: Any, model_cfg: Any, checkpoint: str | None) -> None:
    """Write mmdeploy's ``deploy.json``, ``pipeline.json`` and ``detail.json``, with this artifact's own file names."""
    from mmdeploy.backend.sdk.export_info import export2SDK

    from .mmdeploy.task import prepare_model_config
    export2SDK(deploy_cfg, prepare_model_config(model_cfg), artifact.folder, pth=os.path.basename(checkpoint or ''),
               device='cpu')
    weights = artifact.file.replace('.xml', '.bin') if artifact.backend == 'openvino' else ''
    model = dict(net=artifact.file, weights=weights, precision=artifact.precision.upper(),
                 backend=runtime_module(artifact.backend), dynamic_shape=artifact.shape is None)
    for name, place, values in (('deploy.json', lambda info: info['models'][0], model),
                                ('detail.json', lambda info: info['codebase'], dict(config=artifact.config))):
        path = Path(artifact.folder, name)
        place(info := json.loads(path.read_text())).update(values)
        path.write_text(json.dumps(info, indent=4))
