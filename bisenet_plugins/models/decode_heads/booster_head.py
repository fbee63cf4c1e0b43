"""The auxiliary head that exists in training only."""

from __future__ import annotations

from typing import Any

from mmcv.cnn import ConvModule
from mmseg.registry import MODELS
from torch import Tensor, nn

from .training_loss import UpsampledLossHead


@MODELS.register_module()
class BoosterHead(UpsampledLossHead):
    """Classify one map of the backbone to strengthen its training.

    An auxiliary head: it is not run and not exported at inference. It serves as a plain decode head too.

    Args:
        in_channels: Channels of the map.
        channels: Width of the convolutions before the classifier (C_t).
        num_convs: 3x3 convolutions before the classifier.
        in_index: Place of the map in the backbone's output.
        kwargs: Arguments of mmseg's ``BaseDecodeHead``: ``num_classes``, ``loss_decode``, ``norm_cfg`` and others.

    Shape:
        - Input: tuple of maps; used is the one at ``in_index``, ``(N, in_channels, h, w)``.
        - Output: ``(N, K, h, w)`` float logits.

    Raises:
        ValueError: If ``num_convs`` is below one.

    Source:
        BiSeNet V2, Section "Booster Training Strategy", Table 4.

    Example:
        >>> import torch
        >>> head = BoosterHead(in_channels=16, channels=8, num_classes=19, in_index=1).eval()
        >>> head((torch.rand(1, 128, 4, 8), torch.rand(1, 16, 8, 16))).shape
        torch.Size([1, 19, 8, 16])
    """

    def __init__(self, in_channels: int, channels: int, num_convs: int = 1, in_index: int = -1, **kwargs: Any) -> None:
        super().__init__(in_channels=in_channels, channels=channels, in_index=in_index, **kwargs)
        self.convs = nn.Sequential(*(ConvModule(channels if i else in_channels, channels, 3, padding=1, **self.cfgs)
                                     for i in range(num_convs)))

    def forward(self, inputs: tuple[Tensor, ...]) -> Tensor:
        """Return the logits."""
        return self.cls_seg(self.convs(self._transform_inputs(inputs)))  # (N, K, h, w)
