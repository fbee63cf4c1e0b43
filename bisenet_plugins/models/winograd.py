"""Convolutions of 3 x 3 with fewer multiplications, as batched matrix products.

Letters: N batch, C input and K output channels, H and W the sides of a map in pixels, T tiles of 4 x 4 outputs.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ['WinogradConv', 'tile_transforms']

OUT, IN = 4, 6
"""Sides of a tile's outputs and of the inputs that they depend on, in pixels."""

TILES_AT_ONCE = 1024
"""Tiles in one batch of matrix products: enough that these run at full rate, few enough to bound the memory."""

FEWEST_TILES, FEWEST_KERNELS = 32, 128 * 256
"""Where it begins to pay, as measured on a CPU: with fewer tiles or fewer pairs of channels, transforming and moving
costs more than the multiplications that are saved."""

POINTS = (0.0, 0.625, -0.625, 1.5, -1.5)
"""Where the polynomials are evaluated, and at infinity. The paper's 1, -1, 2 and -2 make short sums; matrix products do
not need them short, and these points leave about half of the rounding errors, a third of the largest."""


def tile_transforms() -> tuple[Tensor, Tensor, Tensor]:
    """Make the matrices ``TO_IN`` ``(6, 6)``, ``TO_KERNEL`` ``(6, 3)`` and ``TO_OUT`` ``(4, 6)`` of one dimension.

    Returns:
        float64 matrices with which ``TO_OUT @ ((TO_KERNEL @ kernel) * (TO_IN @ inputs))`` is the correlation of six
        inputs with a kernel of three.

    Source:
        Toom and Cook's algorithm, transposed: Lavin and Gray, Section 4.
    """
    points = np.array(POINTS)
    to_in, to_kernel, to_out = np.zeros((IN, IN)), np.zeros((IN, 3)), np.zeros((OUT, IN))
    for row in range(IN - 1):
        others = np.delete(points, row)
        to_in[row, :-1] = np.polynomial.polynomial.polyfromroots(others)
        to_kernel[row] = points[row] ** np.arange(3) / np.prod(points[row] - others)
        to_out[:, row] = points[row] ** np.arange(OUT)
    to_in[-1] = np.polynomial.polynomial.polyfromroots(points)
    to_kernel[-1, -1] = to_out[-1, -1] = 1
    return torch.from_numpy(to_in), torch.from_numpy(to_kernel), torch.from_numpy(to_out)


class WinogradConv(nn.Module):
    """A convolution of 3 x 3 and stride 1 with a quarter of its multiplications, and the ReLU behind it.

    In a network's fast form, in the place of a convolution that :meth:`fits`. Every tile of 6 x 6 inputs, every kernel
    and every tile of 4 x 4 outputs is transformed, so that the sum over kernel and channels becomes 36 products of
    matrices ``(T, C)`` and ``(C, K)``: 36 multiplications for 16 outputs in place of 144.

    Args:
        conv: The convolution.
        relu: Whether a ReLU follows.

    Shape:
        - Input: ``(N, C, H, W)`` float32.
        - Output: ``(N, K, H, W)`` float32, channels-last.

    Note:
        The result differs from the plain convolution's by float noise, of which it has about five times as much. Maps
        of few tiles are convolved plainly.

    Source:
        Lavin and Gray, Fast Algorithms for Convolutional Neural Networks, CVPR 2016, Section 4.3.

    Example:
        >>> conv, x = nn.Conv2d(128, 256, 3, padding=1), torch.rand(1, 128, 25, 29)
        >>> with torch.inference_mode():
        ...     torch.testing.assert_close(WinogradConv(conv)(x), conv(x), rtol=1e-4, atol=1e-4)
    """

    weight: Tensor
    kernels: Tensor
    bias: Tensor | None
    to_in: Tensor
    to_out: Tensor

    def __init__(self, conv: nn.Conv2d, relu: bool = False) -> None:
        super().__init__()
        self.in_channels, self.out_channels, self.groups = conv.in_channels, conv.out_channels, 1
        self.kernel_size, self.stride, self.form = conv.kernel_size, conv.stride, 'Winograd'
        self.relu = relu
        self.register_buffer('weight', conv.weight.detach())
        to_in, to_kernel, to_out = tile_transforms()
        kernels = torch.einsum('ai,bj,kcij->abck', to_kernel, to_kernel, conv.weight.detach().double())
        self.register_buffer('kernels', kernels.flatten(0, 1).float().contiguous())  # (36, C, K)
        self.register_buffer('bias', None if conv.bias is None else conv.bias.detach().clone())
        self.register_buffer('to_in', torch.kron(to_in, to_in).float())  # (36, 36)
        self.register_buffer('to_out', torch.kron(to_out, to_out).float())  # (16, 36)

    @staticmethod
    def fits(conv: nn.Module) -> bool:
        """Tell whether a module is a convolution that this one computes, and faster.

        Args:
            conv: Any module.
        """
        return (
            type(conv) is nn.Conv2d
            and (conv.kernel_size, conv.stride, conv.dilation) == ((3, 3), (1, 1), (1, 1))
            and conv.padding == (1, 1)
            and conv.padding_mode == 'zeros'
            and conv.groups == 1
            and min(conv.in_channels, conv.out_channels) >= 128
            and conv.in_channels * conv.out_channels >= FEWEST_KERNELS
            and conv.weight.dtype == torch.float32
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return ``(N, K, H, W)``."""
        count, height, width = x.shape[0], x.shape[2], x.shape[3]
        rows, columns = -(-height // OUT), -(-width // OUT)
        if count * rows * columns < FEWEST_TILES:
            plain = F.conv2d(x, self.weight, self.bias, padding=1)
            return plain.relu_() if self.relu else plain
        padded = F.pad(x.permute(0, 2, 3, 1), (0, 0, 1, OUT * columns + 1 - width, 1, OUT * rows + 1 - height))
        out = x.new_empty(count, OUT * rows, OUT * columns, self.out_channels)
        step = max(1, TILES_AT_ONCE // (count * columns))
        for first in range(0, rows, step):
            last = min(first + step, rows)
            strip = out[:, OUT * first:OUT * last].unflatten(1, (-1, OUT)).unflatten(3, (-1, OUT))
            self._strip(padded[:, OUT * first:OUT * last + 2], strip.permute(2, 4, 0, 1, 3, 5))
        return out[:, :height, :width].permute(0, 3, 1, 2)

    def _strip(self, x: Tensor, out: Tensor) -> None:
        """Compute some rows of tiles: inputs ``(N, h, w, C)`` to outputs ``(4, 4, N, rows, columns, K)``."""
        rows, columns = OUT * (out.shape[3] - 1) + 1, OUT * (out.shape[4] - 1) + 1
        tiles = torch.stack([x[:, i:i + rows:OUT, j:j + columns:OUT] for i in range(IN) for j in range(IN)])
        inputs = torch.mm(self.to_in, tiles.flatten(1)).view(IN * IN, -1, self.in_channels)  # (36, T, C)
        products = torch.bmm(inputs, self.kernels)  # (36, T, K)
        outputs = torch.mm(self.to_out, products.flatten(1)).view(out.shape)
        out.copy_(outputs) if self.bias is None else torch.add(outputs, self.bias, out=out)
        if self.relu:
            out.clamp_min_(0)
