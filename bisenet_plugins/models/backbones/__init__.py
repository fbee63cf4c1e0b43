"""Backbones."""

from .bilateral import BilateralNetwork
from .efficientnet_lite import EfficientNetLite
from .stdc import STDCBackbone, STDCClassifier
from .xception import Xception39

__all__ = ['BilateralNetwork', 'EfficientNetLite', 'STDCBackbone', 'STDCClassifier', 'Xception39']
