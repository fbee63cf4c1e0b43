"""Segmentors: from images to results."""

from .bilateral_segmentor import BilateralSegmentor

__all__ = ['BilateralSegmentor']
