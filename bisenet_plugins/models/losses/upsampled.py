"""Upsampling and cross entropy in one pass over tiles of the image, without full-size logits.

Shape letters: N batch, K classes, H and W label sides, h and w map sides, in pixels.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import product
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

# Logits that are held at once: what fits a core's cache, or fills a GPU.
TILE_VALUES = dict(cpu=2**19, cuda=2**26)


def upsampled_ohem(logits: Tensor, labels: Tensor, hard_loss: float, min_kept: float, ignore_index: int = 255,
                   align_corners: bool = False, class_weight: Tensor | None = None,
                   min_kept_of: str = 'valid') -> Tensor:
    """Average the cross entropy of bilinearly upsampled logits over the hard pixels.

    The same value and gradient as ``OhemCrossEntropyLoss`` on ``F.interpolate(logits, labels.shape[1:])``; memory and
    time are saved because the gradient with respect to the small map is summed tile by tile while the loss is
    computed.

    Args:
        logits: Small map of logits.
        labels: Class ids.
        hard_loss: Loss above which a pixel is kept.
        min_kept: Least share of the pixels that is kept; where fewer are hard, a second pass is needed.
        ignore_index: Id of pixels that take no part.
        align_corners: How the logits are resized.
        class_weight: Factor on the loss of each class.
        min_kept_of: Which pixels ``min_kept`` is a share of, ``'valid'`` or ``'all'``.

    Shape:
        - Input: logits ``(N, K, h, w)``, labels ``(N, H, W)`` int64, class weight ``(K,)``.
        - Output: float32 scalar.

    Example:
        >>> upsampled_ohem(torch.zeros(1, 4, 2, 2), torch.zeros(1, 8, 8, dtype=torch.long), 0.3, 1 / 16)
        tensor(1.3863)
    """
    with_grad = logits.requires_grad and torch.is_grad_enabled()
    with torch.no_grad(), torch.autocast(logits.device.type, enabled=False):
        tiles = _Tiles(logits.float(), labels, ignore_index, align_corners, class_weight, with_grad)
        tiles.run(lambda loss, _: loss > hard_loss)
        least = least_kept(tiles.num_valid, labels.numel(), min_kept, min_kept_of)
        if tiles.num_kept < least:
            chosen = hardest(tiles.losses, least)
            tiles.run(lambda _, place: chosen[place])
    count = max(tiles.num_kept, 1)
    grad = None if tiles.grad is None else tiles.grad.div_(count)
    return _WithGradient.apply(logits, tiles.total / count, grad)


def least_kept(num_valid: int, num_pixels: int, min_kept: float, min_kept_of: str) -> int:
    """Return how many pixels the loss is taken over at least.

    Args:
        num_valid: Pixels that take part.
        num_pixels: All pixels.
        min_kept: Least share that is kept.
        min_kept_of: What it is a share of, ``'valid'`` or ``'all'``.

    Example:
        >>> least_kept(160, 320, 1 / 16, 'valid'), least_kept(160, 320, 1 / 16, 'all'), least_kept(0, 320, 1, 'all')
        (10, 20, 0)
    """
    return min(num_valid, max(int((num_valid if min_kept_of == 'valid' else num_pixels) * min_kept), 1))


def hardest(losses: Tensor, count: int) -> Tensor:
    """Return a mask of the pixels with the greatest losses.

    Args:
        losses: Loss of each pixel.
        count: How many pixels.

    Shape:
        - losses: any; the output has the same shape.

    Example:
        >>> hardest(torch.tensor([0.1, 0.9, 0.5]), 2)
        tensor([False,  True,  True])
    """
    chosen = torch.zeros_like(losses, dtype=torch.bool).flatten()
    return chosen.scatter_(0, losses.flatten().topk(count).indices, True).view_as(losses)


class _WithGradient(torch.autograd.Function):
    """A value of logits whose gradient is known already; float32 holds it until it is scaled, as GradScaler does."""

    @staticmethod
    def forward(ctx: Any, logits: Tensor, value: Tensor, known: Tensor | None) -> Tensor:
        ctx.known, ctx.dtype = known, logits.dtype
        return value.clone()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple:
        return (ctx.known * grad).to(ctx.dtype), None, None


class _Tiles:
    """Walk over the labels tile by tile, summing the loss and its gradient over chosen pixels."""

    def __init__(self, logits: Tensor, labels: Tensor, ignore_index: int, align_corners: bool,
                 class_weight: Tensor | None, with_grad: bool) -> None:
        self.logits, self.labels = logits, labels
        self.valid = labels != ignore_index
        self.num_valid = int(self.valid.sum())
        self.class_weight = None if class_weight is None else class_weight.float()
        self.with_grad = with_grad
        side = max(8, math.isqrt(TILE_VALUES.get(logits.device.type, 2**24) // logits.shape[1]))
        self.rows, self.columns = (interpolation_bands(small, large, side, align_corners, logits.device)
                                   for small, large in zip(logits.shape[2:], labels.shape[1:]))
        self.losses = logits.new_full(labels.shape, -1.0)

    def run(self, choose: Callable[[Tensor, tuple], Tensor]) -> None:
        """Sum over the pixels for which ``choose(loss, place)`` holds."""
        self.total = self.logits.new_zeros(())
        self.grad = torch.zeros_like(self.logits) if self.with_grad else None
        kept = self.logits.new_zeros((), dtype=torch.int64)
        for n, row, column in product(range(len(self.logits)), self.rows, self.columns):
            kept += self._tile(n, row, column, choose)
        self.num_kept = int(kept)

    def _tile(self, n: int, row: Band, column: Band, choose: Callable[[Tensor, tuple], Tensor]) -> Tensor:
        large, small = (n, row.large, column.large), (n, slice(None), row.small, column.small)
        valid = self.valid[large]  # (R, C)
        label = torch.where(valid, self.labels[large], 0)[None]  # (1, R, C)
        values = row.matrix @ self.logits[small] @ column.matrix.T  # (K, R, C)
        values -= values.amax(0)
        true = values.gather(0, label)[0]
        values.exp_()
        norm = values.sum(0)
        loss = (norm.log() - true).masked_fill_(~valid, -1.0)  # (R, C); -1 is below every threshold
        self.losses[large] = loss
        kept = choose(loss, large) & valid
        weight = kept.to(values.dtype)
        if self.class_weight is not None:
            weight = weight * self.class_weight[label[0]]
        self.total += (loss * weight).sum()
        if self.grad is not None:
            values *= weight / norm
            values.scatter_add_(0, label, -weight[None])
            self.grad[small] += row.matrix.T @ (values @ column.matrix)
        return kept.sum()


class Band(NamedTuple):
    """A range of pixels of the large side, the range of the small side that it reads, and the weights."""

    large: slice
    small: slice
    matrix: Tensor


def interpolation_bands(size_in: int, size_out: int, step: int, align_corners: bool,
                        device: torch.device) -> list[Band]:
    """Write linear interpolation along one side as small matrices, one for each range of pixels.

    Args:
        size_in: Length of the side.
        size_out: Length that it is resized to.
        step: Pixels of the large side in one range.
        align_corners: Whether corner pixels keep their place.
        device: Where the matrices are made.

    Shape:
        - Output: matrices ``(step, places read)``.

    Example:
        >>> first, second = interpolation_bands(3, 4, 2, True, torch.device('cpu'))
        >>> second.small, second.matrix.shape
        (slice(1, 3, None), torch.Size([2, 2]))
    """
    unit = torch.eye(size_in, device=device)[None]  # one channel for each place
    matrix = F.interpolate(unit, size_out, mode='linear', align_corners=align_corners)[0].T  # (size_out, size_in)
    bands = []
    for start in range(0, size_out, step):
        part = matrix[start:start + step]
        used = part.any(0).nonzero()
        small = slice(int(used[0]), int(used[-1]) + 1)
        bands.append(Band(slice(start, start + step), small, part[:, small].contiguous()))
    return bands
