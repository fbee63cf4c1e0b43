"""Trained networks that come with the package."""

from .imagenet import imagenet_weights
from .store import load_pretrained, pretrained_names

__all__ = ['imagenet_weights', 'load_pretrained', 'pretrained_names']
