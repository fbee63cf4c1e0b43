"""Decode heads and auxiliary heads."""

from .bga_head import BGAHead
from .booster_head import BoosterHead
from .detail_guidance_head import DetailGuidanceHead

__all__ = ['BGAHead', 'BoosterHead', 'DetailGuidanceHead']
