"""A config's network with its weights, as PyTorch holds it, and the ways from it to a backend."""

from __future__ import annotations

import copy
import os
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.config import Config
from mmengine.fileio import list_from_file
from mmengine.model import revert_sync_batchnorm
from mmengine.registry import init_default_scope
from mmseg.registry import DATASETS, MODELS

from .. import parts  # noqa: F401  a command that began without them registers the parts here
from ..config import explained, nodes, read_config
from ..datasets.samples import member_configs
from ..errors import ConfigError, DeployError, InputError, expect, raised_as, told_by
from ..models.fuse import switch_to_deploy
from ..weights.checkpoint import load_checkpoint, load_weights
from ..weights.store import pretrained_names, read_shipped
from .backends import Backend
from .backends.torch import Logits, TorchBackend
from .preprocess import Prepared, preprocess_of, step_name

__all__ = ['Network']

MAX_CLASSES = 256
COMPUTED_IN: set[int] = set()
"""Processes in which PyTorch has computed a network: their forks lack its threads."""
EXAMPLE = (129, 193)
"""Sides of the input that a network is converted with: one above powers of two, where rounding down and up differ at
every stage, so that no resizing is left out because it happened to change nothing."""
CHECKED = (161, 97)
"""Sides at which the converted network is compared: sizes that it computes with may have become constants."""


class Network:
    """A segmentor, loaded, with what prediction needs to know of it.

    Args:
        network: Config, as a file or as mmengine's object; or name of a network that comes with the package.
        weights: Checkpoint of a config, as a file or as the dictionary that one holds; None leaves random weights.
        device: Where PyTorch computes.

    Attributes:
        cfg: The config.
        model: The segmentor, in evaluation mode.
        num_classes: Classes of its masks.
        channels: Channels of its input.
        classes: Names of the classes.
        palette: Their colours, None where nothing says them.
        align_corners: How logits are resized.
        threshold: Probability above which a network with one output channel sees its class.

    Raises:
        InputError: If there is no such config, or no such device.
        ConfigError: If its network has more classes than a byte holds.
        CheckpointError: If the weights are not those of the network.
    """

    def __init__(self, network: Any, weights: Any = None, device: str = 'cpu') -> None:
        if COMPUTED_IN - {os.getpid()}:  # it would wait for ever for its other threads
            torch.set_num_threads(1)
        if isinstance(network, str) and network in pretrained_names():
            config, tensors = read_shipped(network)
            network, weights = Config(config), dict(state_dict=tensors)
        self.cfg = copy.deepcopy(_read_config(network))
        init_default_scope(self.cfg.get('default_scope', 'mmseg'))
        expect(isinstance(self.cfg.get('model'), dict), 'config', 'a model', self.cfg.get('model'))
        if isinstance(self.cfg.get('data_preprocessor'), dict):  # as mmengine's runner does
            self.cfg.model.setdefault('data_preprocessor', self.cfg.data_preprocessor)
        _without_downloads(self.cfg.model)
        with explained(self.cfg):
            self.model: Any = revert_sync_batchnorm(MODELS.build(self.cfg.model))
        self.num_classes = max(2, int(self.model.num_classes))  # one class and the background
        mean = (self.cfg.model.get('data_preprocessor') or {}).get('mean') or ()
        first = next((layer.in_channels for layer in self.model.modules() if isinstance(layer, torch.nn.Conv2d)), 3)
        self.channels = len(mean) if len(mean) > 1 else first
        if self.num_classes > MAX_CLASSES:
            raise ConfigError(f'num_classes: expected at most {MAX_CLASSES}, which a uint8 mask holds, got '
                              f'{self.num_classes}')
        loaded = weights if isinstance(weights, dict) else {} if weights is None else load_checkpoint(weights)
        if weights is not None:
            load_weights(self.model, loaded, 'the checkpoint' if isinstance(weights, dict) else str(weights))
        self.classes, self.palette = self._meta(loaded.get('meta'))
        try:
            self.model.to(device).eval()
        except (RuntimeError, AssertionError) as error:
            raise InputError(f'device: expected one that this machine and this PyTorch have, got {device!r} '
                             f'({told_by(error)})') from error
        self._prepare = preprocess_of(self.cfg, self.model.data_preprocessor, self.channels)
        self.align_corners = bool(self.model.align_corners)
        threshold = getattr(self.model.decode_head, 'threshold', None)
        self.threshold = 0.5 if threshold is None else float(threshold)

    def _meta(self, meta: dict[str, Any] | None) -> tuple[tuple[str, ...], Any]:
        """Find the names and colours of the classes: in the checkpoint, else in the test dataset, else numbers."""
        found = (meta or {}).get('dataset_meta') or {}
        if not found.get('classes'):
            dataset = (self.cfg.get('test_dataloader') or self.cfg.get('val_dataloader') or {}).get('dataset') or {}
            dataset = member_configs(dataset)[0]
            cls = DATASETS.get(kind) if isinstance(kind := dataset.get('type'), str) else kind
            found = {**(getattr(cls, 'METAINFO', None) or {}), **(dataset.get('metainfo') or {})}
        names, palette = found.get('classes') or (), found.get('palette') or None
        names = tuple(list_from_file(names) if isinstance(names, str) else names)
        if len(names) == 1 < self.num_classes == 2:
            names, palette = ('background', *names), palette and [[0, 0, 0], *palette]
        if len(names) != self.num_classes:
            return tuple(f'class {number}' for number in range(self.num_classes)), None
        return names, palette

    def prepare(self, image: np.ndarray) -> Prepared:
        """Return the network's input of an image, ``(H, W, C)`` uint8."""
        return self._prepare(image)

    def open(self, backend: str, threads: int = 0, at_once: int = 1) -> Backend:
        """Bring the network to a backend.

        Args:
            backend: One of :data:`~bisenet_plugins.runtime.backends.BACKENDS`.
            threads: Threads of the other backends for each call; 0 takes as many as PyTorch has.
            at_once: Calls that run at the same time, where a backend must be told.

        Raises:
            MissingPackageError: If the backend is not installed.
            DeployError: If the network cannot be converted.
        """
        COMPUTED_IN.add(os.getpid())
        if backend == 'torch':
            return TorchBackend(self.model)
        network = Logits(switch_to_deploy(copy.deepcopy(self.model)).requires_grad_(False))
        if not network.whole:
            raise DeployError(f'{backend}: {type(self.model).__name__} with {type(self.model.decode_head).__name__} '
                              'decides in a way of its own, which only PyTorch can follow')
        random = np.random.default_rng(0)
        example = random.random((1, self.channels, *EXAMPLE), np.float32)
        threads = threads or torch.get_num_threads()
        made: Backend
        if backend == 'openvino':
            from .backends.openvino import to_openvino
            made = to_openvino(network, example, threads, at_once)
        else:
            from .backends.onnxruntime import to_onnxruntime
            made = to_onnxruntime(network, example, threads)
        other = random.random((2, self.channels, *CHECKED), np.float32)
        with raised_as(DeployError, f'{backend}: the converted network fails on images of another size than the one it '
                       'was traced with'), torch.inference_mode():
            expected = network(torch.from_numpy(other)).numpy()
            found = made(other)
        if found.shape != expected.shape or not np.allclose(found, expected, 1e-2, 1e-3 * np.abs(expected).max(),
                                                            equal_nan=True):
            raise DeployError(f'{backend}: the converted network differs from PyTorch on images of another size than '
                              'the one it was traced with')
        return made

    def checkpoint(self) -> dict[str, Any]:
        """Return weights, names and colours as a checkpoint holds them."""
        weights = {name: value.cpu() for name, value in self.model.state_dict().items()}
        return dict(state_dict=weights, meta=dict(dataset_meta=dict(classes=self.classes, palette=self.palette)))


def _read_config(network: Any) -> Config:
    """Read a config, or say what ``network`` could have been."""
    if isinstance(network, Config):
        return network
    there = isinstance(network, str | os.PathLike) and Path(network).is_file()
    if there and Path(network).suffix in ('.py', '.yml', '.yaml', '.json'):
        return read_config(network)
    raise InputError('network: expected a config file, a folder or ONNX file that "export" wrote, or one of '
                     f'{", ".join(pretrained_names())}; {"got" if there else "there is no"} {network}')


def _without_downloads(model: dict[str, Any]) -> None:
    """Take out every ``init_cfg`` that would fetch pretrained weights: the checkpoint has them all."""
    for node in (node for _, node in nodes(model) if isinstance(node, dict)):
        given = node.get('init_cfg') or ()
        for initial in [given] if isinstance(given, dict) else given:
            if 'type' in initial and step_name(initial) in ('Pretrained', 'PretrainedInit'):
                node['init_cfg'] = None
        if 'pretrained' in node:
            node['pretrained'] = None
