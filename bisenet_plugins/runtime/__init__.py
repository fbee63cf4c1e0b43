"""From images to masks; importing it loads no PyTorch."""

from ..fast_mask import upsample_argmax
from .predictor import Predictor, load_pretrained

__all__ = ['Predictor', 'load_pretrained', 'upsample_argmax']
