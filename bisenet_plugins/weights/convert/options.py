"""Hold weights and options against the network that a config describes."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmseg.registry import MODELS
from mmseg.utils import register_all_modules
from torch import Tensor

from ...errors import CheckpointError
from ...models.build import accepted_arguments, named_class

# What the segmentor hands to every part that does not say its own.
_HANDED_ON = ('num_classes', 'align_corners')


def _read(config: str | os.PathLike[str]) -> Config:
    if not Path(config).is_file():
        raise FileNotFoundError(f'there is no config at {config}')
    cfg = Config.fromfile(config)
    register_all_modules(init_default_scope=False)
    init_default_scope(cfg.get('default_scope', 'mmseg'))
    return cfg


def check_weights(weights: Mapping[str, Tensor],
                  config: str | os.PathLike[str],
                  may_lack: str | None = None) -> list[str]:
    """Compare the names and shapes of weights with the network of a config.

    Args:
        weights: Weights under our names.
        config: Config file of our model.
        may_lack: Beginning of names that the weights may lack altogether.

    Returns:
        The names that the network has and the weights lack, all of them under ``may_lack``.

    Raises:
        CheckpointError: If a name is missing, left over, or has another shape; the message lists all of them.
    """
    wanted = MODELS.build(_read(config).model).state_dict()
    missing = [name for name in wanted if name not in weights]
    absent = [name for name in missing if may_lack and name.startswith(may_lack)]
    if may_lack and any(name.startswith(may_lack) for name in weights):
        absent = []
    wrong = [f'missing: {name} {tuple(wanted[name].shape)}' for name in missing if name not in absent]
    wrong += [f'left over: {name} {tuple(weights[name].shape)}' for name in weights if name not in wanted]
    wrong += [
        f'shape: {name} is {tuple(weights[name].shape)}, the config has {tuple(value.shape)}'
        for name, value in wanted.items() if name in weights and weights[name].shape != value.shape
    ]
    if wrong:
        raise CheckpointError(f'the weights do not fit the network of {config}:\n  ' + '\n  '.join(wrong))
    return absent


def different_options(config: str | os.PathLike[str], options: Mapping[str, Any]) -> list[str]:
    """Find the options in which a config's model departs from those wanted, defaults of the classes included.

    Args:
        config: Config file of our model.
        options: Wanted values by dotted name below ``model``.

    Returns:
        One sentence for each option that differs; those of auxiliary heads that the config has under no such name are
        not compared.
    """
    model = _read(config).model.to_dict()
    heads = model.get('auxiliary_head') or {}
    found = {
        name: _effective(model, name) for name in options
        if not name.startswith('auxiliary_head.') or (isinstance(heads, dict) and heads.get(name.split('.')[1]))
    }
    return [
        f'model.{name} is {found[name]!r}, wanted is {value!r}' for name, value in options.items()
        if name in found and _plain(found[name]) != _plain(value)
    ]


def _effective(model: dict[str, Any], name: str) -> Any:
    """Look an option up where the config has it, else in the segmentor's settings, else in the class's defaults."""
    value: Any = model
    if name == 'num_classes' and model.get(name) is None:
        name = f'decode_head.{name}'
    for part in name.split('.'):
        if not isinstance(value, dict):
            return None
        if part not in value and part in _HANDED_ON and model.get(part) is not None:
            value = model[part]
        elif part not in value and 'type' in value:
            value = accepted_arguments(named_class(value, name)).get(part)
        else:
            value = value.get(part)
    return value


def _plain(value: Any) -> Any:
    """Let lists and tuples of the same entries be equal."""
    return list(value) if isinstance(value, tuple | list) else value
