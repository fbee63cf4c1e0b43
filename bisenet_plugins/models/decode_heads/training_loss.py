"""The loss of a head, from small logits where its loss functions allow that."""

from __future__ import annotations

from typing import Any

from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from mmseg.utils import SampleList
from torch import Tensor, nn

from ...errors import expect


class UpsampledLossHead(BaseDecodeHead):
    """A mmseg head whose loss is taken from the small logits where its loss functions can do that.

    Base of :class:`BGAHead` and :class:`BoosterHead`. With other loss functions, with a pixel sampler or with one
    output channel it is mmseg's own: resize the logits to the labels, then compute each loss.

    Note:
        A loss from small logits logs no ``acc_seg``, which needs the full-size logits in every iteration.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.cfgs = dict(conv_cfg=self.conv_cfg, norm_cfg=self.norm_cfg, act_cfg=self.act_cfg)
        wrong, such = ('upsampled', 'CrossEntropyLoss(use_sigmoid=True)') if self.out_channels == 1 else (
            'terms', 'OhemCrossEntropyLoss')  # a loss of several channels; the detail loss, of one border
        wanted = f'a loss of {self.out_channels} channels, such as {such}'
        for function in self._functions():
            expect(not hasattr(function, wrong), 'loss_decode', wanted, type(function).__name__)

    def _functions(self) -> Any:
        return self.loss_decode if isinstance(self.loss_decode, nn.ModuleList) else [self.loss_decode]

    def loss_by_feat(self, seg_logits: Tensor, batch_data_samples: SampleList) -> dict[str, Tensor]:
        """Return the losses by name for logits ``(N, K, h, w)`` and labels ``(N, 1, H, W)``."""
        functions = self._functions()
        if self.sampler is not None or self.out_channels == 1 or not all(hasattr(f, 'upsampled') for f in functions):
            return super().loss_by_feat(seg_logits, batch_data_samples)
        label = self._stack_batch_gt(batch_data_samples).squeeze(1)  # (N, H, W)
        losses: dict[str, Tensor] = {}
        for function in functions:
            loss = function.upsampled(seg_logits, label, self.ignore_index, self.align_corners)
            losses[function.loss_name] = losses.get(function.loss_name, 0) + loss
        return losses
