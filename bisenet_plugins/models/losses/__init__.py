"""Losses."""

from .detail_loss import DetailLoss, DetailTarget
from .ohem import OhemCrossEntropyLoss

__all__ = ['DetailLoss', 'DetailTarget', 'OhemCrossEntropyLoss']
