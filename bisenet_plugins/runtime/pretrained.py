"""Trained networks that come with the package, as functions from an image to its mask."""

from __future__ import annotations

import os

import torch
from mmengine.config import Config

from ..weights.store import parse_network, read_shipped
from .predictor import Predictor

__all__ = ['load_pretrained']


def load_pretrained(
    name: str, device: str | torch.device = 'cpu', folder: str | os.PathLike[str] | None = None,
    runtime: str = 'pytorch'
) -> Predictor:
    """Load a trained network that comes with the package: no config, no download.

    Args:
        name: One of :func:`~bisenet_plugins.pretrained_names`, such as ``bisenetv2-camvid``.
        device: Where the network runs, such as ``cpu`` or ``cuda:0``.
        folder: Where ``index.json`` lies; None is the package's own folder.
        runtime: ``pytorch``, ``openvino`` or ``fastest``, as in :class:`~bisenet_plugins.runtime.Predictor`.

    Returns:
        A function from a BGR image to its mask; its ``classes``, ``palette``, ``model`` and ``cfg`` are there too.

    Raises:
        ValueError: If there is no network of that name.
        FileNotFoundError: If the index names a file that is gone.
        DamagedCheckpointError: If the file's SHA-256 is not the index's.
        ImportError: If safetensors is not installed.

    Note:
        The file holds weights in half precision; the network runs in single precision.

    Example:
        >>> from bisenet_plugins import pretrained_names
        >>> predictor = load_pretrained(pretrained_names()[0])
    """
    return _predictor(*read_shipped(name, folder), device, runtime)


def predictor_from(
    content: bytes, origin: str, device: str | torch.device = 'cpu', runtime: str = 'pytorch'
) -> Predictor:
    """Build a network from the bytes of a file that this package wrote.

    Args:
        content: The bytes.
        origin: Where they come from, for error messages.
        device: Where the network runs.
        runtime: What computes it there.

    Raises:
        DamagedCheckpointError: If they hold no config.
        ImportError: If safetensors is not installed.
    """
    return _predictor(*parse_network(content, origin), device, runtime)


def _predictor(config: dict, state: dict, device: str | torch.device, runtime: str) -> Predictor:
    predictor = Predictor(Config(config), None, device, runtime=runtime)
    predictor.model.load_state_dict(state)
    return predictor
