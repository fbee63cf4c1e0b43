"""Mask straight from low-resolution logits, without ever holding full-size logits.

Bilinear interpolation is a convex combination of four neighbouring logits. Call the square between four neighbours a
*cell*. Where the four corners of a cell agree on the winner, that class wins everywhere inside; there is nothing to
compute. Only the cells on class borders need the sum, and there a class whose largest corner lies below the smallest
corner of another class cannot win.

Shape letters: N batch, K classes, H and W sides of the mask, h and w sides of the logits, in pixels.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from functools import lru_cache

import torch
from torch import Tensor

from ..errors import expect

CHUNK_ELEMENTS = 1 << 18
"""Numbers in one temporary of the border computation: small enough to stay in the processor's cache."""

BORDER_CELL_COST = 500
"""Work on one border cell beside its pixels, counted in numbers (pixels times classes) that a plain sum takes."""


@torch.no_grad()
def upsample_argmax(
    logits: Tensor,
    size: tuple[int, int],
    align_corners: bool = False,
    window: tuple[int, int, int, int] | None = None,
    window_size: tuple[int, int] | None = None,
    dtype: torch.dtype = torch.int64,
) -> Tensor:
    """Return the winning class of every pixel of the bilinearly resized logits.

    Equals ``F.interpolate(logits, size, mode='bilinear', align_corners=align_corners).argmax(1)``, in a fraction of
    the time and memory; it stands between the decode head and the mask.

    Args:
        logits: Class scores at low resolution, floating point, any memory layout, on any device.
        size: Height and width in pixels that the logits are resized to.
        align_corners: Whether the centres of the corner pixels coincide, as in ``F.interpolate``.
        window: Rows and columns ``(top, bottom, left, right)`` of the resized map that are returned, ``bottom`` and
            ``right`` exclusive; the whole map when left out. It takes padding off.
        window_size: Height and width that the window is resized to, in the same single interpolation; the window's
            own size when left out.
        dtype: Integer type of the mask; ``torch.uint8`` saves writing seven bytes a pixel.

    Shape:
        - Input: ``(N, K, h, w)`` with ``K >= 2``.
        - Output: ``(N, H, W)`` of type ``dtype``, with ``(H, W)`` the last given of ``size``, the window's size and
          ``window_size``.

    Raises:
        ValueError: If ``logits`` is no floating point tensor of four dimensions with two classes and one pixel or
            more, if ``size`` or ``window_size`` is not two positive sides, if ``window`` does not lie inside, or if
            ``dtype`` is no integer type that holds every class.

    Note:
        Ties go to the lowest class, as with ``argmax``. Where two classes are equal up to rounding, the two
        orders of summation may decide differently. Half precision is computed in float32, which
        separates classes that rounding would tie. NaN and infinite logits are allowed: such a batch is
        interpolated plainly, in tiles of rows, where NaN wins as it does with ``argmax``.

    Example:
        >>> logits = torch.rand(1, 19, 8, 16)
        >>> mask = upsample_argmax(logits, (128, 256))
        >>> mask.shape, mask.dtype
        (torch.Size([1, 128, 256]), torch.int64)
        >>> upsample_argmax(logits, (128, 256), window=(0, 120, 0, 250), window_size=(60, 125)).shape
        torch.Size([1, 60, 125])
    """
    _check(logits, size, window, window_size, dtype)
    top, bottom, left, right = window or (0, size[0], 0, size[1])
    height, width = window_size or (bottom - top, right - left)
    values = logits.detach()
    if values.dtype not in (torch.float32, torch.float64):
        values = values.float()
    key = (align_corners, values.dtype)
    rows = _axis(values.shape[2], size[0], top, bottom, height, *key).to(values.device)
    columns = _axis(values.shape[3], size[1], left, right, width, *key).to(values.device)
    if len(values) == 0:
        return torch.empty(0, height, width, dtype=dtype, device=values.device)
    pixels = values.permute(0, 2, 3, 1).contiguous()  # (N, h, w, K)
    if not _is_tame(pixels):
        return _interpolate_all(pixels, rows, columns, dtype)
    return _interpolate_borders(pixels, rows, columns, dtype)


@dataclass(frozen=True)
class _Axis:
    """Where the output pixels of one axis lie between the logits.

    Cell ``c`` lies between logits ``corners[c]`` and ``corners[c + 1]``; the pixels before the first logit's centre
    and behind the last one's fall into cells with twice the same corner.
    """

    cells: int
    corners: Tensor  # (cells + 1,) index of the logit at each border between cells
    cell: Tensor  # (length,) cell of each pixel
    earlier: Tensor  # (length,) index of the logit before each pixel
    later: Tensor  # (length,) index of the logit behind each pixel
    weight: Tensor  # (length,) weight of the logit behind each pixel
    filled: Tensor  # (cells,) whether any pixel lies in the cell
    members: Tensor  # (cells, most pixels in a cell) pixels of each cell, the last one repeated
    member_weights: Tensor  # the same for the weights

    def to(self, device: torch.device) -> _Axis:
        """Return the same on a device; what is cached stays on the CPU."""
        if device.type == 'cpu':
            return self
        tensors = {f.name: getattr(self, f.name).to(device) for f in fields(self) if f.name != 'cells'}
        return _Axis(cells=self.cells, **tensors)


@lru_cache(maxsize=64)
def _axis(
    low: int,
    full: int,
    start: int,
    stop: int,
    length: int,
    align_corners: bool,
    dtype: torch.dtype,
) -> _Axis:
    """Map ``length`` output pixels to pixels ``start:stop`` out of ``full``, and those to ``low`` logits.

    Positions are computed in the precision in which ``F.interpolate`` computes them.
    """
    position = torch.arange(length, dtype=dtype)
    if length != stop - start:
        position = _source_position(position, stop - start, length, align_corners)
        position = position.clamp(0, stop - start - 1)
    position = _source_position(position + start, low, full, align_corners)
    base = position.floor().clamp(-1, low - 1)
    first = int(base[0])
    cell = base.long() - first
    cells = int(cell[-1]) + 1
    count = torch.bincount(cell, minlength=cells)
    begin = count.cumsum(0) - count
    steps = torch.arange(int(count.max()))
    members = begin[:, None] + torch.minimum(steps, (count[:, None] - 1).clamp(min=0))
    members = members.clamp(max=length - 1)
    earlier = base.clamp(min=0)
    weight = (position - earlier).clamp(0, 1)
    return _Axis(
        cells=cells,
        corners=torch.arange(first, first + cells + 1).clamp(0, low - 1),
        cell=cell,
        earlier=earlier.long(),
        later=(earlier + 1).clamp(max=low - 1).long(),
        weight=weight,
        filled=(count > 0),
        members=members,
        member_weights=weight[members],
    )


def _source_position(position: Tensor, low: int, full: int, align_corners: bool) -> Tensor:
    """Return the place among ``low`` samples of a place among ``full`` ones, not clamped to the ends."""
    scale = position.new_tensor(low - 1 if align_corners else low)
    if align_corners:
        return position * (scale / (full - 1) if full > 1 else 0.0)
    return scale / full * (position + 0.5) - 0.5


def _is_tame(values: Tensor) -> bool:
    """Return whether all values are finite and small enough that their differences are finite too."""
    bound = torch.finfo(values.dtype).max / 8
    low, high = torch.aminmax(values)
    return bool((low > -bound) & (high < bound))


def _interpolate_borders(pixels: Tensor, rows: _Axis, columns: _Axis, dtype: torch.dtype) -> Tensor:
    """Paint every cell with the winner at its first corner, then repaint the cells on class borders.

    Small enlargements of logits with borders everywhere are computed plainly, which is faster for them.
    """
    classes = pixels.shape[3]
    small = torch.uint8 if classes <= 256 else torch.int64
    winner = pixels.max(3).indices.to(small)  # (N, h, w)
    winner = winner.index_select(1, rows.corners).index_select(2, columns.corners)  # (N, cells + 1, cells + 1)
    first = winner[:, :-1, :-1]
    border = (first != winner[:, :-1, 1:]) | (first != winner[:, 1:, :-1]) | (first != winner[:, 1:, 1:])
    border &= rows.filled[:, None] & columns.filled
    places = border.nonzero()
    if len(places) * BORDER_CELL_COST > len(pixels) * len(rows.cell) * len(columns.cell) * classes:
        return _interpolate_all(pixels, rows, columns, dtype)
    mask = first.to(dtype).index_select(2, columns.cell).index_select(1, rows.cell)  # (N, H, W)
    largest = max(rows.members.shape[1] * columns.members.shape[1], 4 * classes)
    for part in places.split(max(1, CHUNK_ELEMENTS // largest)):
        for cells, labels in _border_labels(pixels, part, rows, columns):
            _paint(mask, cells, labels, rows, columns)
    return mask


def _border_labels(pixels: Tensor, cells: Tensor, rows: _Axis, columns: _Axis) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield groups of the given cells ``(n, 3)`` (image, row, column) with their labels ``(n, r, c)``."""
    corners = _corner_values(pixels, cells, rows, columns)  # (4, n, K)
    floor = corners.amin(0).amax(1, keepdim=True)  # some class is nowhere in the cell below this
    candidates = corners.amax(0) >= floor  # (n, K)
    counts = candidates.sum(1)
    pairs = (counts == 2).nonzero().flatten()
    if len(pairs):
        yield cells[pairs], _best_of_two(corners[:, pairs], candidates[pairs], cells[pairs], rows, columns)
    counts, order = counts.sort(descending=True, stable=True)
    several = order[: int((counts > 2).sum())]
    if len(several):
        yield (
            cells[several],
            _best_of_many(corners[:, several], candidates[several], cells[several], rows, columns),
        )


def _corner_values(pixels: Tensor, cells: Tensor, rows: _Axis, columns: _Axis) -> Tensor:
    """Gather the logits at the four corners of each cell, row by row."""
    _, h, w, classes = pixels.shape
    image, row, column = cells.unbind(1)
    upper, lower = (image * h + rows.corners[row]) * w, (image * h + rows.corners[row + 1]) * w
    left, right = columns.corners[column], columns.corners[column + 1]
    index = torch.cat((upper + left, upper + right, lower + left, lower + right))
    return pixels.view(-1, classes).index_select(0, index).view(4, -1, classes)


def _best_of_two(corners: Tensor, candidates: Tensor, cells: Tensor, rows: _Axis, columns: _Axis) -> Tensor:
    """Label cells with two candidates each by the sign of the interpolated difference; zero goes to the lower class."""
    pair = candidates.nonzero()[:, 1].view(-1, 2)  # (n, 2), lower class first
    values = corners.gather(2, pair.expand(4, -1, -1))
    lead = _interpolate_cells(values[..., 1] - values[..., 0], cells, rows, columns)
    lower, higher = pair[:, 0, None, None], pair[:, 1, None, None]
    return torch.where(lead > 0, higher, lower)


def _best_of_many(corners: Tensor, candidates: Tensor, cells: Tensor, rows: _Axis, columns: _Axis) -> Tensor:
    """Label cells, sorted by falling number of candidates, one candidate after the other."""
    counts = candidates.sum(1)
    begin = counts.cumsum(0) - counts
    classes = candidates.nonzero()[:, 1]
    widths = torch.bincount(counts).flip(0).cumsum(0).flip(0).tolist()  # widths[i]: cells with i candidates or more
    best = labels = torch.empty(0)
    for rank, cells_left in enumerate(widths[1:]):
        label = classes[begin[:cells_left] + rank]
        values = corners[:, :cells_left].gather(2, label.expand(4, -1)[..., None]).squeeze(2)
        score = _interpolate_cells(values, cells[:cells_left], rows, columns)
        if rank == 0:
            best, labels = score, label[:, None, None].expand(score.shape).contiguous()
            continue
        better = score > best[:cells_left]
        labels[:cells_left] = torch.where(better, label[:, None, None], labels[:cells_left])
        torch.maximum(score, best[:cells_left], out=best[:cells_left])
    return labels


def _interpolate_cells(corners: Tensor, cells: Tensor, rows: _Axis, columns: _Axis) -> Tensor:
    """Interpolate corner values ``(4, n)`` at every pixel of their cells ``(n, r, c)``."""
    down = rows.member_weights[cells[:, 1]]  # (n, r)
    across = columns.member_weights[cells[:, 2]]  # (n, c)
    left = torch.addcmul(corners[0, :, None], down, (corners[2] - corners[0])[:, None])
    right = torch.addcmul(corners[1, :, None], down, (corners[3] - corners[1])[:, None])
    return torch.addcmul(left[:, :, None], (right - left)[:, :, None], across[:, None, :])


def _paint(mask: Tensor, cells: Tensor, labels: Tensor, rows: _Axis, columns: _Axis) -> None:
    """Write the labels of cells ``(n, r, c)`` to their places in the mask; repeated pixels carry the same label."""
    _, height, width = mask.shape
    image, row, column = cells.unbind(1)
    lines = (image[:, None] * height + rows.members[row]) * width  # (n, r)
    places = lines[:, :, None] + columns.members[column][:, None, :]  # (n, r, c)
    mask.view(-1).scatter_(0, places.view(-1), labels.view(-1).to(mask.dtype))


def _interpolate_all(pixels: Tensor, rows: _Axis, columns: _Axis, dtype: torch.dtype) -> Tensor:
    """Interpolate every pixel as ``F.interpolate`` does, in tiles of rows, and take the argmax."""
    batch, _, width, classes = pixels.shape
    down, across = rows.weight[:, None, None], columns.weight[:, None]
    mask = torch.empty(batch, len(down), len(across), dtype=dtype, device=pixels.device)
    step = max(1, CHUNK_ELEMENTS // (classes * max(len(across), width)))
    for image in range(batch):
        for start in range(0, len(down), step):
            tile = slice(start, start + step)
            lines = pixels[image].index_select(0, rows.earlier[tile]) * (1 - down[tile])
            lines += pixels[image].index_select(0, rows.later[tile]) * down[tile]  # (tile, w, K)
            full = lines.index_select(1, columns.earlier) * (1 - across)
            full += lines.index_select(1, columns.later) * across  # (tile, W, K)
            mask[image, tile] = full.argmax(2)
    return mask


def _check(
    logits: Tensor,
    size: tuple[int, int],
    window: tuple[int, int, int, int] | None,
    window_size: tuple[int, int] | None,
    dtype: torch.dtype,
) -> None:
    """Refuse arguments that name no mask."""
    fits = logits.dim() == 4 and logits.shape[1] > 1 and 0 not in logits.shape[2:] and logits.is_floating_point()
    expect(fits, 'logits', '(N, K, h, w) floating point with at least two classes and one pixel (a single class is a '
           'threshold, not an argmax)', (tuple(logits.shape), logits.dtype))
    for name, sides in (('size', size), ('window_size', window_size)):
        expect(sides is None or len(sides) == 2 and min(sides) > 0, name, 'two positive sides (height, width)', sides)
    if window is not None:
        top, bottom, left, right = window
        inside = 0 <= top < bottom <= size[0] and 0 <= left < right <= size[1]
        expect(inside, 'window', f'(top, bottom, left, right) inside the size {tuple(size)}', window)
    counts = not (dtype.is_floating_point or dtype.is_complex or dtype == torch.bool)
    expect(counts and torch.iinfo(dtype).max >= logits.shape[1] - 1, 'dtype',
           f'an integer type that holds {logits.shape[1]} classes', dtype)
