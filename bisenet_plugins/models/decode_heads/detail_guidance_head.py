"""The auxiliary head of STDC-Seg that teaches a shallow map where borders are."""

from __future__ import annotations

from typing import Any

from mmcv.cnn import ConvModule
from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from mmseg.registry import MODELS
from torch import Tensor

from ...errors import expect
from ..layers import resize_to
from ..losses.detail_loss import DetailTarget


@MODELS.register_module()
class DetailGuidanceHead(BaseDecodeHead):
    """Predict the borders between classes from the detail map, in training only.

    An auxiliary head: it is not run and not exported at inference. Its target is drawn from the segmentation labels.

    Args:
        in_channels: Channels of the detail map.
        channels: Width of the 3x3 convolution before the classifier.
        in_index: Place of the detail map in the backbone's output.
        target: ``'faithful'`` or ``'release'``, see :class:`DetailTarget`.
        fusion_weights: Weights of the border maps of stride 1, 2 and 4.
        trainable_fusion: Whether these weights learn, see :class:`DetailTarget`.
        num_classes: Accepted, and without effect, so that a config may set it on every head; the map has one channel.
        dropout_ratio: Share of the channels left out before the classifier in training.
        loss_decode: Config of the loss; :class:`DetailLoss` or one called alike that has ``terms``.
        kwargs: Arguments of mmseg's ``BaseDecodeHead``: ``norm_cfg``, ``align_corners``, ``ignore_index`` and others.

    Shape:
        - Input: tuple of maps; used is the one at ``in_index``, ``(N, in_channels, h, w)``.
        - Output: ``(N, 1, h, w)`` float logits. The loss has the scalars ``loss_detail_bce`` and ``loss_detail_dice``.

    Raises:
        ValueError: If ``target`` is unknown or ``fusion_weights`` has not three entries.

    Source:
        STDC, Section 3.3, Figures 4 and 5.

    Example:
        >>> import torch
        >>> head = DetailGuidanceHead(in_channels=16, channels=8).eval()
        >>> head((torch.rand(1, 16, 8, 16),)).shape
        torch.Size([1, 1, 8, 16])
    """

    def __init__(self, in_channels: int, channels: int = 64, in_index: int = 0, target: str = 'faithful',
                 fusion_weights: tuple[float, float, float] = (0.6, 0.3, 0.1), trainable_fusion: bool = False,
                 num_classes: int = 1, dropout_ratio: float = 0.0, loss_decode: dict = dict(type='DetailLoss'),
                 **kwargs: Any) -> None:
        super().__init__(in_channels=in_channels, channels=channels, in_index=in_index, num_classes=1, threshold=0.5,
                         dropout_ratio=dropout_ratio, loss_decode=loss_decode, **kwargs)
        expect(hasattr(self.loss_decode, 'terms'), 'loss_decode', 'a DetailLoss', type(self.loss_decode).__name__)
        self.conv = ConvModule(
            in_channels, channels, 3, padding=1, conv_cfg=self.conv_cfg, norm_cfg=self.norm_cfg, act_cfg=self.act_cfg)
        self.detail_target = DetailTarget(target, fusion_weights, trainable_fusion, self.ignore_index)

    def forward(self, inputs: tuple[Tensor, ...]) -> Tensor:
        """Return the border logits."""
        return self.cls_seg(self.conv(self._transform_inputs(inputs)))  # (N, 1, h, w)

    def loss_by_feat(self, seg_logits: Tensor, batch_data_samples: list) -> dict[str, Tensor]:
        """Draw the target from the labels and return both terms of the loss."""
        label = self._stack_batch_gt(batch_data_samples)  # (N, 1, H, W)
        target, valid = self.detail_target(label.squeeze(1))
        logits = resize_to(seg_logits, label, self.align_corners)  # (N, 1, H, W)
        bce, dice = self.loss_decode.terms(logits, target, valid)
        name = self.loss_decode.loss_name
        return {f'{name}_bce': self.loss_decode.bce_weight * bce, f'{name}_dice': self.loss_decode.dice_weight * dice}
