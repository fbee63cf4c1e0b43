"""The parts of the networks."""

from . import aggregations, backbones, branches, decode_heads, losses, segmentors
from .aggregations import *  # noqa: F403
from .backbones import *  # noqa: F403
from .branches import *  # noqa: F403
from .decode_heads import *  # noqa: F403
from .fuse import switch_to_deploy
from .losses import *  # noqa: F403
from .segmentors import *  # noqa: F403

__all__ = [*aggregations.__all__, *backbones.__all__, *branches.__all__, *decode_heads.__all__, *losses.__all__,
           *segmentors.__all__, 'switch_to_deploy']
