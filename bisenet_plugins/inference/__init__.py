"""From logits, images and files to class maps."""

from .fast_mask import upsample_argmax
from .predictor import Predictor

__all__ = ['Predictor', 'upsample_argmax']
