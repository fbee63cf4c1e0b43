"""Datasets."""

from .camvid import CamVidDataset
from .street_scenes import StreetSceneDataset

__all__ = ['CamVidDataset', 'StreetSceneDataset']
