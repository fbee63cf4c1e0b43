"""Parts that join the detail map and the semantic map."""

from .feature_fusion import FeatureFusion
from .guided import BilateralGuidedAggregation
from .simple import ConcatAggregation, SumAggregation

__all__ = ['BilateralGuidedAggregation', 'ConcatAggregation', 'FeatureFusion', 'SumAggregation']
