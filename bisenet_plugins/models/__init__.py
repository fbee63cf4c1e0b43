"""The parts of the networks."""

from .aggregations import *  # noqa: F403
from .aggregations import __all__ as _aggregations
from .backbones import *  # noqa: F403
from .backbones import __all__ as _backbones
from .branches import *  # noqa: F403
from .branches import __all__ as _branches
from .decode_heads import *  # noqa: F403
from .decode_heads import __all__ as _decode_heads
from .fuse import switch_to_deploy
from .losses import *  # noqa: F403
from .losses import __all__ as _losses
from .segmentors import *  # noqa: F403
from .segmentors import __all__ as _segmentors

__all__ = [*_aggregations, *_backbones, *_branches, *_decode_heads, *_losses, *_segmentors, 'switch_to_deploy']
