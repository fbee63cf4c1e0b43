"""Cross entropy over the hard pixels only."""

from __future__ import annotations

import math
from typing import Any

import torch.nn.functional as F
from mmseg.registry import MODELS
from torch import Tensor, nn

from ...errors import expect
from .upsampled import hardest, least_kept, upsampled_ohem


@MODELS.register_module()
class OhemCrossEntropyLoss(nn.Module):
    """Average the cross entropy over hard pixels (online hard example mining).

    A ``loss_decode`` for any mmseg head. Kept are the pixels whose true class gets a probability under ``threshold``,
    and the hardest ones up to ``min_kept`` of the valid pixels where these are fewer.

    Args:
        threshold: Probability of the true class under which a pixel is hard; 1 keeps every valid pixel.
        min_kept: Least share of the batch's pixels that is kept.
        min_kept_of: What ``min_kept`` is a share of: ``'valid'``, the pixels with a label; ``'all'``, ignored ones
            included, as the STDC and BiSeNet V1 releases count. Never more than the valid pixels are kept.
        class_weight: Factor on the loss of each class.
        loss_weight: Factor on the result.
        loss_name: Key of the result in the log; only names that start with ``loss`` are trained on.

    Shape:
        - Input: logits ``(N, K, H, W)`` and labels ``(N, H, W)``, int64.
        - Output: scalar, the mean over the kept pixels of the whole batch; 0, with zero gradient, where no pixel is
          valid.

    Raises:
        ValueError: If ``threshold`` or ``min_kept`` is outside (0, 1], ``min_kept_of`` is unknown, or ``loss_name``
            does not start with ``loss``; while running, if ``class_weight`` has not a value for each class.

    Source:
        BiSeNet V2, Section "Training" (OHEM, after Shrivastava et al. 2016); the share 1/16 is that of the STDC and
        BiSeNet V1 releases.

    Example:
        >>> import torch
        >>> loss = OhemCrossEntropyLoss()
        >>> loss(torch.zeros(1, 4, 2, 2), torch.zeros(1, 2, 2, dtype=torch.long))
        tensor(1.3863)
    """

    def __init__(self, threshold: float = 0.7, min_kept: float = 1 / 16, min_kept_of: str = 'valid',
                 class_weight: list[float] | None = None, loss_weight: float = 1.0,
                 loss_name: str = 'loss_ohem') -> None:
        super().__init__()
        for name, value in dict(threshold=threshold, min_kept=min_kept).items():
            expect(0 < value <= 1, name, 'a number above 0 and at most 1', value)
        expect(min_kept_of in ('valid', 'all'), 'min_kept_of', "'valid' or 'all'", min_kept_of)
        expect(loss_name.startswith('loss'), 'loss_name', "a name that starts with 'loss' (mmengine sums only such)",
               loss_name)
        # No loss is below zero: at threshold 1 every pixel is kept, which is plain cross entropy.
        self.hard_loss = -math.log(threshold) if threshold < 1 else -0.5
        self.min_kept, self.min_kept_of = min_kept, min_kept_of
        self.loss_weight, self.class_weight, self.loss_name = loss_weight, class_weight, loss_name

    def forward(self, seg_logits: Tensor, seg_label: Tensor, weight: Tensor | None = None, ignore_index: int = 255,
                reduction_override: str | None = None, **kwargs: Any) -> Tensor:
        """Return the scalar loss; ``weight`` is a factor on each pixel, ``(N, H, W)``.

        With ``reduction_override='none'`` it is the cross entropy of each pixel, by which mmseg's ``OHEMPixelSampler``
        chooses.
        """
        # Hardness is the unweighted loss: class weights must not decide which pixels count as hard.
        plain = F.cross_entropy(seg_logits, seg_label, ignore_index=ignore_index, reduction='none')  # (N, H, W)
        if reduction_override == 'none':
            return plain * self.loss_weight
        valid = seg_label != ignore_index
        num_valid = int(valid.sum())
        if num_valid == 0:
            return plain.sum() * self.loss_weight
        hardness = plain.detach().masked_fill(~valid, -1.0).flatten()  # (N * H * W,)
        kept = ~(hardness <= self.hard_loss)  # NaN is kept: a training that diverged has to be seen
        least = least_kept(num_valid, seg_label.numel(), self.min_kept, self.min_kept_of)
        if int(kept.sum()) < least:
            kept = hardest(hardness, least)
        loss = plain.flatten()[kept]  # (kept pixels,)
        if (class_weight := self._weights(seg_logits)) is not None:
            loss = loss * class_weight[seg_label.flatten()[kept]]
        if weight is not None:
            loss = loss * weight.flatten()[kept]
        return loss.mean() * self.loss_weight

    def upsampled(self, seg_logits: Tensor, seg_label: Tensor, ignore_index: int = 255,
                  align_corners: bool = False) -> Tensor:
        """Return the same loss for small logits ``(N, K, h, w)``, without ever holding full-size ones."""
        return self.loss_weight * upsampled_ohem(seg_logits, seg_label, self.hard_loss, self.min_kept, ignore_index,
                                                 align_corners, self._weights(seg_logits), self.min_kept_of)

    def _weights(self, seg_logits: Tensor) -> Tensor | None:
        """Return the factor on each class."""
        if self.class_weight is None:
            return None
        count = seg_logits.shape[1]
        expect(len(self.class_weight) == count, 'class_weight', f'{count} values', len(self.class_weight))
        return seg_logits.new_tensor(self.class_weight)
