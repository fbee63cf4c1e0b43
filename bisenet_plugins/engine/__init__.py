"""Training and testing: hooks, exact resuming, safe checkpoints, and what the tools call."""

from .autocast import AutocastOptimWrapper
from .checkpoint_hook import AtomicCheckpointHook, AtomicLocalBackend
from .curves_hook import CurvesHook, draw_curves, read_history
from .finite_hook import FiniteTrainingHook
from .label_hook import LabelCheckHook
from .pictures_hook import PicturesHook, WritePredictionsHook
from .reproducible import PlacedIndex, ReproducibleTrainingHook, ResumableSampler, SeedSample

__all__ = ['AtomicCheckpointHook', 'AtomicLocalBackend', 'AutocastOptimWrapper', 'CurvesHook', 'FiniteTrainingHook',
           'LabelCheckHook', 'PicturesHook', 'PlacedIndex', 'ReproducibleTrainingHook', 'ResumableSampler',
           'SeedSample', 'WritePredictionsHook', 'draw_curves', 'read_history']
