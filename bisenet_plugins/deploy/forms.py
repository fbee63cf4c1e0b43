"""What a deployed graph computes: the network alone, or the whole way from a camera's bytes to a class map."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from mmengine.model import BaseModule
from torch import Tensor, nn

from ..errors import DeployError

__all__ = ['OUTPUTS', 'DeployForm', 'classify', 'network_logits']

OUTPUTS = ('mask', 'logits', 'logits_s8')


def swaps_channels(preprocessor: Any) -> bool:
    """Return whether a ``SegDataPreProcessor`` reverses the order of channels.

    Args:
        preprocessor: The built preprocessor; mmseg 1.2 and its successors name the setting differently.
    """
    return any(bool(getattr(preprocessor, name, False)) for name in ('_channel_conversion', 'channel_conversion'))


def network_logits(segmentor: Any, inputs: Tensor) -> Tensor:
    """Run backbone, neck and decode head, and nothing else.

    Args:
        segmentor: A mmseg ``EncoderDecoder`` or a class derived from it.
        inputs: Normalised images.

    Shape:
        - inputs: ``(N, 3, H, W)`` float.
        - Output: ``(N, K, h, w)`` float logits at the head's own stride (8 for the bilateral networks).
    """
    return segmentor.decode_head(segmentor.extract_feat(inputs))


def classify(segmentor: Any, logits: Tensor, keepdim: bool = False) -> Tensor:
    """Take the class of every pixel, also for a head with a single sigmoid channel.

    Args:
        segmentor: Where the head and its threshold are.
        logits: Scores.
        keepdim: Keep the channel axis.

    Shape:
        - logits: ``(N, K, h, w)``.
        - Output: ``(N, h, w)``, or ``(N, 1, h, w)``, int64.
    """
    if logits.shape[1] == 1:
        mask = (logits.sigmoid() > segmentor.decode_head.threshold).to(torch.int64)
        return mask if keepdim else mask.squeeze(1)
    return logits.argmax(dim=1, keepdim=keepdim)


class DeployForm(BaseModule):
    """Wrap a segmentor as the function that an artefact has to be.

    It is the module that the self-contained export traces, and the reference that every artefact is compared with.

    Args:
        segmentor: A mmseg ``EncoderDecoder`` or a class derived from it, with one decode head.
        output: ``mask`` for classes at the input's size, ``logits`` for scores at the network's input size,
            ``logits_s8`` for scores as the head gives them.
        channel_order: ``bgr`` or ``rgb`` for a self-contained form that takes bytes; None for one that takes
            normalised floats.
        network_size: Height and width at which the network runs in a self-contained form; None for the image's own.
        static: Sizes become constants of the traced graph.

    Shape:
        - Input: ``(N, H, W, 3)`` uint8 in the self-contained form, otherwise ``(N, 3, H, W)`` float.
        - Output: ``(N, H, W)`` uint8 mask in the self-contained form, ``(N, 1, H, W)`` int64 mask otherwise, or
          ``(N, K, h, w)`` float logits.

    Raises:
        ValueError: If ``output`` or ``channel_order`` is not one of the known words, or ``network_size`` is asked
            for without the self-contained form.
        DeployError: If the segmentor has a cascade of decode heads, or more classes than a byte holds.

    Source:
        BiSeNet V2, Section "Inference": 2048 x 1024 in, the network at 1024 x 512, the map at 2048 x 1024.
    """

    def __init__(self,
                 segmentor: Any,
                 output: str = 'mask',
                 channel_order: str | None = None,
                 network_size: tuple[int, int] | None = None,
                 static: bool = False) -> None:
        super().__init__()
        if output not in OUTPUTS:
            raise ValueError(f'output is {output!r}; it must be one of {OUTPUTS}')
        if channel_order not in (None, 'bgr', 'rgb'):
            raise ValueError(f"channel_order is {channel_order!r}; it must be 'bgr', 'rgb' or None")
        if network_size is not None and channel_order is None:
            raise ValueError('network_size is for the self-contained form; give channel_order as well')
        if isinstance(segmentor.decode_head, nn.ModuleList):
            raise DeployError('the segmentor has a cascade of decode heads; one decode head is supported')
        if channel_order is not None and segmentor.decode_head.num_classes > 255:
            raise DeployError(f'the model has {segmentor.decode_head.num_classes} classes; a byte holds 255')
        self.segmentor: Any = segmentor
        self.output = output
        self.channel_order = channel_order
        self.network_size = network_size
        self.static = static
        self.align_corners = bool(segmentor.decode_head.align_corners)

    def _size(self, shape: torch.Size) -> list[int]:
        return [int(side) for side in shape] if self.static else list(shape)

    def prepare(self, image: Tensor) -> Tensor:
        """Turn bytes into the network's normalised input.

        Args:
            image: Image in ``channel_order``.

        Shape:
            - image: ``(N, H, W, 3)`` uint8.
            - Output: ``(N, 3, H, W)`` float, or at ``network_size``.
        """
        # TensorRT converts bytes at the very entry or not at all
        x = image.to(torch.float32).permute(0, 3, 1, 2)  # (N, 3, H, W)
        pre = self.segmentor.data_preprocessor
        wanted = 'rgb' if swaps_channels(pre) else 'bgr'
        if self.channel_order != wanted:
            x = torch.stack([x[:, 2], x[:, 1], x[:, 0]], dim=1)
        if self.network_size is not None:
            x = F.interpolate(x, size=list(self.network_size), mode='bilinear', align_corners=False)
        if pre._enable_normalize:
            x = (x - pre.mean.to(x.device)) / pre.std.to(x.device)
        return x

    def scores(self, image: Tensor) -> Tensor:
        """Compute the scores that classes are taken from.

        Args:
            image: Input in the form's layout.

        Shape:
            - image: as the class docstring says.
            - Output: ``(N, K, h, w)`` at the head's stride for ``logits_s8``, otherwise ``(N, K, H, W)``.
        """
        inputs = image if self.channel_order is None else self.prepare(image)
        logits = network_logits(self.segmentor, inputs)
        if self.output == 'logits_s8':
            return logits
        size = inputs.shape[2:] if self.output == 'logits' or self.channel_order is None else image.shape[1:3]
        return F.interpolate(logits, size=self._size(size), mode='bilinear', align_corners=self.align_corners)

    def forward(self, image: Tensor) -> Tensor:
        """Compute the output; the class docstring tells the shapes."""
        scores = self.scores(image)
        if self.output != 'mask':
            return scores
        if self.channel_order is None:
            return classify(self.segmentor, scores, keepdim=True)
        return classify(self.segmentor, scores).to(torch.uint8)
