"""Every part, registered in MMSegmentation's registries when this is imported."""

from . import registry  # noqa: F401  first: it imports MMSegmentation quietly
from .datasets import *  # noqa: F403
from .datasets import __all__ as _datasets
from .engine import *  # noqa: F403
from .engine import __all__ as _engine
from .models import *  # noqa: F403
from .models import __all__ as _models
from .registry import register_configs, register_scope
from .weights import *  # noqa: F403
from .weights import __all__ as _weights

register_scope()
register_configs()

__all__ = [*_datasets, *_engine, *_models, *_weights]
