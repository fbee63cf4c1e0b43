"""Datasets."""

from .camvid import CamVidDataset
from .decoded import LoadDecoded
from .photometric import PhotoMetricDistortionByTable
from .scenes.street_scenes import StreetSceneDataset
from .transforms import RandomScaleCropWarp

__all__ = ['CamVidDataset', 'LoadDecoded', 'PhotoMetricDistortionByTable', 'RandomScaleCropWarp', 'StreetSceneDataset']
