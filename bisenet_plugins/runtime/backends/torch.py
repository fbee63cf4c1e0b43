"""PyTorch: a fused copy of the network."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from mmseg.models.segmentors import EncoderDecoder
from torch import Tensor, nn

from ...models.fuse import fused_copy
from ...models.segmentors.bilateral_segmentor import HEAD_STEPS, inherits

__all__ = ['Logits', 'TorchBackend']


class Logits(nn.Module):
    """Backbone, neck and decode head of a segmentor, and nothing else.

    What every backend computes and every exporter traces.

    Args:
        segmentor: A mmseg ``EncoderDecoder`` or a class derived from it.

    Shape:
        - Input: ``(N, C, h, w)`` float, normalised.
        - Output: ``(N, K, h', w')`` float logits, at the head's own stride; at the input's size for a segmentor that
          slides a window, or that decides in a way of its own.
    """

    def __init__(self, segmentor: Any) -> None:
        super().__init__()
        self.segmentor = segmentor
        settings = getattr(segmentor, 'test_cfg', None) or {}
        self.whole = (settings.get('mode', 'whole') == 'whole'
                      and inherits(segmentor, EncoderDecoder, ('encode_decode',))
                      and inherits(segmentor.decode_head, BaseDecodeHead, HEAD_STEPS))

    def forward(self, inputs: Tensor) -> Tensor:
        """Return the logits."""
        if self.whole:
            return self.segmentor.decode_head(self.segmentor.extract_feat(inputs))
        sides = tuple(inputs.shape[2:])
        metas = [dict(ori_shape=sides, img_shape=sides, pad_shape=sides, padding_size=[0] * 4) for _ in inputs]
        return self.segmentor.inference(inputs, metas)


class TorchBackend:
    """A network's fused copy on PyTorch.

    Args:
        segmentor: The loaded network, which stays as it is.

    Shape:
        - Input: ``(N, C, h, w)`` float32 array.
        - Output: ``(N, K, h', w')`` float32 tensor on the network's device.
    """

    def __init__(self, segmentor: nn.Module) -> None:
        self.network = Logits(fused_copy(segmentor))
        self.device = next(segmentor.parameters()).device

    @torch.inference_mode()
    def __call__(self, inputs: np.ndarray) -> Tensor:
        """Return the logits."""
        return self.network(torch.from_numpy(inputs).to(self.device))

    def scores(self, inputs: np.ndarray) -> Tensor:
        """Return the logits."""
        return self(inputs)
