"""Datasets."""

from .camvid import CamVidDataset
from .decoded import LoadDecoded
from .paste import PasteComponents
from .photometric import PhotoMetricDistortionByTable
from .scenes.street_scenes import StreetSceneDataset
from .transforms import RandomScaleCropWarp

__all__ = ['CamVidDataset', 'LoadDecoded', 'PasteComponents', 'PhotoMetricDistortionByTable', 'RandomScaleCropWarp',
           'StreetSceneDataset']
