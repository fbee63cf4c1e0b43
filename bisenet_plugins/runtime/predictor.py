"""A trained network as a function from a picture to its class map.

Letters: N batch, C channels, K classes, H and W the sides of a picture in pixels.
"""

from __future__ import annotations

import copy
import importlib.util
import os
import re
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmcv.transforms import Compose
from mmengine.config import Config
from mmengine.logging import print_log
from mmengine.model import revert_sync_batchnorm
from mmengine.registry import init_default_scope
from mmseg.datasets.transforms import PackSegInputs
from mmseg.models.data_preprocessor import SegDataPreProcessor
from mmseg.registry import DATASETS, MODELS
from mmseg.utils import register_all_modules
from torch import Tensor

from ..models.fast_network import fast_form
from ..visualize import as_palette
from ..weights.checkpoint import load_checkpoint
from .memory import keep_memory
from .openvino_network import openvino_form
from .preprocess import Normaliser, swaps_channels

__all__ = ['Predictor', 'image_pipeline']

RUNTIMES = ('pytorch', 'openvino', 'fastest')
_NOT_FOR_PICTURES = ('LoadImageFromFile', 'LoadImageFromNDArray', 'LoadAnnotations', 'SeedSample')


def image_pipeline(pipeline: Sequence[Any]) -> list[Any]:
    """Take out of a test pipeline what reads files: the image is in memory, and there are no labels.

    Args:
        pipeline: Config dicts of transforms.

    Example:
        >>> image_pipeline([dict(type='LoadImageFromFile'), dict(type='Resize', scale=(64, 32))])
        [{'type': 'Resize', 'scale': (64, 32)}]
    """
    kept = []
    for step in pipeline:
        kind = step['type']
        name = kind.rpartition('.')[2] if isinstance(kind, str) else kind.__name__
        if name not in _NOT_FOR_PICTURES:
            kept.append(step)
    return kept


def _without_downloads(node: Any) -> None:
    """Take out every ``init_cfg`` that would fetch pretrained weights: the checkpoint has them all."""
    if isinstance(node, dict):
        initial = node.get('init_cfg')
        if isinstance(initial, dict) and initial.get('type') == 'Pretrained':
            node['init_cfg'] = None
        if 'pretrained' in node:
            node['pretrained'] = None
        for value in node.values():
            _without_downloads(value)
    elif isinstance(node, (list, tuple)):
        for value in node:
            _without_downloads(value)


class Predictor:
    """Segment pictures with a trained network.

    Args:
        config: Config of the network, as a file or as mmengine's object.
        checkpoint: Weights, read with ``weights_only=True``; None leaves the random ones of a fresh network.
        device: Where the network runs, such as ``cpu`` or ``cuda:0``.
        fast: Whether to predict with a copy of the network in its fast form, and to normalise by looking values up
            where the test pipeline and the data preprocessor are mmseg's plain ones. The class maps are the same,
            except where classes tie within float noise. On a CPU the process keeps the memory of large maps from then
            on (:func:`~.memory.keep_memory`).
        runtime: What computes the fast form: ``pytorch``; ``openvino``, which takes seconds to start; or ``fastest``,
            which times both at the first picture and keeps the faster, PyTorch where OpenVINO is not installed or
            cannot convert the network, or on a GPU.

    Shape:
        - Input: ``(H, W, C)`` uint8, BGR where C is 3; or a list of such pictures, of any sizes.
        - Output: ``(H, W)`` uint8 class map of the picture's own size; or a list of them.

    Raises:
        FileNotFoundError: If the config or the checkpoint is not there.
        RefusedCheckpointError: If the checkpoint needs pickle.
        ValueError: If the checkpoint's weights are not those of the config's network.
        ValueError: If the network has more than 256 classes.
        ValueError: If the runtime is unknown, or cannot do what the other arguments say.
        TypeError: If a picture is not an ``(H, W, C)`` uint8 array.

    Note:
        Classes and palette come from the checkpoint, else from the config's test dataset, else they are numbered.
        ``model`` is the network as it was loaded; the fast copy is made of it at the first picture, and changes to
        ``model`` after that change no prediction.
    """

    def __init__(
        self,
        config: str | os.PathLike[str] | Config,
        checkpoint: str | os.PathLike[str] | None = None,
        device: str | torch.device = 'cpu',
        fast: bool = True,
        runtime: str = 'pytorch',
    ) -> None:
        if runtime not in RUNTIMES:
            raise ValueError(f'runtime is {runtime!r}; it must be one of {RUNTIMES}')
        if runtime == 'openvino' and (not fast or torch.device(device).type != 'cpu'):
            raise ValueError(f"runtime is 'openvino', which wants fast=True and device='cpu'; got fast={fast} and "
                             f"device='{device}'")
        if runtime == 'fastest' and not fast:
            raise ValueError("runtime is 'fastest', which wants fast=True; got fast=False")
        if not isinstance(config, Config):
            if not Path(config).is_file():
                raise FileNotFoundError(f'there is no config at {config}')
            config = Config.fromfile(config)
        self.cfg = copy.deepcopy(config)
        self.device = torch.device(device)
        register_all_modules(init_default_scope=False)
        init_default_scope(self.cfg.get('default_scope', 'mmseg'))
        _without_downloads(self.cfg.model)
        self.model: Any = revert_sync_batchnorm(MODELS.build(self.cfg.model))
        num_classes = int(self.model.num_classes)
        if num_classes > 256:
            raise ValueError(f'the network has {num_classes} classes, a uint8 class map holds at most 256')
        loaded = {} if checkpoint is None else load_checkpoint(checkpoint)
        if checkpoint is not None:
            self._load(loaded, Path(checkpoint))
        self.classes, colours = self._meta(loaded.get('meta'), num_classes)
        self.palette = as_palette(colours, num_classes)
        self.pipeline = Compose(image_pipeline(self._test_pipeline()))
        self.model.to(self.device).eval()
        self.fast, self.runtime = fast, runtime
        self._network: Any = None
        self._normaliser = self._short_way() if fast else None

    @property
    def network(self) -> Any:
        """The network that predicts: the fast copy, or the loaded one where ``fast`` is off.

        Raises:
            RuntimeError: If it is still to be chosen, at the first picture.
        """
        if self._network is None and self.runtime == 'fastest':
            raise RuntimeError("runtime is 'fastest', which chooses the network at the first picture; ask after it")
        if self._network is None:
            self._network = self._form(self.runtime)
        return self._network

    def _form(self, runtime: str) -> Any:
        """Bring the network into the form that a runtime computes."""
        if self.fast and self.device.type == 'cpu':
            keep_memory()
        network = self.model
        if self.fast:
            network = openvino_form(self.model) if runtime == 'openvino' else fast_form(self.model)
        if hasattr(network, 'mask_dtype'):
            network.mask_dtype = torch.uint8
        return network

    def _choose(self, inputs: Tensor, data_samples: list[Any]) -> None:
        """Predict a batch with every runtime there is, and keep the one that takes the least time."""
        forms = {'pytorch': self._form('pytorch')}
        if self.device.type == 'cpu' and importlib.util.find_spec('openvino') is not None:
            try:
                forms['openvino'] = self._form('openvino')
            except ValueError as error:
                print_log(f'{error}; PyTorch computes it', logger='current')
        seconds = {name: _least_seconds(partial(form, inputs, data_samples, mode='predict'))
                   for name, form in forms.items()} if len(forms) > 1 else dict.fromkeys(forms, 0.0)
        self.runtime = min(seconds, key=seconds.__getitem__)
        self._network = forms[self.runtime]

    def _short_way(self) -> Normaliser | None:
        """Make what normalises a picture in one pass, if nothing but mmseg's plain steps stands in its way."""
        steps = self.pipeline.transforms
        pre = self.model.data_preprocessor
        if not steps or type(steps[-1]) is not PackSegInputs or type(pre) is not SegDataPreProcessor:
            return None
        if not pre._enable_normalize or pre.mean.numel() != 3 or pre.std.numel() != 3:
            return None
        settings = pre.test_cfg or {}
        if settings.get('size') is not None or (settings.get('size_divisor') or 1) != 1:
            return None
        return Normaliser(pre.mean.flatten().tolist(), pre.std.flatten().tolist(), swaps_channels(pre))

    def _load(self, loaded: dict[str, Any], path: Path) -> None:
        """Put the checkpoint's weights into the network; auxiliary heads may be missing, nothing else."""
        state = loaded.get('state_dict', loaded)
        state = {re.sub(r'^module\.', '', name): value for name, value in state.items()}
        wanted = self.model.state_dict()
        wrong = [name for name in wanted if name in state and wanted[name].shape != state[name].shape]
        spare = ('auxiliary_head', 'num_batches_tracked')
        missing = [name for name in wanted if name not in state and not any(part in name for part in spare)]
        if wrong or missing:
            first = (wrong or missing)[0]
            raise ValueError(
                f"{path} does not fit the config's network: {len(missing)} weights are missing and {len(wrong)} have "
                f'another shape, the first is {first}'
            )
        surplus = self.model.load_state_dict(state, strict=False).unexpected_keys
        surplus = [name for name in surplus if not name.startswith('auxiliary_head')]
        if surplus:
            print_log(f'{len(surplus)} weights of {path} are not used, the first is {surplus[0]}', logger='current')

    def _meta(self, meta: dict[str, Any] | None, num_classes: int) -> tuple[tuple[str, ...], Any]:
        """Find the names and colours of the classes."""
        found = (meta or {}).get('dataset_meta') or {}
        if not found.get('classes'):
            dataset = (self.cfg.get('test_dataloader') or self.cfg.get('val_dataloader') or {}).get('dataset') or {}
            kind = dataset.get('type')
            cls = DATASETS.get(kind) if isinstance(kind, str) else kind
            found = {**(getattr(cls, 'METAINFO', None) or {}), **(dataset.get('metainfo') or {})}
        names = tuple(found.get('classes') or ())
        if len(names) != num_classes:
            return tuple(f'class {number}' for number in range(num_classes)), None
        return names, found.get('palette') or None

    def _test_pipeline(self) -> list[Any]:
        """Find the test pipeline, through datasets that wrap another one."""
        dataset = (self.cfg.get('test_dataloader') or {}).get('dataset') or {}
        while 'pipeline' not in dataset and isinstance(dataset.get('dataset'), dict):
            dataset = dataset['dataset']
        pipeline = dataset.get('pipeline') or self.cfg.get('test_pipeline')
        return list(pipeline) if pipeline else [dict(type='PackSegInputs')]

    def __call__(self, images: np.ndarray | Sequence[np.ndarray]) -> Any:
        """Segment one picture or several."""
        if isinstance(images, np.ndarray):
            return self._segment([images])[0]
        return self._segment(list(images))

    def resize(self, image: np.ndarray) -> dict[str, Any]:
        """Take a picture through the test pipeline, up to a ``uint8`` image of the network's size.

        Args:
            image: ``(H, W, C)`` uint8.

        Returns:
            The pipeline's results: ``data_samples``, and ``img`` ``(h, w, 3)`` or ``inputs`` ``(C, h, w)``.

        Raises:
            TypeError: If the picture is not an ``(H, W, C)`` uint8 array.
        """
        if not isinstance(image, np.ndarray) or image.dtype != np.uint8 or image.ndim != 3:
            got = f'{image.dtype} {image.shape}' if isinstance(image, np.ndarray) else type(image).__name__
            raise TypeError(f'a picture is {got}, a uint8 array (H, W, C) is wanted')
        sides = image.shape[:2]
        results: Any = dict(img=image, img_path=None, img_shape=sides, ori_shape=sides)
        if self._normaliser is None:
            return self.pipeline(results)
        *steps, pack = self.pipeline.transforms
        for step in steps:
            results = step(results)
        resized = results['img']
        if resized.dtype != np.uint8 or resized.ndim != 3 or resized.shape[2] != 3:
            return pack(results)
        del results['img']  # what follows needs no copy of it by channels
        return dict(pack(results), img=resized)

    def normalise(self, samples: Sequence[dict[str, Any]]) -> tuple[Tensor, list[Any]]:
        """Make the network's input of results of :meth:`resize` that have equal sizes.

        Args:
            samples: Results for each picture.

        Returns:
            ``(N, C, h, w)`` float32 on the network's device, and the data samples.
        """
        if self._normaliser is not None and all('img' in sample for sample in samples):
            images = [torch.from_numpy(self._normaliser(sample['img'])) for sample in samples]
            batch = images[0][None] if len(images) == 1 else torch.stack(images)
            data_samples = [sample['data_samples'] for sample in samples]
            for sample, data_sample in zip(samples, data_samples, strict=True):
                data_sample.set_metainfo(dict(img_shape=torch.Size(sample['img'].shape[:2])))
            return batch.permute(0, 3, 1, 2).to(self.device), data_samples  # channels-last, without a copy
        samples = [_packed(sample) for sample in samples]
        data = dict(inputs=[sample['inputs'] for sample in samples],
                    data_samples=[sample['data_samples'] for sample in samples])
        data = self.model.data_preprocessor(data, False)
        return data['inputs'], data['data_samples']

    @torch.inference_mode()
    def _segment(self, images: list[np.ndarray]) -> list[np.ndarray]:
        """Segment pictures, those of equal network size in one batch."""
        samples = [self.resize(image) for image in images]
        groups: dict[tuple[int, ...], list[int]] = {}
        for number, sample in enumerate(samples):
            shape = sample['img'].shape if 'img' in sample else (*sample['inputs'].shape, 'inputs')
            groups.setdefault(tuple(shape), []).append(number)
        masks: list[np.ndarray] = [np.empty(0, np.uint8)] * len(images)
        for numbers in groups.values():
            inputs, data_samples = self.normalise([samples[number] for number in numbers])
            if self._network is None and self.runtime == 'fastest':
                self._choose(inputs, data_samples)
            results = self.network(inputs, data_samples, mode='predict')
            for number, result in zip(numbers, results, strict=True):
                masks[number] = result.pred_sem_seg.data.squeeze(0).to(torch.uint8).cpu().numpy()
        return masks


def _packed(sample: dict[str, Any]) -> dict[str, Any]:
    """Put a picture's channels first, as mmseg's preprocessor takes them."""
    if 'inputs' in sample:
        return sample
    return dict(sample, inputs=torch.from_numpy(np.ascontiguousarray(sample['img'].transpose(2, 0, 1))))


def _least_seconds(call: Callable[[], Any], tries: int = 3) -> float:
    """Call once to warm up, then several times; return the least time."""
    call()
    seconds = []
    for _ in range(tries):
        start = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - start)
    return min(seconds)
