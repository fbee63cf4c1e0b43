"""The decode head that joins two maps."""

from __future__ import annotations

from typing import Any

from mmcv.cnn import ConvModule
from mmseg.registry import MODELS
from torch import Tensor

from ..build import build_part
from .training_loss import UpsampledLossHead


@MODELS.register_module()
class BGAHead(UpsampledLossHead):
    """Join the detail map and the semantic map, then classify.

    The decode head of the bilateral family, behind :class:`BilateralNetwork` or any backbone with two maps.

    Args:
        in_channels: Channels of the detail map and of the semantic map.
        channels: Width of the 3x3 convolution before the classifier (C_t).
        aggregation: Config of the part that joins the maps; this head's ``conv_cfg``, ``norm_cfg``, ``act_cfg`` and
            ``align_corners`` are handed on to it.
        aggregation_channels: Width of the joined map; ``None`` leaves it to the aggregation.
        in_index: Places of the two maps in the backbone's output, detail first.
        kwargs: Arguments of mmseg's ``BaseDecodeHead``: ``num_classes``, ``loss_decode``, ``norm_cfg`` and others.

    Shape:
        - Input: tuple of maps; used are detail ``(N, C0, h, w)`` and semantic ``(N, C1, h', w')``.
        - Output: ``(N, K, h, w)`` float logits, at the detail's stride 8.

    Raises:
        ValueError: If ``in_channels`` or ``in_index`` has not two entries.

    Source:
        BiSeNet V2, Figures 3 and 6, Table 2.

    Example:
        >>> import torch
        >>> head = BGAHead(in_channels=(128, 128), channels=64, num_classes=19).eval()
        >>> head((torch.rand(1, 128, 8, 16), torch.rand(1, 128, 2, 4))).shape
        torch.Size([1, 19, 8, 16])
    """

    def __init__(self, in_channels: tuple[int, int], channels: int,
                 aggregation: dict = dict(type='BilateralGuidedAggregation'), aggregation_channels: int | None = None,
                 in_index: tuple[int, int] = (0, -1), **kwargs: Any) -> None:
        super().__init__(
            in_channels=in_channels, channels=channels, in_index=in_index, input_transform='multiple_select', **kwargs)
        self.aggregation = build_part(aggregation, 'aggregation', in_channels=tuple(in_channels),
                                      channels=aggregation_channels, align_corners=self.align_corners, **self.cfgs)
        self.conv = ConvModule(self.aggregation.out_channels, channels, 3, padding=1, **self.cfgs)

    def forward(self, inputs: tuple[Tensor, ...]) -> Tensor:
        """Return the logits."""
        detail, semantic = self._transform_inputs(inputs)
        return self.cls_seg(self.conv(self.aggregation(detail, semantic)))  # (N, K, h, w)
