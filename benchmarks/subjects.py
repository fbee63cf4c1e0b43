"""What can be timed: our predictor, mmseg's own way, deployed folders and ONNX files, all in the same stages.

Letters: H and W the sides of a picture in pixels.
"""

from __future__ import annotations

import copy
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from mmengine.config import Config
from mmengine.model import revert_sync_batchnorm
from mmengine.registry import init_default_scope

from bisenet_plugins.cli.complexity import build_uncounted, measure
from bisenet_plugins.models.fast_mask import upsample_argmax
from bisenet_plugins.runtime.memory import keep_memory, release_memory
from bisenet_plugins.runtime.predictor import Predictor, image_pipeline
from bisenet_plugins.runtime.preprocess import Normaliser
from bisenet_plugins.weights.checkpoint import load_checkpoint

__all__ = ['Subject', 'config_at', 'onnx_macs', 'open_subject', 'parse_subject']

IMAGENET = ([123.675, 116.28, 103.53], [58.395, 57.12, 57.375])
Stage = Callable[[Any], Any]


@dataclass
class Subject:
    """One way from a picture to its class map.

    Args:
        name: What it is called in tables.
        whole: From a picture ``(H, W, 3)`` uint8 BGR to its class map ``(H, W)``.
        stages: The same way in steps, each of which takes what the one before gives; ``network`` is one of them.
        gmacs: Multiply-adds of the network for one picture, in thousand millions; None where they are not known.
        precision: Type of number that the network computes in.
        memory: Brings the process's memory into the state that the way has when it runs alone.
        network: What computes the network, a module or a session.
    """

    name: str
    whole: Callable[[np.ndarray], np.ndarray]
    stages: dict[str, Stage]
    gmacs: float | None = None
    precision: str = 'fp32'
    memory: Callable[[], bool] = release_memory
    network: Any = None

    def network_alone(self, image: np.ndarray) -> Callable[[], Any]:
        """Return the network's stage as a function that needs no input.

        Args:
            image: Picture ``(H, W, 3)`` that goes through the stages before.
        """
        value = self.network_input(image)
        return torch.inference_mode()(lambda: self.stages['network'](value))

    def network_input(self, image: np.ndarray) -> Any:
        """Return what the network's stage takes.

        Args:
            image: Picture ``(H, W, 3)`` that goes through the stages before.
        """
        value: Any = image
        with torch.inference_mode():
            for name, stage in self.stages.items():
                if name == 'network':
                    break
                value = stage(value)
        return value


def parse_subject(text: str) -> dict[str, str | None]:
    """Read a command line's ``[NAME=][mmseg:|openvino:]PATH[,CHECKPOINT]``.

    Args:
        text: What was given; the path is a config, a folder that ``tools/deploy.py`` wrote, or an ONNX file.

    Raises:
        ValueError: If there is nothing at the path, or it is of no known kind.

    Example:
        >>> parse_subject('none.txt')
        Traceback (most recent call last):
        ValueError: none.txt is no config (.py), no ONNX file and no folder of a deployed model
    """
    name, equals, rest = text.partition('=')
    if not equals:
        name, rest = '', text
    prefix, colon, after = rest.partition(':')
    way, rest = (prefix, after) if colon and prefix in ('mmseg', 'openvino') else ('ours', rest)
    path, _, checkpoint = rest.partition(',')
    if os.path.isfile(os.path.join(path, 'artifact.json')):
        way = 'artefact'
    elif path.endswith('.onnx') and os.path.isfile(path):
        way = 'onnx'
    elif not path.endswith('.py') or not os.path.isfile(path):
        raise ValueError(f'{path} is no config (.py), no ONNX file and no folder of a deployed model')
    stem = Path(path).stem if way == 'ours' else f'{way}: {Path(path).stem or path}'
    return dict(name=name or stem, way=way, path=path, checkpoint=checkpoint or None)


def open_subject(
    name: str, way: str, path: str | Config, checkpoint: str | None = None, size: tuple[int, int] | None = None,
    device: str = 'cpu', native: bool = False, keep: bool = False
) -> Subject:
    """Load what is to be timed.

    Args:
        name: What it is called.
        way: ``ours``, ``openvino`` (ours, with OpenVINO computing the network), ``mmseg``, ``artefact`` or ``onnx``.
        path: Config, folder or file.
        checkpoint: Weights of a config; without them the network has random ones.
        size: Height and width at which a config's network sees a picture, in place of its test pipeline's.
        device: Where a config's network runs.
        native: Whether the picture is not resized at all.
        keep: Whether mmseg's way has :func:`~bisenet_plugins.runtime.memory.keep_memory` too.

    Raises:
        ValueError: If ``way`` is unknown.
    """
    if way == 'artefact':
        return _artefact(name, str(path))
    if way == 'onnx':
        return _onnx(name, str(path), size)
    if way not in ('ours', 'openvino', 'mmseg'):
        raise ValueError(f"way is {way!r}, 'ours', 'openvino', 'mmseg', 'artefact' or 'onnx' is wanted")
    cfg = config_at(path, size, native)
    if way == 'mmseg':
        subject = _mmseg(name, cfg, checkpoint, device, keep)
    else:
        subject = _ours(name, cfg, checkpoint, device, 'pytorch' if way == 'ours' else way)
    seen = size or _resized(cfg)
    if seen is not None:
        subject.gmacs = round(measure(build_uncounted(cfg), seen).macs / 1e9, 3)
    return subject


def config_at(config: str | Config, size: tuple[int, int] | None, native: bool = False) -> Config:
    """Change the size at which a config's network sees a picture.

    Args:
        config: The config.
        size: Height and width; None leaves it.
        native: Take every resizing out, and add none.
    """
    cfg = Config.fromfile(config) if not isinstance(config, Config) else config
    cfg = copy.deepcopy(cfg)
    dataset = (cfg.get('test_dataloader') or {}).get('dataset') or {}
    steps = image_pipeline(dataset.get('pipeline') or cfg.get('test_pipeline') or [dict(type='PackSegInputs')])
    if size is not None or native:
        steps = [step for step in steps if not str(step['type']).endswith('Resize')]
    if size is not None and not native:
        steps.insert(0, dict(type='Resize', scale=(size[1], size[0]), keep_ratio=False))
    cfg.test_pipeline = [dict(type='LoadImageFromNDArray'), *steps]
    cfg.test_dataloader = dict(dataset=dict(type=dataset.get('type'), pipeline=cfg.test_pipeline))
    return cfg


def _resized(cfg: Config) -> tuple[int, int] | None:
    """Find the size that a test pipeline resizes to, if it names one."""
    scales = [step['scale'] for step in cfg.test_pipeline if str(step['type']).endswith('Resize') and 'scale' in step]
    return (int(scales[-1][1]), int(scales[-1][0])) if scales else None


def _ours(name: str, cfg: Config, checkpoint: str | None, device: str, runtime: str) -> Subject:
    predictor = Predictor(cfg, checkpoint, device, runtime=runtime)
    net = predictor.network
    kind = dict(memory=keep_memory, network=net if runtime == 'pytorch' else net.decode_head.forward.session)
    if not hasattr(net, '_masks'):  # another segmentor decides by itself: its mask is part of the network's time
        return Subject(name, predictor, {
            'resize': lambda image: predictor.resize(image), 'normalise': lambda sample: predictor.normalise([sample]),
            'network': lambda given: net(*given, mode='predict')[0].pred_sem_seg.data[0],
            'upsample + argmax': lambda mask: mask.to(torch.uint8).cpu().numpy()}, **kind)
    return Subject(name, predictor, {
        'resize': lambda image: predictor.resize(image),
        'normalise': lambda sample: predictor.normalise([sample]),
        'network': lambda given: (net.decode_head.forward(net.extract_feat(given[0])), given[1]),
        'upsample + argmax': lambda given: net._masks(given[0], [s.metainfo for s in given[1]])[0].cpu().numpy(),
    }, **kind)


def _mmseg(name: str, cfg: Config, checkpoint: str | None, device: str, keep: bool) -> Subject:
    """Load a network and predict as mmseg's documentation says: ``init_model``, then ``inference_model``."""
    from mmseg.apis import inference_model, init_model
    from mmseg.apis.utils import _preprare_data

    init_default_scope('mmseg')
    model: Any = revert_sync_batchnorm(init_model(cfg, None, device))
    if checkpoint is not None:
        loaded = load_checkpoint(checkpoint)
        model.load_state_dict(loaded.get('state_dict', loaded))

    def to_mask(given: Any) -> np.ndarray:
        logits, samples = given
        full = model.decode_head.predict_by_feat(logits, [sample.metainfo for sample in samples])
        return model.postprocess_result(full, samples)[0].pred_sem_seg.data[0].cpu().numpy()

    def network(data: dict) -> Any:
        return model.decode_head.forward(model.extract_feat(data['inputs'])), data['data_samples']

    return Subject(
        name, lambda image: inference_model(model, image).pred_sem_seg.data[0].cpu().numpy(),
        {'resize': lambda image: _preprare_data(image, model)[0],
         'normalise': lambda data: model.data_preprocessor(data, False),
         'network': network, 'upsample + argmax': to_mask},
        memory=keep_memory if keep else release_memory, network=model)


def _artefact(name: str, folder: str) -> Subject:
    from bisenet_plugins.deploy.artifact import ArtifactPredictor

    predictor = ArtifactPredictor(folder, torch.get_num_threads())
    artifact = predictor.artifact
    return Subject(
        name, predictor,
        {'resize + normalise': lambda image: (*artifact.batch_of(image), image.shape[:2]),
         'network': lambda given: (predictor.session(given[0])[:1], *given),
         'upsample + argmax': lambda given: artifact.mask_of(given[0], given[1][:1], given[2], given[3])},
        onnx_macs(os.path.join(folder, artifact.graph)), artifact.precision, network=predictor.session)


def _onnx(name: str, path: str, size: tuple[int, int] | None) -> Subject:
    from bisenet_plugins.runtime.backends.onnxruntime import OnnxRuntimeBackend

    session = OnnxRuntimeBackend(path, torch.get_num_threads())
    sides = session._session.get_inputs()[0].shape[2:]
    height, width = sides if all(isinstance(side, int) for side in sides) else size or (512, 1024)
    normalise = Normaliser(*IMAGENET, swap=True)

    def mask(given: tuple[np.ndarray, tuple[int, int]]) -> np.ndarray:
        output, (rows, columns) = given
        if output.dtype.kind == 'f':
            return upsample_argmax(torch.from_numpy(output), (rows, columns), dtype=torch.uint8)[0].numpy()
        classes = output.reshape(output.shape[-2:]).astype(np.uint8)
        return cv2.resize(classes, (columns, rows), interpolation=cv2.INTER_NEAREST)

    stages: dict[str, Stage] = {
        'resize': lambda image: (cv2.resize(image, (width, height)), image.shape[:2]),
        'normalise': lambda given: (normalise.planes(given[0])[None], given[1]),
        'network': lambda given: (session(given[0]), given[1]),
        'upsample + argmax': mask}

    def whole(image: np.ndarray) -> np.ndarray:
        value: Any = image
        for stage in stages.values():
            value = stage(value)
        return value

    return Subject(name, whole, stages, onnx_macs(path))


def onnx_macs(path: str) -> float | None:
    """Count the multiply-adds of an ONNX file's convolutions and matrix products, in thousand millions.

    Args:
        path: The file.

    Returns:
        The count, or None where onnx is not installed or a shape is not fixed.
    """
    try:
        import onnx
    except ImportError:
        return None
    graph = onnx.shape_inference.infer_shapes(onnx.load(path), data_prop=True).graph
    shapes = {item.name: [dim.dim_value for dim in item.type.tensor_type.shape.dim]
              for item in (*graph.value_info, *graph.input, *graph.output)}
    shapes.update({item.name: list(item.dims) for item in graph.initializer})
    total = 0
    for node in graph.node:
        if node.op_type not in ('Conv', 'Gemm', 'MatMul'):
            continue
        weight, output = shapes.get(node.input[1]), shapes.get(node.output[0])
        if not weight or not output or 0 in output or 0 in weight:
            return None
        inner = int(np.prod(weight[1:])) if node.op_type == 'Conv' else weight[0]
        total += int(np.prod(output)) * inner
    return round(total / 1e9, 3)
