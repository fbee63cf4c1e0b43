"""Checkpoints: safe reading, trained networks that come with the package, weights of other projects.

Names are imported when they are asked for: prediction from a graph reads ``store`` and must not load PyTorch.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

_HOMES = {
    'DamagedCheckpointError': 'checkpoint', 'RefusedCheckpointError': 'checkpoint', 'find_resumable': 'checkpoint',
    'imagenet_weights': 'imagenet', 'load_checkpoint': 'checkpoint', 'load_from_package': 'fine_tune',
    'pretrained_names': 'store', 'weights_only_checkpoints': 'checkpoint'}
__all__ = list(_HOMES)


def __getattr__(name: str) -> Any:
    """Import a name of this package."""
    if name not in _HOMES:
        raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
    return getattr(import_module(f'.{_HOMES[name]}', __name__), name)
