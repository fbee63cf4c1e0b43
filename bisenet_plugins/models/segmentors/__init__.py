"""Segmentors: from images to results."""

from .bilateral_segmentor import BilateralSegmentor
from .tta import BilateralTTAModel

__all__ = ['BilateralSegmentor', 'BilateralTTAModel']
