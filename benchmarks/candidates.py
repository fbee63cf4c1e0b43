"""What can be timed from an image to its mask: our ``Predictor`` on any backend, deployed folders, mmseg's own API.

Letters: H and W the sides of an image in pixels.
"""

from __future__ import annotations

import copy
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
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
from bisenet_plugins.models.cost import build_uncounted, measure
from bisenet_plugins.models.fuse import fused_copy
from bisenet_plugins.runtime import Predictor
from bisenet_plugins.timing import interleave, spread
from bisenet_plugins.visualize import as_palette, overlay
from bisenet_plugins.weights.checkpoint import load_checkpoint

__all__ = ['Candidate', 'config_at', 'open_candidate', 'parse_candidate', 'stage_seconds', 'time_candidates']

BACKENDS = ('torch', 'openvino', 'onnxruntime', 'auto')
HELP = '[NAME=][mmseg:|openvino:|onnxruntime:]CONFIG[,CHECKPOINT], or [NAME=]FOLDER that tools/deploy.py wrote'
_LOADING = ('LoadImageFromFile', 'LoadImageFromNDArray', 'LoadAnnotations')


@dataclass
class Candidate:
    """One way from an image to its mask.

    Args:
        name: Its name in tables.
        whole: From an image ``(H, W, 3)`` uint8 BGR to its mask ``(H, W)``.
        stages: The same in steps, each of which takes what the one before returned; one of them is ``network``.
        gmacs: GMACs of the network for one image; None where they are not known.
        model: Returns the PyTorch network that runs; None for other backends.
    """

    name: str
    whole: Callable[[np.ndarray], np.ndarray]
    stages: dict[str, Callable[[Any], Any]]
    gmacs: float | None = None
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
    """Read a command line's ``[NAME=][mmseg:|BACKEND:]PATH[,CHECKPOINT]``.

    Args:
        text: The argument.

    Returns:
        Arguments of :func:`open_candidate`.

    Raises:
        ValueError: If the path is neither a config nor a deployed folder.

    Example:
        >>> parse_candidate('none.txt')
        Traceback (most recent call last):
        ValueError: expected a config (.py) or the folder of a deployed model, got none.txt
    """
    name, equals, rest = text.partition('=')
    if not equals:
        name, rest = '', text
    prefix, colon, after = rest.partition(':')
    kind, rest = (prefix, after) if colon and prefix in ('mmseg', *BACKENDS) else ('torch', rest)
    path, _, checkpoint = rest.partition(',')
    if os.path.isfile(os.path.join(path, 'artifact.json')):
        kind = 'folder'
    elif not path.endswith('.py') or not os.path.isfile(path):
        raise ValueError(f'expected a config (.py) or the folder of a deployed model, got {path}')
    stem = Path(path).stem if kind == 'torch' else f'{kind}: {Path(path).stem}'
    return dict(name=name or stem, kind=kind, path=path, checkpoint=checkpoint or None)


def open_candidate(
    name: str, kind: str, path: str | Config, checkpoint: str | None = None, size: tuple[int, int] | None = None,
    device: str = 'cpu', native: bool = False
) -> Candidate:
    """Load what is to be timed.

    Args:
        name: Its name in tables.
        kind: ``mmseg``, ``folder``, or a backend of :class:`~bisenet_plugins.runtime.Predictor`.
        path: Config or folder.
        checkpoint: Weights of a config; without them the network has random ones.
        size: Height and width of the network's input, in place of the test pipeline's.
        device: Where a config's network runs.
        native: Whether the image is not resized at all.

    Raises:
        ValueError: If ``kind`` is unknown.
    """
    if kind == 'folder':
        return _ours(name, Predictor(str(path), threads=torch.get_num_threads()))
    if kind not in ('mmseg', *BACKENDS):
        raise ValueError(f"expected kind out of 'mmseg', 'folder', {', '.join(map(repr, BACKENDS))}; got {kind!r}")
    cfg = config_at(path, size, native)
    if kind == 'mmseg':
        candidate = _mmseg(name, cfg, checkpoint, device)
    else:
        candidate = _ours(name, Predictor(cfg, checkpoint, backend=kind, device=device))
    scales = [step['scale'] for step in cfg.test_pipeline if str(step['type']).endswith('Resize') and 'scale' in step]
    if scales:
        width, height = scales[-1]
        candidate.gmacs = round(measure(build_uncounted(cfg), (int(height), int(width))).macs / 1e9, 3)
    return candidate


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


def _ours(name: str, predictor: Predictor) -> Candidate:
    """Take the public stages of a predictor."""
    return Candidate(name, predictor, {
        'preprocess': predictor.preprocess,
        'network': lambda prepared: (predictor.logits(prepared), prepared),
        'mask': lambda given: predictor.mask(*given)},
        model=partial(fused_copy, predictor.model) if predictor.backend == 'torch' else None)


def _mmseg(name: str, cfg: Config, checkpoint: str | None, device: str) -> Candidate:
    """Predict as mmseg's documentation says: ``init_model``, then ``inference_model``."""
    from mmseg.apis import inference_model, init_model

    init_default_scope('mmseg')
    model: Any = revert_sync_batchnorm(init_model(cfg, None, device))
    if checkpoint is not None:
        loaded = load_checkpoint(checkpoint)
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
                     dict(preprocess=preprocess, network=network, mask=to_mask), model=lambda: model)


def time_candidates(
    benchmark: str, specs: Sequence[Mapping[str, Any]], image: np.ndarray, rounds: int, device: str = 'cpu',
    memory: bool = True, read_from: str | None = None, suffix: str = '.png'
) -> tuple[Report, dict[str, Candidate]]:
    """Time several candidates in turn, as a whole, then stage by stage.

    Args:
        benchmark: Name of the report.
        specs: Arguments of :func:`open_candidate`; the others are compared with the first.
        image: ``(H, W, 3)`` uint8 BGR.
        rounds: Rounds that count.
        device: Where configs run.
        memory: Whether each candidate's peak memory is taken in a process of its own.
        read_from: File that each round of the stages reads and decodes; None decodes from memory.
        suffix: Format in which the image is held in memory.

    Returns:
        The report, and the candidates for further checks.

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
    seconds = interleave({name: synchronised(partial(one.whole, image), device) for name, one in candidates.items()},
                         rounds, warmup=3)
    encoded = cv2.imencode(suffix, image)[1]
    staged: dict[str, list[dict[str, float]]] = {name: [] for name in names}
    for _ in range(min(rounds, 50)):
        for name, candidate in candidates.items():
            staged[name].append(stage_seconds(candidate, encoded, read_from, device))
    report = Report(benchmark, settings=dict(
        image=list(image.shape[:2]), rounds=rounds, batch=1, decoded_from=suffix, file_read_in_ms=False,
        file_read_in_decode_stage=read_from is not None))
    for spec in specs:
        name = spec['name']
        row: dict[str, Any] = dict(
            name=name, ms=spread(seconds[name]), gmacs=candidates[name].gmacs,
            stages_ms={stage: spread([one[stage] for one in staged[name]]) for stage in staged[name][0]})
        if memory:
            row.update(apart(_memory, {'device': device, **spec}, image.shape[:2]))
        report.rows.append(row)
    report.compare(seconds, names[0])
    return report, candidates


def stage_seconds(
    candidate: Candidate, encoded: np.ndarray, path: str | None = None, device: str = 'cpu'
) -> dict[str, float]:
    """Take an image through all stages, decoding and drawing included, and time each.

    Args:
        candidate: What is timed.
        encoded: The encoded image.
        path: File that is read in its place.
        device: Where the network runs.
    """
    seconds: dict[str, float] = {}
    palette = as_palette(None, 256)

    def timed(name: str, call: Callable[[Any], Any], value: Any) -> Any:
        start = time.perf_counter()
        result = synchronised(partial(call, value), device)()
        seconds[name] = time.perf_counter() - start
        return result

    def decode(content: np.ndarray) -> np.ndarray:
        return np.asarray(cv2.imdecode(content if path is None else np.fromfile(path, np.uint8), cv2.IMREAD_COLOR))

    image = value = timed('decode', decode, encoded)
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
