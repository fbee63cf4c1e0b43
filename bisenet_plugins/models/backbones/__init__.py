"""Backbones."""

from .bilateral import BilateralNetwork
from .stdc import STDCBackbone, STDCClassifier
from .xception import Xception39

__all__ = ['BilateralNetwork', 'STDCBackbone', 'STDCClassifier', 'Xception39']
