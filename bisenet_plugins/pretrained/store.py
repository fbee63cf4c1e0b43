"""The networks in the package: an index with checksums, and one safetensors file a network.

Each file carries its network's config as JSON in its header, so that weights and config cannot get out of step.
Nothing here reads pickle or runs what a file says.
"""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from mmengine.config import Config

from ..engine.checkpoint import DamagedCheckpointError
from ..inference.predictor import Predictor

__all__ = [
    'HEADER_KEY',
    'decode_config',
    'encode_config',
    'load_pretrained',
    'predictor_from',
    'pretrained_names',
    'read_index',
]

FOLDER = Path(__file__).resolve().parent
HEADER_KEY = 'bisenet_plugins'
"""Under this key the header of a weights file holds the config."""


def safetensors_torch() -> ModuleType:
    """Import ``safetensors.torch``.

    Raises:
        ImportError: If safetensors is not installed.
    """
    try:
        import safetensors.torch
    except ImportError as error:
        raise ImportError('the shipped weights are safetensors files: pip install safetensors') from error
    return safetensors.torch


def read_index(folder: str | os.PathLike[str] | None = None) -> dict[str, dict[str, Any]]:
    """Read which networks there are.

    Args:
        folder: Where ``index.json`` lies; None is the package's own folder.

    Returns:
        For each name its ``file``, ``sha256``, ``bytes``, ``card`` and ``mIoU``; nothing where there is no index.

    Raises:
        DamagedCheckpointError: If the index cannot be read.
    """
    path = Path(folder or FOLDER) / 'index.json'
    if not path.is_file():
        return {}
    try:
        return dict(json.loads(path.read_text(encoding='utf-8'))['networks'])
    except (ValueError, KeyError, TypeError) as error:
        raise DamagedCheckpointError(f'{path} is no index of networks ({error})') from error


def pretrained_names(folder: str | os.PathLike[str] | None = None) -> tuple[str, ...]:
    """List the networks that :func:`load_pretrained` knows, the one to use by default first.

    Args:
        folder: Where ``index.json`` lies; None is the package's own folder.

    Example:
        >>> pretrained_names('no/such/folder')
        ()
    """
    return tuple(read_index(folder))


def load_pretrained(
    name: str, device: str | torch.device = 'cpu', folder: str | os.PathLike[str] | None = None,
    runtime: str = 'pytorch'
) -> Predictor:
    """Load a trained network that comes with the package: no config, no download.

    Args:
        name: One of :func:`pretrained_names`, such as ``bisenetv2-camvid``.
        device: Where the network runs, such as ``cpu`` or ``cuda:0``.
        folder: Where ``index.json`` lies; None is the package's own folder.
        runtime: ``pytorch``, ``openvino`` or ``fastest``, as in :class:`~bisenet_plugins.inference.Predictor`.

    Returns:
        A function from a BGR picture to its class map; its ``classes``, ``palette``, ``model`` and ``cfg`` are there
        too.

    Raises:
        ValueError: If there is no network of that name.
        FileNotFoundError: If the index names a file that is gone.
        DamagedCheckpointError: If the file's SHA-256 is not the index's.
        ImportError: If safetensors is not installed.

    Note:
        The file holds weights in half precision; the network runs in single precision.

    Example:
        >>> names = pretrained_names()
        >>> predictor = load_pretrained(names[0]) if names else None
    """
    base = Path(folder or FOLDER)
    index = read_index(base)
    if name not in index:
        known = ', '.join(index) or 'none in this copy of the package'
        raise ValueError(f'there is no pretrained network {name!r}; known are: {known}')
    entry = index[name]
    path = base / entry['file']
    if not path.is_file():
        raise FileNotFoundError(f'the weights of {name!r} are gone: there is no {path}')
    content = path.read_bytes()
    found = hashlib.sha256(content).hexdigest()
    if found != entry['sha256']:
        raise DamagedCheckpointError(
            f'{path} is not the file that was shipped: its SHA-256 is {found[:12]}..., the index has '
            f'{entry["sha256"][:12]}...; install the package again'
        )
    return predictor_from(content, str(path), device, runtime)


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
    state = safetensors_torch().load(content)
    predictor = Predictor(Config(_config_of(content, origin)), None, device, runtime=runtime)
    predictor.model.load_state_dict(state)
    return predictor


def _config_of(content: bytes, origin: str) -> dict[str, Any]:
    """Take the config out of the header of a safetensors file."""
    header = json.loads(content[8 : 8 + int.from_bytes(content[:8], 'little')])
    text = header.get('__metadata__', {}).get(HEADER_KEY)
    if text is None:
        raise DamagedCheckpointError(f'{origin} holds weights without a config, it was not written by this package')
    return decode_config(text)


def encode_config(cfg: dict[str, Any]) -> str:
    """Write a config as JSON from which it comes back the same, tuples included.

    Args:
        cfg: Dictionaries, lists, tuples, strings and numbers.

    Raises:
        ValueError: If it holds anything else, such as a class.

    Example:
        >>> encode_config(dict(scale=(64, 32)))
        '{"scale": {"tuple": [64, 32]}}'
        >>> decode_config(encode_config(dict(scale=(64, 32))))
        {'scale': (64, 32)}
    """
    return json.dumps(_marked(cfg, 'config'))


def _marked(value: Any, place: str) -> Any:
    """Mark tuples, and refuse what JSON cannot hold."""
    if isinstance(value, dict):
        return {str(key): _marked(item, f'{place}.{key}') for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        items = [_marked(item, f'{place}.{number}') for number, item in enumerate(value)]
        return dict(tuple=items) if isinstance(value, tuple) else items
    if value is None or isinstance(value, (str, bool, int, float)):
        return value
    raise ValueError(f'{place} is a {type(value).__name__}, a string, a number, a list or a dictionary is wanted')


def decode_config(text: str) -> dict[str, Any]:
    """Read what :func:`encode_config` wrote.

    Args:
        text: The JSON.
    """
    def unmark(node: dict[str, Any]) -> Any:
        return tuple(node['tuple']) if set(node) == {'tuple'} else node

    return json.loads(text, object_hook=unmark)
