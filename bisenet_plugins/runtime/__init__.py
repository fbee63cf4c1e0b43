"""From images to masks."""

from ..models.fast_mask import upsample_argmax
from .predictor import Predictor, load_pretrained

__all__ = ['Predictor', 'load_pretrained', 'upsample_argmax']
