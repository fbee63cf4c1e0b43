"""Start a training from a network in the package, by its name.

Registers the scheme ``bisenet_plugins://`` with mmengine, so that ``load_from='bisenet_plugins://bisenetv2-camvid'``
and ``init_cfg=dict(type='Pretrained', checkpoint='bisenet_plugins://bisenetv2-camvid')`` work wherever mmengine reads a
checkpoint.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

from mmengine.runner.checkpoint import CheckpointLoader

from ..models.segmentors.bilateral_segmentor import PARTIAL
from .store import read_shipped

__all__ = ['load_from_package']

SCHEME = 'bisenet_plugins://'


@CheckpointLoader.register_scheme(prefixes=SCHEME)
def load_from_package(name: str, map_location: Any = 'cpu') -> dict[str, Any]:
    """Read the weights of a network in the package, as a checkpoint.

    Args:
        name: One of :func:`~bisenet_plugins.pretrained_names`, with or without ``bisenet_plugins://`` before it.
        map_location: Unused; the weights are read to the CPU, and copied from there.

    Returns:
        ``state_dict``, and ``meta`` with names and colours of the classes.

    Raises:
        InputError: If there is no network of that name.

    Note:
        A network takes what has the name and the shape of one of its weights.
        :class:`~bisenet_plugins.BilateralSegmentor` says in one line what that leaves out, such as a classifier for
        another number of classes.

    Example:
        >>> load_from_package('bisenet_plugins://bisenetv2-camvid')['state_dict']['decode_head.conv_seg.weight'].shape
        torch.Size([11, 128, 1, 1])
    """
    config, tensors = read_shipped(name.removeprefix(SCHEME))
    state: Any = OrderedDict(tensors)
    state._metadata = {'': {PARTIAL: True}}  # where torch keeps what a state dict says of itself
    return dict(state_dict=state, meta=dict(dataset_meta=config['test_dataloader']['dataset']['metainfo']))
