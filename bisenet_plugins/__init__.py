"""Bilateral segmentation networks as parts for MMSegmentation; importing it registers every part.

Every registered class is an attribute of this package, so that ``type='bisenet_plugins.X'`` finds it without
``custom_imports``.
"""

from .datasets import *  # noqa: F403
from .datasets import __all__ as _datasets
from .engine import *  # noqa: F403
from .engine import __all__ as _engine
from .inference import *  # noqa: F403
from .inference import __all__ as _inference
from .models import *  # noqa: F403
from .models import __all__ as _models
from .pretrained import *  # noqa: F403
from .pretrained import __all__ as _pretrained
from .version import __version__

__all__ = ['__version__', *_datasets, *_engine, *_inference, *_models, *_pretrained]
