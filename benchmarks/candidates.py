"""What can be timed from an image to its mask: our ``Predictor`` on any backend, what was exported, mmseg's own API.

Letters: H and W the sides of an image in pixels.
"""

from __future__ import annotations

import copy
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import cycle
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from mmengine.config import Config
from mmengine.dataset import Compose
from mmengine.model import revert_sync_batchnorm
from mmengine.registry import init_default_scope
from torch import nn

from benchmarks.harness import Report, apart, load_image, peak_memory_mb, synchronised
from benchmarks.pairs import write_pair
from bisenet_plugins.deploy import DeployOptions, deploy
from bisenet_plugins.metrics import confusion_matrix, score
from bisenet_plugins.models.cost import build_uncounted, measure
from bisenet_plugins.models.fuse import fused_copy
from bisenet_plugins.runtime import Predictor
from bisenet_plugins.timing import interleave, spread
from bisenet_plugins.visualize import as_palette, overlay
from bisenet_plugins.weights.checkpoint import load_checkpoint
from bisenet_plugins.weights.store import pretrained_names, read_shipped

__all__ = ['Candidate', 'config_at', 'open_candidate', 'parse_candidate', 'stage_seconds', 'time_candidates']

BACKENDS = ('torch', 'openvino', 'onnxruntime', 'auto')
PAIR = {'bisenetv2': 1024, 'bisenetv2-128': 128}
"""mmseg's BiSeNet V2 and the same network of our parts, by the width of the main head."""
HELP = ('[NAME=][KIND:]NETWORK[,CHECKPOINT]: KIND is mmseg or a backend (torch, openvino, onnxruntime, auto), with '
        '-int8 behind it for an INT8 graph; NETWORK is a config, the name of a network in the package, what "bisenet '
        f'export" wrote, or one of {", ".join(PAIR)} (mmseg\'s, with its checkpoint or random weights)')
_LOADING = ('LoadImageFromFile', 'LoadImageFromNDArray', 'LoadAnnotations')


@dataclass
class Candidate:
    """One way from an image to its mask.

    Args:
        name: Its name in tables.
        whole: From an image ``(H, W, 3)`` uint8 BGR to its mask ``(H, W)``.
        stages: The same in steps, each of which takes what the one before returned; one of them is ``network``.
        gmacs: GMACs of the network for one image; None where they are not known.
        num_classes: K.
        model: Returns the PyTorch network that runs; None for other backends.
    """

    name: str
    whole: Callable[[np.ndarray], np.ndarray]
    stages: dict[str, Callable[[Any], Any]]
    gmacs: float | None = None
    num_classes: int = 0
    model: Callable[[], nn.Module] | None = None

    @torch.inference_mode()
    def network_alone(self, image: np.ndarray) -> Callable[[], Any]:
        """Return the network's stage as a call without arguments.

        Args:
            image: Image ``(H, W, 3)`` that goes through the stages before.
        """
        value: Any = image
        for name, stage in self.stages.items():
            if name == 'network':
                break
            value = stage(value)
        return torch.inference_mode()(partial(self.stages['network'], value))


def parse_candidate(text: str) -> dict[str, Any]:
    """Read a command line's ``[NAME=][KIND:]NETWORK[,CHECKPOINT]``.

    Args:
        text: The argument.

    Returns:
        Arguments of :func:`open_candidate`.

    Raises:
        ValueError: If the network is none.

    Example:
        >>> parse_candidate('none.txt')
        Traceback (most recent call last):
        ValueError: expected a config (.py), a network in the package or what "bisenet export" wrote, got none.txt
    """
    name, equals, rest = text.partition('=')
    if not equals:
        name, rest = '', text
    prefix, colon, after = rest.partition(':')
    known = colon and prefix.removesuffix('-int8') in ('mmseg', *BACKENDS)
    kind, rest = (prefix, after) if known else ('auto', rest)
    path, _, checkpoint = rest.partition(',')
    exported = os.path.isfile(os.path.join(path, 'artifact.json')) or path.endswith('.onnx') and os.path.isfile(path)
    named = path in PAIR or path in pretrained_names()
    if not exported and not named and not (path.endswith('.py') and os.path.isfile(path)):
        raise ValueError('expected a config (.py), a network in the package or what "bisenet export" wrote, got '
                         f'{path}')
    if path.endswith('.py') and not known:
        kind = 'torch'
    stem = Path(path).name if named or exported else Path(path).stem
    return dict(name=name or (f'{kind}: {stem}' if known else stem), kind=kind, path=path,
                checkpoint=checkpoint or None)


def open_candidate(
    name: str, kind: str, path: Any, checkpoint: Any = None, size: tuple[int, int] | None = None,
    device: str = 'cpu', native: bool = False
) -> Candidate:
    """Load what is to be timed.

    Args:
        name: Its name in tables.
        kind: ``mmseg``, or a backend of :class:`~bisenet_plugins.runtime.Predictor`, with ``-int8`` for an INT8 graph.
        path: Network, as :func:`parse_candidate` reads it.
        checkpoint: Weights of a config, or of mmseg's BiSeNetV2; without them the network has random ones.
        size: Height and width of the network's input, in place of the test pipeline's.
        device: Where a config's network runs.
        native: Whether the image is not resized at all.

    Raises:
        ValueError: If ``kind`` is unknown.
    """
    backend, _, precision = kind.partition('-')
    if backend not in ('mmseg', *BACKENDS) or precision not in ('', 'int8'):
        raise ValueError(f"expected kind out of 'mmseg', {', '.join(map(repr, BACKENDS))}; got {kind!r}")
    path = path if isinstance(path, Config) else str(path)
    if path in PAIR:
        size = size or (512, 1024)
        folder = f'work_dirs/pair-{size[0]}x{size[1]}-{Path(checkpoint or "random").stem}'
        pair = write_pair(folder, load_image(None, (256, 512)), size, PAIR[path], checkpoint, 19)
        path = str(pair['mmseg' if backend == 'mmseg' else 'ours'])
        checkpoint = str(Path(path).with_suffix('.pth'))
        if precision:
            made = f'{Path(path).with_suffix("")}-int8'
            deploy(path, checkpoint, made, DeployOptions(
                backend='openvino', precision='int8', output='logits_s8', calibration='synthetic',
                calibration_images=8, search='off', verify=False, overwrite=True))
            path, checkpoint = made, None
    settings: dict[str, Any] = dict(backend=backend, device=device, threads=torch.get_num_threads())
    if isinstance(path, str) and not path.endswith('.py'):
        if path not in pretrained_names() or backend != 'mmseg' and backend != 'torch' and device == 'cpu':
            predictor = Predictor(path, precision=precision or 'fp32', **(
                dict(settings, backend='auto') if os.path.isdir(path) else settings))
            if predictor.artifact is not None:
                if size is not None or native:
                    pre = predictor.artifact.preprocess
                    pre.scale, pre.keep_ratio = (size[1], size[0]) if size and not native else None, False
                return _ours(name, predictor, _gmacs(predictor.name, pre_size(predictor)))
        config, tensors = read_shipped(path)
        path, checkpoint = Config(config), dict(state_dict=tensors)
    cfg = config_at(path, size, native)
    gmacs = None
    for step in reversed(cfg.test_pipeline):
        if str(step['type']).endswith('Resize') and 'scale' in step:
            width, height = step['scale']
            gmacs = round(measure(build_uncounted(cfg), (int(height), int(width))).macs / 1e9, 3)
            break
    if backend == 'mmseg':
        return _mmseg(name, cfg, checkpoint, device, gmacs)
    return _ours(name, Predictor(cfg, checkpoint, **settings), gmacs)


def pre_size(predictor: Predictor) -> tuple[int, int] | None:
    """Return the size at which a graph's network sees an image, None where the image's own."""
    assert predictor.artifact is not None
    scale = predictor.artifact.preprocess.scale
    return (scale[1], scale[0]) if scale else None


def _gmacs(name: str | None, size: tuple[int, int] | None) -> float | None:
    """Count the operations of a network in the package."""
    if name is None or size is None:
        return None
    cfg = config_at(Config(read_shipped(name)[0]), None)
    return round(measure(build_uncounted(cfg), size).macs / 1e9, 3)


def config_at(config: str | Config, size: tuple[int, int] | None, native: bool = False) -> Config:
    """Change the size at which a config's network sees an image.

    Args:
        config: The config.
        size: Height and width; None leaves it.
        native: Remove every resizing, and add none.
    """
    cfg = copy.deepcopy(config if isinstance(config, Config) else Config.fromfile(config))
    dataset = (cfg.get('test_dataloader') or {}).get('dataset') or {}
    steps = dataset.get('pipeline') or cfg.get('test_pipeline') or [dict(type='PackSegInputs')]
    steps = [step for step in steps if str(step['type']).rpartition('.')[2] not in _LOADING]
    if size is not None or native:
        steps = [step for step in steps if not str(step['type']).endswith('Resize')]
    if size is not None and not native:
        steps.insert(0, dict(type='Resize', scale=(size[1], size[0]), keep_ratio=False))
    cfg.test_pipeline = [dict(type='LoadImageFromNDArray'), *steps]
    cfg.test_dataloader = dict(dataset=dict(type=dataset.get('type'), pipeline=cfg.test_pipeline))
    return cfg


def _ours(name: str, predictor: Predictor, gmacs: float | None) -> Candidate:
    """Take the public stages of a predictor."""
    predictor(np.zeros((64, 96, 3), np.uint8))  # opens the backend
    return Candidate(name, predictor, {
        'preprocess': predictor.preprocess,
        'network': lambda prepared: (predictor.logits(prepared), prepared),
        'mask': lambda given: predictor.mask(*given)}, gmacs, predictor.num_classes,
        model=partial(fused_copy, predictor.model) if predictor.backend == 'torch' else None)


def _mmseg(name: str, cfg: Config, checkpoint: Any, device: str, gmacs: float | None) -> Candidate:
    """Predict as mmseg's documentation says: ``init_model``, then ``inference_model``."""
    from mmseg.apis import inference_model, init_model

    init_default_scope('mmseg')
    model: Any = revert_sync_batchnorm(init_model(cfg, None, device))
    if checkpoint is not None:
        loaded = checkpoint if isinstance(checkpoint, dict) else load_checkpoint(checkpoint)
        model.load_state_dict(loaded.get('state_dict', loaded))
    pipeline = Compose(cfg.test_pipeline)

    def preprocess(image: np.ndarray) -> Any:
        sample = pipeline(dict(img=image))
        return model.data_preprocessor(
            dict(inputs=[sample['inputs']], data_samples=[sample['data_samples']]), False)

    def network(data: Any) -> Any:
        return model(data['inputs'], mode='tensor'), data['data_samples']

    def to_mask(given: Any) -> np.ndarray:
        logits, samples = given
        full = model.decode_head.predict_by_feat(logits, [sample.metainfo for sample in samples])
        return model.postprocess_result(full, samples)[0].pred_sem_seg.data[0].cpu().numpy()

    return Candidate(name, lambda image: inference_model(model, image).pred_sem_seg.data[0].cpu().numpy(),
                     dict(preprocess=preprocess, network=network, mask=to_mask), gmacs, int(model.num_classes),
                     model=lambda: model)


def time_candidates(
    specs: Sequence[Mapping[str, Any]], images: Sequence[np.ndarray], rounds: int, least: float = 0.0,
    device: str = 'cpu', memory: bool = True, labels: Sequence[np.ndarray] | None = None
) -> Report:
    """Time several candidates in turn, as a whole, then stage by stage, and score the very same ones.

    Args:
        specs: Arguments of :func:`open_candidate`; the others are compared with the first.
        images: ``(H, W, 3)`` uint8 BGR, which take turns.
        rounds: Rounds that count at least.
        least: Seconds that they take at least.
        device: Where configs run.
        memory: Whether each candidate's peak memory is taken in a process of its own.
        labels: ``(H, W)`` true classes of the images; with them every row has its mIoU.

    Returns:
        The report; ``agreement`` of a row is the share of pixels at which its masks are the first candidate's.

    Raises:
        ValueError: If two candidates have one name.

    Note:
        ``ms`` is from a decoded image to its mask, which is what mmseg's ``inference_model`` does with an array.
        Decoding and drawing are in ``stages_ms`` only.
    """
    names = [spec['name'] for spec in specs]
    if len(set(names)) < len(names):
        raise ValueError(f'expected candidates with different names (NAME=PATH), got {names}')
    candidates = {spec['name']: open_candidate(**{'device': device, **spec}) for spec in specs}
    seconds = interleave({name: synchronised(_in_turn(one.whole, images), device) for name, one in candidates.items()},
                         rounds, warmup=max(3, min(len(images), 8)), least=least)
    encoded = [cv2.imencode('.png', image)[1] for image in images]
    staged: dict[str, list[dict[str, float]]] = {name: [] for name in names}
    for number in range(min(rounds, 50)):
        for name, candidate in candidates.items():
            staged[name].append(stage_seconds(candidate, encoded[number % len(encoded)], device))
    report = Report('speed', settings=dict(
        scenario='single stream', image=list(images[0].shape[:2]), images=len(images), rounds=rounds,
        least_seconds=least, batch=1, decoded_from='.png'))
    reference = [candidates[names[0]].whole(image) for image in images]
    for spec in specs:
        name = spec['name']
        masks = reference if name == names[0] else [candidates[name].whole(image) for image in images]
        row: dict[str, Any] = dict(
            name=name, ms=spread(seconds[name]), gmacs=candidates[name].gmacs,
            agreement=round(float(np.mean([(mask == other).mean() for mask, other in zip(masks, reference)])), 5),
            stages_ms={stage: spread([one[stage] for one in staged[name]]) for stage in staged[name][0]})
        if labels is not None:
            classes = candidates[name].num_classes
            known = [np.where(label < classes, label, 255) for label in labels]
            row['miou'] = round(score(sum(  # type: ignore[arg-type]
                confusion_matrix(mask, label, classes) for mask, label in zip(masks, known, strict=True))).miou, 2)
        if memory:
            row.update(apart(_memory, {'device': device, **spec}, images[0].shape[:2]))
        report.rows.append(row)
    report.compare(seconds, names[0])
    return report


def _in_turn(call: Callable[[Any], Any], values: Sequence[Any]) -> Callable[[], Any]:
    """Return a call that takes the next value every time."""
    turns = cycle(values)
    return lambda: call(next(turns))


def stage_seconds(candidate: Candidate, encoded: np.ndarray, device: str = 'cpu') -> dict[str, float]:
    """Take an image through all stages, decoding and drawing included, and time each.

    Args:
        candidate: What is timed.
        encoded: The encoded image.
        device: Where the network runs.
    """
    seconds: dict[str, float] = {}
    palette = as_palette(None, 256)

    def timed(name: str, call: Callable[[Any], Any], value: Any) -> Any:
        start = time.perf_counter()
        result = synchronised(partial(call, value), device)()
        seconds[name] = time.perf_counter() - start
        return result

    image = value = timed('decode', lambda content: np.asarray(cv2.imdecode(content, cv2.IMREAD_COLOR)), encoded)
    with torch.inference_mode():
        for name, stage in candidate.stages.items():
            value = timed(name, stage, value)
    timed('overlay', lambda mask: overlay(image, mask, palette), value.astype(np.uint8, copy=False))
    return seconds


def _memory(spec: Mapping[str, Any], size: tuple[int, int]) -> dict[str, float]:
    """Predict a few times in this process; return its peak memory in MiB after loading and after predicting."""
    candidate = open_candidate(**spec)
    image, device = load_image(None, (size[0], size[1])), spec.get('device', 'cpu')
    loaded = peak_memory_mb(device)
    for _ in range(3):
        candidate.whole(image)
    return dict(loaded_memory_mb=loaded, peak_memory_mb=peak_memory_mb(device))
