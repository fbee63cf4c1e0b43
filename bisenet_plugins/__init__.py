"""Bilateral segmentation networks as parts for MMSegmentation; importing it registers every part.

Every registered class is an attribute of this package, so that ``type='bisenet_plugins.X'`` finds it without
``custom_imports``. Where MMSegmentation is not installed there is nothing to register: what predicts from an exported
graph is here then, and nothing else.
"""

import sys
from importlib.util import find_spec

from .version import __version__

__all__ = ['__version__']

# "python -m bisenet_plugins" reads its options first: argv then is "-m" and what follows the name in orig_argv
if sys.argv[:1] != ['-m'] or sys.orig_argv[-len(sys.argv):][:1] != [__name__]:
    from .runtime import *  # noqa: F403
    from .runtime import __all__ as _runtime
    from .weights.store import pretrained_names

    __all__ += ['pretrained_names', *_runtime]

    if find_spec('mmseg') is not None:
        from .parts import *  # noqa: F403
        from .parts import __all__ as _parts

        __all__ += _parts
