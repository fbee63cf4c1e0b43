"""The networks in the package: an index with checksums, and one safetensors file a network.

Each file carries its network's config as JSON in its header, so that weights and config cannot get out of step.
Nothing here reads pickle or runs what a file says.
"""

from __future__ import annotations

import functools
import hashlib
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import DamagedCheckpointError, InputError, expect

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ['HEADER_KEY', 'decode_config', 'encode_config', 'parse_network', 'pretrained_names', 'read_index',
           'read_shipped', 'shipped_graph']

FOLDER = Path(__file__).resolve().parent / 'shipped'
HEADER_KEY = 'bisenet_plugins'
"""Under this key the header of a weights file holds the config."""


def read_index(folder: str | os.PathLike[str] | None = None) -> dict[str, dict[str, Any]]:
    """Read which networks there are.

    Args:
        folder: Where ``index.json`` lies; None is the package's own folder.

    Returns:
        For each name its ``file``, ``sha256``, ``bytes``, ``card``, ``mIoU``, the name of its ``config``, ``test_mIoU``
        where held-back images were scored, and ``options``, what the config in the file leaves open, by dotted name;
        nothing where there is no index.

    Raises:
        DamagedCheckpointError: If the index cannot be read.
    """
    path = Path(folder or FOLDER) / 'index.json'
    if not path.is_file():
        return {}
    try:
        return dict(json.loads(path.read_text(encoding='utf-8'))['networks'])
    except (ValueError, KeyError, TypeError) as error:
        raise DamagedCheckpointError(f'{path}: expected an index of networks, got a damaged file ({error})') from error


def pretrained_names(folder: str | os.PathLike[str] | None = None) -> tuple[str, ...]:
    """List the networks that :func:`~bisenet_plugins.load_pretrained` knows, the one to use by default first.

    Args:
        folder: Where ``index.json`` lies; None is the package's own folder.

    Example:
        >>> pretrained_names('no/such/folder')
        ()
    """
    return tuple(read_index(folder))


def read_shipped(name: str, folder: str | os.PathLike[str] | None = None) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Read a trained network that comes with the package.

    Args:
        name: One of :func:`pretrained_names`, such as ``bisenetv2-camvid``.
        folder: Where ``index.json`` lies; None is the package's own folder.

    Returns:
        The network's config and its weights, which the file holds in half precision.

    Raises:
        InputError: If there is no network of that name.
        FileNotFoundError: If the index names a file that is gone.
        DamagedCheckpointError: If the file's SHA-256 is not the index's, or it holds no config.
    """
    index = read_index(folder)
    expect(name in index, 'name', f'one of {", ".join(index) or "no network, as this package has none"}', name)
    path = Path(folder or FOLDER) / index[name]['file']
    if not path.is_file():
        raise FileNotFoundError(f'{name}: expected its weights at {path}, got no such file')
    config, tensors = parse_network(_verified(path, index[name]['sha256']), str(path))
    for place, value in index[name].get('options', {}).items():
        *way, key = place.split('.')
        functools.reduce(dict.__getitem__, way, config)[key] = value
    return config, tensors


def shipped_graph(name: str, precision: str = 'fp32', folder: str | os.PathLike[str] | None = None) -> Path | None:
    """Find the exported graph of a network that comes with the package.

    Args:
        name: One of :func:`pretrained_names`.
        precision: ``fp32`` or ``int8``.
        folder: Where ``index.json`` lies; None is the package's own folder.

    Returns:
        The ONNX file, None where this copy of the package has none.

    Raises:
        DamagedCheckpointError: If its SHA-256 is not the index's.
    """
    path = Path(folder or FOLDER) / f'{name}{"" if precision == "fp32" else f".{precision}"}.onnx'
    if not path.is_file():
        return None
    if known := read_index(folder).get(name, {}).get('graphs', {}).get(precision):
        _verified(path, known['sha256'])
    return path


def _verified(path: Path, sha256: str) -> bytes:
    """Read a file whose checksum is known."""
    content = path.read_bytes()
    if (found := hashlib.sha256(content).hexdigest()) != sha256:
        raise DamagedCheckpointError(f'{path}: expected the shipped file of SHA-256 {sha256[:12]}..., got '
                                     f'{found[:12]}...; install the package again')
    return content


def parse_network(content: bytes, origin: str) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Take config and weights out of the bytes of a file that this package wrote.

    Args:
        content: The bytes.
        origin: Where they come from, for error messages.

    Raises:
        DamagedCheckpointError: If they hold no config.
    """
    from safetensors.torch import load

    text = json.loads(content[8:8 + int.from_bytes(content[:8], 'little')]).get('__metadata__', {}).get(HEADER_KEY)
    if text is None:
        raise DamagedCheckpointError(f'{origin}: expected weights with a config, as written by this package, got none')
    return decode_config(text), load(content)


def encode_config(cfg: dict[str, Any]) -> str:
    """Write a config as JSON from which it comes back the same, tuples included.

    Args:
        cfg: Dictionaries, lists, tuples, strings and numbers.

    Raises:
        InputError: If it holds anything else, such as a class.

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
    raise InputError(f'{place}: expected a string, a number, a list or a dictionary, got a {type(value).__name__}')


def decode_config(text: str) -> dict[str, Any]:
    """Read what :func:`encode_config` wrote.

    Args:
        text: The JSON.
    """
    return json.loads(text, object_hook=lambda node: tuple(node['tuple']) if set(node) == {'tuple'} else node)
