"""Checkpoints: safe reading, trained networks that come with the package, weights of other projects."""

from .checkpoint import (
    DamagedCheckpointError,
    RefusedCheckpointError,
    find_resumable,
    load_checkpoint,
    weights_only_checkpoints,
)
from .fine_tune import load_from_package
from .imagenet import imagenet_weights
from .store import pretrained_names

__all__ = [
    'DamagedCheckpointError',
    'RefusedCheckpointError',
    'find_resumable',
    'imagenet_weights',
    'load_checkpoint',
    'load_from_package',
    'pretrained_names',
    'weights_only_checkpoints',
]
