"""Trained networks that come with the package."""

from .store import load_pretrained, pretrained_names

__all__ = ['load_pretrained', 'pretrained_names']
