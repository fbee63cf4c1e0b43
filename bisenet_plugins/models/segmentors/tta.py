"""Test-time augmentation of a segmentor that usually holds no full-size logits."""

from __future__ import annotations

from itertools import chain
from typing import Any

from mmengine.config import ConfigDict
from mmseg.models.segmentors import SegTTAModel
from mmseg.registry import MODELS


@MODELS.register_module()
class BilateralTTAModel(SegTTAModel):
    """Average the predictions of a segmentor over augmented copies of an image.

    The ``tta_model`` of a config; mmseg's ``SegTTAModel`` that asks :class:`BilateralSegmentor` for the logits that it
    averages. Behind mmseg's ``SegTTAModel`` itself the segmentor needs ``test_cfg=dict(return_logits=True)``.

    Args:
        kwargs: Arguments of mmseg's ``SegTTAModel``; ``module`` is the segmentor.

    Shape:
        - Input of ``test_step``: a batch for each augmentation.
        - Output: data samples with ``pred_sem_seg`` ``(1, H, W)``.

    Example:
        >>> import mmseg.models
        >>> backbone = dict(type='ResNetV1c', depth=18, base_channels=8, norm_cfg=dict(type='BN'))
        >>> head = dict(type='FCNHead', in_channels=64, channels=8, num_classes=3, norm_cfg=dict(type='BN'))
        >>> model = MODELS.build(dict(type='BilateralTTAModel', module=dict(
        ...     type='BilateralSegmentor', backbone=backbone, decode_head=head)))
        >>> model.module.test_cfg.return_logits
        True
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.module.test_cfg = ConfigDict({**(self.module.test_cfg or {}), 'return_logits': True})

    def merge_preds(self, data_samples_list: list[Any]) -> list[Any]:
        """Average the views of each image; one channel comes as a probability, which mmseg takes for a logit."""
        if self.module.out_channels == 1:
            for sample in chain(*data_samples_list):
                sample.seg_logits.data = sample.seg_logits.data.logit()
        merged = super().merge_preds(data_samples_list)
        for sample in merged:
            sample.pred_sem_seg.data = sample.pred_sem_seg.data.long()
        return merged
