"""Registries of this package's own scope, and where mmengine finds its configs.

``type='bisenet_plugins.X'`` and configs inherited as ``_base_ = 'bisenet_plugins::...'`` resolve through these; the
parts themselves are registered in mmseg's registries, so that plain names work too.
"""

from __future__ import annotations

import contextlib
import io
import warnings
from importlib import metadata

import mmseg.registry
from mmengine.config import utils
from mmengine.registry import Registry

from .arguments import checked

__all__ = ['import_quietly', 'register_configs', 'register_scope']

SCOPE = 'bisenet_plugins'


def import_quietly() -> None:
    """Import MMSegmentation without two complaints that concern nobody here; others come through.

    They are of a service's client that is not installed, and of an operator that no part of this package needs.
    """
    printed = io.StringIO()
    with warnings.catch_warnings(), contextlib.redirect_stdout(printed):
        warnings.filterwarnings('ignore', 'Fail to import ``MultiScaleDeformableAttention``')
        import mmcv.cnn.bricks.transformer  # noqa: F401
        import mmseg.datasets  # noqa: F401
    print(printed.getvalue().replace('Could not import OneDL\n', ''), end='')


def register_scope() -> dict[str, Registry]:
    """Make a child of every registry of mmseg, under this package's scope; more than once is a no-op.

    Parts of this package check their arguments from then on.

    Returns:
        The children by the name of the attribute that holds the parent in ``mmseg.registry``.

    Example:
        >>> register_scope()['MODELS'].get('FCNHead').__name__
        'FCNHead'
    """
    made = {}
    for name, parent in vars(mmseg.registry).items():
        if isinstance(parent, Registry):
            for part in parent.module_dict.values():
                if part.__module__.startswith(f'{SCOPE}.'):
                    checked(part)
            if SCOPE not in parent.children:
                Registry(parent.name, parent=parent, scope=SCOPE, locations=[*parent._locations, SCOPE])
            made[name] = parent.children[SCOPE]
    return made


def register_configs() -> None:
    """Tell mmengine where configs named ``bisenet_plugins::`` and ``mmseg::`` lie.

    Note:
        mmengine knows a closed list of packages, and mmseg by the name of one of its distributions only.
    """
    utils.MODULE2PACKAGE.setdefault(SCOPE, SCOPE)
    for distribution in ('onedl-mmsegmentation', 'mmsegmentation'):  # of two the second counts
        with contextlib.suppress(metadata.PackageNotFoundError):
            metadata.version(distribution)
            utils.MODULE2PACKAGE['mmseg'] = distribution


import_quietly()
