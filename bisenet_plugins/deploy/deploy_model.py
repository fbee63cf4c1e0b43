"""What an artifact computes: the network alone, or everything from a camera's bytes to a mask.

Letters: N batch, C channels, K classes, H and W the sides of an image, h and w those of a map, in pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from ..errors import DeployError
from ..runtime.backends.torch import Logits
from ..runtime.preprocess import Preprocess
from .options import DeployOptions

__all__ = ['DeployModel', 'classify']


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


def _over(value: Any, divisor: Any) -> Any:
    """Divide whole numbers and round down."""
    return torch.div(value, divisor, rounding_mode='trunc') if isinstance(value, Tensor) else value // divisor


def _rounded(value: Any, divisor: Any) -> Any:
    """Divide whole numbers and round, half up."""
    return _over(2 * value + divisor, 2 * divisor)


class DeployModel(Logits):
    """A segmentor as the function that its artifact computes.

    The export of a self-contained graph traces it, and every artifact is compared with it.

    Args:
        segmentor: A mmseg ``EncoderDecoder`` or a class derived from it, with one decode head.
        output: ``mask`` for class ids at the input's size, ``logits`` for scores at the network's input size,
            ``logits_s8`` for scores as the head gives them.
        channel_order: ``bgr`` or ``rgb`` for a self-contained graph, which takes bytes; None for one that takes
            normalised floats.
        network_size: Height and width at which the network runs in a self-contained graph; None for those of
            ``pipeline``.
        static: Whether sizes become constants of the traced graph.
        pipeline: How a self-contained graph resizes and pads; None leaves the image's own size. Nothing is padded for
            ``logits_s8``, from which it could not be cut off.

    Shape:
        - Input: ``(N, H, W, 3)`` uint8 if self-contained, otherwise ``(N, 3, H, W)`` float.
        - Output: ``(N, H, W)`` uint8 mask if self-contained, ``(N, 1, H, W)`` int64 mask otherwise, or
          ``(N, K, h, w)`` float logits.

    Raises:
        InputError: If ``output`` or ``channel_order`` is unknown, or ``network_size`` comes without ``channel_order``.
        DeployError: If the segmentor slides a window, has a cascade of decode heads or decides in a way of its own, or
            if a byte cannot hold its classes.

    Source:
        BiSeNet V2, Section "Inference": 2048 x 1024 in, the network at 1024 x 512, the mask at 2048 x 1024.
    """

    def __init__(self, segmentor: Any, output: str = 'mask', channel_order: str | None = None,
                 network_size: tuple[int, int] | None = None, static: bool = False,
                 pipeline: Preprocess | None = None) -> None:
        super().__init__(segmentor)
        DeployOptions(output=output, channel_order=channel_order, network_size=network_size)  # checks the three
        if not self.whole:
            raise DeployError("expected a segmentor with test_cfg mode='whole' and one decode head of mmseg's kind, "
                              f'got {type(segmentor).__name__} with {segmentor.test_cfg} and '
                              f'{type(segmentor.decode_head).__name__}')
        if channel_order and segmentor.decode_head.num_classes > 255:
            raise DeployError('expected at most 255 classes in a self-contained graph, whose mask holds bytes, got '
                              f'{segmentor.decode_head.num_classes}')
        self.output, self.channel_order, self.static = output, channel_order, static
        self.pipeline = Preprocess(size=network_size, stretch=True) if network_size else pipeline or Preprocess()

    def prepare(self, image: Tensor) -> tuple[Tensor, list[Any]]:
        """Turn bytes into the network's normalised input.

        Args:
            image: Image in ``channel_order``.

        Returns:
            The input, and its height and width before it was padded.

        Shape:
            - image: ``(N, H, W, 3)`` uint8.
            - Output: ``(N, 3, h, w)`` float.
        """
        # TensorRT converts bytes directly at the input or not at all
        x = image.to(torch.float32).permute(0, 3, 1, 2)  # (N, 3, H, W)
        pre = self.segmentor.data_preprocessor
        # mmseg 1.2 and its successors name the setting differently
        swaps = any(getattr(pre, name, False) for name in ('_channel_conversion', 'channel_conversion'))
        if self.channel_order != ('rgb' if swaps else 'bgr'):
            x = torch.stack([x[:, 2], x[:, 1], x[:, 0]], dim=1)
        size, given = self._network_sides(self._sides(image.shape[1:3])), self.pipeline
        if given.size or given.scale or given.scale_factor != 1:
            x = F.interpolate(x, size=size, mode='bilinear', align_corners=False)
        if pre._enable_normalize:
            x = (x - pre.mean.to(x.device)) / pre.std.to(x.device)
        if given.divisor > 1 and self.output != 'logits_s8':
            below, right = (_over(side + given.divisor - 1, given.divisor) * given.divisor - side for side in size)
            x = F.pad(x, [0, right, 0, below], value=given.pad_value)
        return x, size

    def _sides(self, shape: Sequence[Any]) -> list[Any]:
        """Return sides as numbers; as tensors where a trace is to keep them free."""
        return [int(side) if self.static else side for side in shape]

    def _network_sides(self, sides: list[Any]) -> list[Any]:
        """Return ``Preprocess.target_size`` in whole numbers, which a graph can follow."""
        given = self.pipeline
        if given.size is not None:
            return list(given.size)
        if given.scale is None:
            over, under = Fraction(given.scale_factor).limit_denominator(1000).as_integer_ratio()
            return [_rounded(side * over, under) for side in sides]
        if not given.keep_ratio:
            return list(given.scale[::-1])
        traced = isinstance(sides[0], Tensor)
        larger, smaller = (torch.maximum, torch.minimum) if traced else (torch.sym_max, torch.sym_min)
        found = [smaller(_rounded(side * max(given.scale), larger(*sides)),
                         _rounded(side * min(given.scale), smaller(*sides))) for side in sides]
        return [side.clamp(max=max(given.scale)) for side in found] if traced else found  # a bound, for TensorRT

    def scores(self, image: Tensor) -> Tensor:
        """Compute the scores that classes are taken from.

        Args:
            image: Input as the class docstring says.

        Shape:
            - Output: ``(N, K, h, w)`` at the head's stride for ``logits_s8``, otherwise ``(N, K, H, W)``.
        """
        inputs, before = self.prepare(image) if self.channel_order else (image, [])
        logits = super().forward(inputs)  # (N, K, h, w)
        if self.output == 'logits_s8':
            return logits
        size = padded = self._sides(inputs.shape[2:])
        if self.channel_order and self.output == 'mask':
            size = self._sides(image.shape[1:3])
            padded = [_rounded(side * whole, part) for side, whole, part in zip(size, padded, before)]
        elif self.channel_order:
            size = before
        cut = self.channel_order and self.pipeline.divisor > 1
        scores = F.interpolate(logits, size=padded if cut else size, mode='bilinear',
                               align_corners=bool(self.segmentor.decode_head.align_corners))
        if not cut:
            return scores
        if torch.compiler.is_exporting():  # a slice would be taken for a whole for ever if it is one of the example
            rows, columns = (torch.arange(side, device=scores.device) for side in size)
            return scores.index_select(2, rows).index_select(3, columns)
        return scores[:, :, :size[0], :size[1]]

    def forward(self, image: Tensor) -> Tensor:
        """Compute the output; see the class for its shape."""
        scores = self.scores(image)
        if self.output != 'mask':
            return scores
        if self.channel_order is None:
            return classify(self.segmentor, scores, keepdim=True)
        return classify(self.segmentor, scores).to(torch.uint8)
