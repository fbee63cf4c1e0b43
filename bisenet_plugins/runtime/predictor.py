"""A trained network as a function from an image to its mask.

Read in this order: ``preprocess.py`` (image to input), ``backends/torch.py`` (input to logits), ``postprocess.py``
(logits to mask); this file joins them.

Letters: N batch, C channels, K classes, H and W the sides of an image in pixels.
"""

from __future__ import annotations

import copy
import os
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.config import Config
from mmengine.logging import print_log
from mmengine.model import revert_sync_batchnorm
from mmengine.registry import init_default_scope
from mmseg.registry import DATASETS, MODELS
from mmseg.utils import register_all_modules

from ..errors import ConfigError, DeployError, InputError, MissingPackageError
from ..visualize import as_palette
from ..weights.checkpoint import load_checkpoint, load_weights
from ..weights.store import parse_network, pretrained_names, read_shipped
from .artifact import Artifact
from .backends import BACKENDS, Backend, best_backend
from .backends.torch import Logits, TorchBackend
from .postprocess import to_mask
from .preprocess import Prepared, preprocess_of

__all__ = ['Predictor', 'load_pretrained']

MAX_CLASSES = 256
EXAMPLE = (129, 193)
"""Sides of the input that a network is converted with: one above powers of two, where rounding down and up differ at
every stage, so that no resizing is left out because it happened to change nothing."""


class Predictor:
    """Segment images with a trained network.

    Args:
        network: Config of the network, as a file or as mmengine's object; name of a network that comes with the
            package; or folder that a deployment wrote, or an ONNX file out of one.
        weights: Checkpoint for a config, as a file, read with ``weights_only=True``, or as the dictionary that one
            holds; None leaves the random weights of a fresh network.
        backend: What computes the network: ``'torch'``, ``'openvino'`` or ``'onnxruntime'``; ``'auto'`` is the fastest
            that is installed, and PyTorch where that one cannot convert the network. A folder has its own.
        device: Where PyTorch computes, such as ``cpu`` or ``cuda:0``.
        threads: Threads of the other backends; 0 takes as many as PyTorch has.

    Shape:
        - Input: ``(H, W, C)`` uint8, BGR where C is 3; or a list of such images, of any sizes.
        - Output: ``(H, W)`` uint8 mask of the image's own size; or a list of them.

    Raises:
        InputError: If ``network`` names nothing, ``backend`` is unknown or does not go with the other arguments, or an
            image is not an ``(H, W, C)`` uint8 array.
        ConfigError: If the config cannot be read, or its network has more than 256 classes.
        CheckpointError: If the checkpoint cannot be read safely, or its weights are not those of the config's network.
        DeployError: If a folder is not what a deployment wrote, or a backend that was asked for by name is not
            installed or cannot convert the network.

    Note:
        Safe to share between threads, and to pickle. A process that was forked after the first image must not use it:
        start workers by ``spawn``.
        The backends differ in nothing but speed: their masks are equal except where classes tie up to rounding.
        ``model`` is the network as it was loaded; the backend is made of it at the first image, and changes to
        ``model`` after that change no prediction.
    """

    def __init__(self,
                 network: str | os.PathLike[str] | Config,
                 weights: str | os.PathLike[str] | dict[str, Any] | None = None,
                 *,
                 backend: str = 'auto',
                 device: str | torch.device = 'cpu',
                 threads: int = 0) -> None:
        if backend not in (*BACKENDS, 'auto'):
            raise InputError(f"backend: expected one of {(*BACKENDS, 'auto')}, got {backend!r}")
        self.device = torch.device(device)
        if backend not in ('torch', 'auto') and self.device.type != 'cpu':
            raise InputError(f"backend {backend!r}: expected device='cpu', got device={str(device)!r}")
        if not isinstance(threads, int) or threads < 0:
            raise InputError(f'threads: expected a whole number of at least 0, got {threads!r}')
        self.backend, self.threads = backend, threads
        self._lock = threading.Lock()
        self._compute: Backend | None = None
        self._pid: int | None = None
        self.artifact: Artifact | None = None
        self.model: Any = None
        self.cfg: Any = None
        folder = not isinstance(network, Config) and (Path(network).is_dir() or Path(network).suffix == '.onnx')
        if folder:
            self._from_folder(network, weights)
            return
        if isinstance(network, str) and network in pretrained_names() and not Path(network).is_file():
            if weights is not None:
                raise InputError(f'weights: expected None with the name of a network that comes with the package, got '
                                 f'{weights}')
            config, tensors = read_shipped(network)
            network, weights = Config(config), dict(state_dict=tensors)
        self._from_config(_read_config(network), weights)

    @classmethod
    def from_bytes(cls, content: bytes, origin: str, **settings: Any) -> Predictor:
        """Build a network from the bytes of a file that holds weights and config.

        Args:
            content: The bytes.
            origin: Where they come from, for error messages.
            settings: Keywords of the class.
        """
        config, tensors = parse_network(content, origin)
        return cls(Config(config), dict(state_dict=tensors), **settings)

    def _from_config(self, cfg: Config, weights: Any) -> None:
        self.cfg = copy.deepcopy(cfg)
        register_all_modules(init_default_scope=False)
        init_default_scope(self.cfg.get('default_scope', 'mmseg'))
        _without_downloads(self.cfg.model)
        self.model = revert_sync_batchnorm(MODELS.build(self.cfg.model))
        self.num_classes = int(self.model.num_classes)
        if self.num_classes > MAX_CLASSES:
            raise ConfigError(f'num_classes: expected at most {MAX_CLASSES}, which a uint8 mask holds, got '
                              f'{self.num_classes}')
        loaded = weights if isinstance(weights, dict) else {} if weights is None else load_checkpoint(weights)
        if weights is not None:
            load_weights(self.model, loaded, 'the checkpoint' if isinstance(weights, dict) else str(weights))
        self.classes, colours = self._meta(loaded.get('meta'))
        self.palette = as_palette(colours, self.num_classes)
        self.model.to(self.device).eval()
        self._prepare: Any = preprocess_of(self.cfg, self.model.data_preprocessor)
        self.align_corners = bool(self.model.align_corners)
        self.threshold = float(getattr(self.model.decode_head, 'threshold', None) or 0.5)

    def _from_folder(self, folder: Any, weights: Any) -> None:
        if weights is not None or self.backend != 'auto':
            raise InputError(f'network is {folder}, which has its own weights and backend: expected '
                             f"weights=None and backend='auto', got {weights!r} and {self.backend!r}")
        self._source = folder
        self.artifact = artifact = Artifact.load(str(folder))
        self.backend, self.num_classes = artifact.backend, artifact.num_classes
        self.classes = tuple(artifact.classes)
        self.palette = as_palette(artifact.palette or None, self.num_classes)
        self._prepare = artifact.prepare
        self.align_corners, self.threshold = artifact.align_corners, artifact.threshold
        self._compute = artifact.open(self.threads)

    def _meta(self, meta: dict[str, Any] | None) -> tuple[tuple[str, ...], Any]:
        """Find the names and colours of the classes: in the checkpoint, else in the test dataset, else numbers."""
        found = (meta or {}).get('dataset_meta') or {}
        if not found.get('classes'):
            dataset = (self.cfg.get('test_dataloader') or self.cfg.get('val_dataloader') or {}).get('dataset') or {}
            kind = dataset.get('type')
            cls = DATASETS.get(kind) if isinstance(kind, str) else kind
            found = {**(getattr(cls, 'METAINFO', None) or {}), **(dataset.get('metainfo') or {})}
        names = tuple(found.get('classes') or ())
        if len(names) != self.num_classes:
            return tuple(f'class {number}' for number in range(self.num_classes)), None
        return names, found.get('palette') or None

    def __call__(self, images: np.ndarray | Sequence[np.ndarray]) -> Any:
        """Segment one image or several; several of equal input size go through the network together."""
        if isinstance(images, np.ndarray):
            prepared = self.preprocess(images)
            return self.mask(self.logits(prepared), prepared)
        prepared_images = [self.preprocess(image) for image in images]
        masks: list[Any] = [None] * len(prepared_images)
        for numbers in self._groups(prepared_images):
            logits = self.logits([prepared_images[number] for number in numbers])
            for number, one in zip(numbers, logits):
                masks[number] = self.mask(one[None], prepared_images[number])
        return masks

    def _groups(self, prepared: Sequence[Prepared]) -> Iterator[list[int]]:
        """Yield the numbers of the images that have inputs of one shape."""
        groups: dict[tuple[int, ...], list[int]] = {}
        for number, one in enumerate(prepared):
            groups.setdefault(one.inputs.shape, []).append(number)
        if self.artifact is not None and self.artifact.shape is not None:  # its graph takes so many and no more
            yield from ([number] for numbers in groups.values() for number in numbers)
        else:
            yield from groups.values()

    def preprocess(self, image: np.ndarray) -> Prepared:
        """Return the network's input of an image.

        Args:
            image: ``(H, W, C)`` uint8, BGR where C is 3.
        """
        return self._prepare(image)

    def logits(self, prepared: Prepared | Sequence[Prepared]) -> Any:
        """Run the network.

        Args:
            prepared: One image or several of equal input size, as :meth:`preprocess` returns them.

        Returns:
            ``(N, K, h, w)`` float32 logits, an array or a tensor; ``(N, 1, H, W)`` or ``(N, H, W)`` classes where a
            deployed graph ends in its own argmax.
        """
        compute = self._compute if self._compute is not None and self._pid == os.getpid() else self._open()
        several = [prepared] if isinstance(prepared, Prepared) else list(prepared)
        inputs = several[0].inputs if len(several) == 1 else np.concatenate([one.inputs for one in several])
        if self.artifact is not None and self.artifact.batch > 1:
            return compute(np.repeat(inputs, self.artifact.batch, 0))[:1]
        return compute(inputs)

    def mask(self, logits: Any, prepared: Prepared) -> np.ndarray:
        """Return the mask of an image.

        Args:
            logits: What :meth:`logits` returned for the image, with its batch axis.
            prepared: What :meth:`preprocess` returned for it.
        """
        return to_mask(logits, prepared, self.align_corners, self.threshold)

    def _open(self) -> Backend:
        """Make the backend, once, also where several threads ask at the same time."""
        with self._lock:
            if self._pid not in (None, os.getpid()):
                raise RuntimeError(f'Predictor: expected to be used in the process {self._pid}, which has segmented '
                                   f"with it, got its fork {os.getpid()}; start worker processes by 'spawn', or fork "
                                   'before the first image')
            if self._compute is None:
                self._compute = self._made()
            self._pid = os.getpid()
            return self._compute

    def _made(self) -> Backend:
        name = best_backend(self.device.type) if self.backend == 'auto' else self.backend
        if name != 'torch':
            try:
                compute = self._converted(name)
            except (DeployError, MissingPackageError) as error:
                if self.backend != 'auto':
                    raise
                print_log(f'{error}; PyTorch computes it', logger='current')
            else:
                self.backend = name
                return compute
        self.backend = 'torch'
        return TorchBackend(self.model)

    def _converted(self, name: str) -> Backend:
        from ..models.fuse import switch_to_deploy

        network = Logits(switch_to_deploy(copy.deepcopy(self.model)).requires_grad_(False))
        if not network.whole:
            raise DeployError(f'{name}: {type(self.model).__name__} with {type(self.model.decode_head).__name__} '
                              'decides in a way of its own, which only PyTorch can follow')
        channels = next(layer.in_channels for layer in self.model.modules() if isinstance(layer, torch.nn.Conv2d))
        example = np.random.default_rng(0).random((1, channels, *EXAMPLE), np.float32)
        threads = self.threads or torch.get_num_threads()
        if name == 'openvino':
            from .backends.openvino import to_openvino
            return to_openvino(network, example, threads)
        from .backends.onnxruntime import to_onnxruntime
        return to_onnxruntime(network, example, threads)

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle config, weights and settings; the backend is rebuilt where it is unpickled."""
        settings = dict(backend='auto' if self.artifact else self.backend, device=str(self.device),
                        threads=self.threads)
        if self.artifact is not None:
            return _rebuild, (str(Path(self._source).absolute()), None, settings)
        weights = {name: value.cpu() for name, value in self.model.state_dict().items()}
        meta = dict(dataset_meta=dict(classes=self.classes, palette=self.palette[:self.num_classes].tolist()))
        return _rebuild, (self.cfg, dict(state_dict=weights, meta=meta), settings)


def _rebuild(network: Any, weights: Any, settings: dict[str, Any]) -> Predictor:
    return Predictor(network, weights, **settings)


def load_pretrained(name: str, **settings: Any) -> Predictor:
    """Load a trained network that comes with the package: no config, no download.

    Args:
        name: One of :func:`~bisenet_plugins.pretrained_names`, such as ``bisenetv2-camvid``.
        settings: ``backend``, ``device`` and ``threads`` of :class:`Predictor`.

    Raises:
        InputError: If there is no network of that name.
        DamagedCheckpointError: If the file is not the one that was shipped.

    Note:
        The file holds weights in half precision; the network runs in single precision.

    Example:
        >>> from bisenet_plugins import pretrained_names
        >>> predictor = load_pretrained(pretrained_names()[0], backend='torch')
    """
    known = pretrained_names()
    if name not in known:
        raise InputError(f"name: expected one of {', '.join(known)}, got {name!r}")
    return Predictor(name, **settings)


def _read_config(network: Any) -> Config:
    """Read a config, or say what ``network`` could have been."""
    if isinstance(network, Config):
        return network
    path = Path(network)
    if not path.is_file():
        known = ', '.join(pretrained_names())
        raise InputError(f'network: expected a config file, a folder that a deployment wrote, or one of {known}; there '
                         f'is no {network}')
    return Config.fromfile(path)


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
