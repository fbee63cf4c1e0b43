"""Weights of other projects: which names mean the same, and under which options of ours the networks are equal."""

from .convert import Conversion, convert_file, read_weights, recognise, to_mmseg, to_ours
from .projects import SOURCES
from .sources import Source

__all__ = ['SOURCES', 'Conversion', 'Source', 'convert_file', 'read_weights', 'recognise', 'to_mmseg', 'to_ours']
