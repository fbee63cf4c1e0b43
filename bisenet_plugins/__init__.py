"""Bilateral segmentation networks as parts for MMSegmentation; importing it registers every part.

Every registered class is an attribute of this package, so that ``type='bisenet_plugins.X'`` finds it without
``custom_imports``.
"""

from .datasets import *  # noqa: F403
from .datasets import __all__ as _datasets
from .engine import *  # noqa: F403
from .engine import __all__ as _engine
from .models import *  # noqa: F403
from .models import __all__ as _models
from .registry import register_configs, register_scope
from .runtime import *  # noqa: F403
from .runtime import __all__ as _runtime
from .version import __version__
from .weights import *  # noqa: F403
from .weights import __all__ as _weights

register_scope()
register_configs()

__all__ = ['__version__', *_datasets, *_engine, *_models, *_runtime, *_weights]
