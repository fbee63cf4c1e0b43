"""From logits, images and files to class maps."""

from .fast_mask import upsample_argmax

__all__ = ['upsample_argmax']
