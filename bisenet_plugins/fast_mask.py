"""Mask straight from low-resolution logits, without ever holding full-size logits; NumPy alone on a CPU.

Bilinear interpolation is a convex combination of four neighbouring logits. Call the square between four neighbours a
*cell*. Where the four corners of a cell agree on the winner, that class wins everywhere inside; there is nothing to
compute. Only the cells on class borders need the sum, and there a class whose largest corner lies below the smallest
corner of another class cannot win.

Shape letters: N batch, K classes, H and W sides of the mask, h and w sides of the logits, in pixels.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from .errors import expect

__all__ = ['interpolate', 'upsample_argmax']

CHUNK_ELEMENTS = 1 << 18
"""Numbers in one temporary of the border computation: small enough to stay in the processor's cache."""

GPU_CHUNK_ELEMENTS = 1 << 26
"""Numbers in one temporary on a GPU, which interpolates every pixel."""

BORDER_CELL_COST = 500
"""Work on one border cell beside its pixels, counted in numbers (pixels times classes) that a plain sum takes."""


def upsample_argmax(logits: Any, size: tuple[int, int], align_corners: bool = False,
                    window: tuple[int, int, int, int] | None = None, window_size: tuple[int, int] | None = None,
                    dtype: Any = None) -> Any:
    """Return the winning class of every pixel of the bilinearly resized logits.

    Equals ``F.interpolate(logits, size, mode='bilinear', align_corners=align_corners).argmax(1)``, in a fraction of
    the time and memory; it stands between the decode head and the mask.

    Args:
        logits: Class scores at low resolution, floating point, any memory layout: an array, or a tensor on any device.
        size: Height and width in pixels that the logits are resized to.
        align_corners: Whether the centres of the corner pixels coincide, as in ``F.interpolate``.
        window: Rows and columns ``(top, bottom, left, right)`` of the resized map that are returned, ``bottom`` and
            ``right`` exclusive; the whole map when left out. It takes padding off.
        window_size: Height and width that the window is resized to, in the same single interpolation; the window's
            own size when left out.
        dtype: Integer type of the mask, NumPy's or PyTorch's as the logits are; int64 when left out, uint8 saves
            writing seven bytes a pixel.

    Shape:
        - Input: ``(N, K, h, w)`` with ``K >= 2``.
        - Output: ``(N, H, W)`` of type ``dtype``, with ``(H, W)`` the last given of ``size``, the window's size and
          ``window_size``; an array or a tensor on the same device, as the logits are.

    Raises:
        ValueError: If ``logits`` are not floating point of four dimensions with two classes and one pixel or more, if
            ``size`` or ``window_size`` is not two positive sides, if ``window`` does not lie inside, or if ``dtype``
            is no integer type that holds every class.

    Note:
        Ties go to the lowest class, as with ``argmax``. Where two classes are equal up to rounding, the two
        orders of summation may decide differently. Half precision is computed in float32, which
        separates classes that rounding would tie. NaN and infinite logits are allowed: such a batch is
        interpolated plainly, in tiles of rows, where NaN wins as it does with ``argmax``; so is a batch on a GPU.

    Example:
        >>> logits = np.random.default_rng(0).random((1, 19, 8, 16), np.float32)
        >>> mask = upsample_argmax(logits, (128, 256))
        >>> mask.shape, mask.dtype
        ((1, 128, 256), dtype('int64'))
        >>> upsample_argmax(logits, (128, 256), window=(0, 120, 0, 250), window_size=(60, 125)).shape
        (1, 60, 125)
    """
    if isinstance(logits, np.ndarray):
        return _mask_of(logits, size, align_corners, window, window_size, dtype)
    import torch

    values = logits.detach()
    if values.is_floating_point() and values.dtype not in (torch.float32, torch.float64):
        values = values.float()
    expect(dtype is None or not (dtype.is_floating_point or dtype.is_complex), 'dtype', 'an integer type', dtype)
    small = torch.empty(0, dtype=dtype or torch.int64)
    on_cpu = values.device.type == 'cpu'
    mask = _mask_of(values.numpy() if on_cpu else values, size, align_corners, window, window_size, small.numpy().dtype)
    return torch.from_numpy(mask) if on_cpu else mask.to(small.dtype)


def interpolate(logits: np.ndarray, size: tuple[int, int], align_corners: bool = False,
                window: tuple[int, int, int, int] | None = None,
                window_size: tuple[int, int] | None = None) -> np.ndarray:
    """Return the bilinearly resized logits themselves; see :func:`upsample_argmax` for the arguments.

    Shape:
        - Input: ``(N, K, h, w)``.
        - Output: ``(N, K, H, W)``.

    Example:
        >>> interpolate(np.array([[[[0.0, 1.0]]]]), (1, 4)).tolist()
        [[[[0.0, 0.25, 0.75, 1.0]]]]
    """
    rows, columns = _axes(logits, size, align_corners, window, window_size)
    return np.stack([_weighted(pixels, rows, columns, slice(None)).transpose(2, 0, 1) for pixels in
                     logits.transpose(0, 2, 3, 1)])


def _mask_of(logits: Any, size: Any, align_corners: bool, window: Any, window_size: Any, dtype: Any) -> Any:
    """Return the mask of an array, or of a tensor on a GPU."""
    dtype = np.dtype(np.int64 if dtype is None else dtype)
    _check(logits, size, window, window_size, dtype)
    rows, columns = _axes(logits, size, align_corners, window, window_size)
    if not isinstance(logits, np.ndarray):
        return _interpolate_all(logits.permute(0, 2, 3, 1).contiguous(), rows.on(logits), columns.on(logits), dtype)
    if logits.dtype not in (np.float32, np.float64):
        logits = logits.astype(np.float32)
    pixels = np.ascontiguousarray(logits.transpose(0, 2, 3, 1))  # (N, h, w, K)
    return (_interpolate_borders if _is_tame(pixels) else _interpolate_all)(pixels, rows, columns, dtype)


@dataclass(frozen=True)
class _Axis:
    """Where the output pixels of one axis lie between the logits.

    Cell ``c`` lies between logits ``corners[c]`` and ``corners[c + 1]``; the pixels before the first logit's centre
    and behind the last one's fall into cells with twice the same corner.
    """

    corners: Any  # (cells + 1,) index of the logit at each border between cells
    cell: Any  # (length,) cell of each pixel
    earlier: Any  # (length,) index of the logit before each pixel
    later: Any  # (length,) index of the logit behind each pixel
    weight: Any  # (length,) weight of the logit behind each pixel
    filled: Any  # (cells,) whether any pixel lies in the cell
    members: Any  # (cells, most pixels in a cell) pixels of each cell, the last one repeated
    member_weights: Any  # the same for the weights

    def on(self, tensor: Any) -> _Axis:
        """Return the same as tensors on a tensor's device."""
        import torch

        return _Axis(*(torch.from_numpy(value).to(tensor.device) for value in self.__dict__.values()))


def _axes(logits: Any, size: Any, align_corners: bool, window: Any, window_size: Any) -> tuple[_Axis, _Axis]:
    """Map the rows and the columns of the output to those of the logits."""
    top, bottom, left, right = window or (0, size[0], 0, size[1])
    height, width = window_size or (bottom - top, right - left)
    dtype = np.dtype(np.float64 if 'float64' in str(logits.dtype) else np.float32)
    return (_axis(logits.shape[2], size[0], top, bottom, height, align_corners, dtype),
            _axis(logits.shape[3], size[1], left, right, width, align_corners, dtype))


@lru_cache(maxsize=64)
def _axis(low: int, full: int, start: int, stop: int, length: int, align_corners: bool, dtype: np.dtype[Any]) -> _Axis:
    """Map ``length`` output pixels to pixels ``start:stop`` out of ``full``, and those to ``low`` logits.

    Positions are computed in the precision in which ``F.interpolate`` computes them.
    """
    position = np.arange(length).astype(dtype)
    if length != stop - start:
        position = _source_position(position, stop - start, length, align_corners).clip(0, stop - start - 1)
    position = _source_position(position + dtype.type(start), low, full, align_corners)
    base = np.floor(position).clip(-1, low - 1).astype(np.int64)
    first = int(base[0])
    cell = base - first
    cells = int(cell[-1]) + 1
    count = np.bincount(cell, minlength=cells)
    begin = count.cumsum() - count
    members = begin[:, None] + np.minimum(np.arange(int(count.max())), (count[:, None] - 1).clip(min=0))
    members = members.clip(max=length - 1)
    earlier = base.clip(min=0)
    apart = int(low != full or length != stop - start)  # at the same size no other logit is read, not even a NaN
    weight = (position - earlier.astype(dtype)).clip(0, 1)
    return _Axis(
        corners=np.arange(first, first + cells + 1).clip(0, low - 1), cell=cell, earlier=earlier, weight=weight,
        later=(earlier + apart).clip(max=low - 1), filled=count > 0, members=members, member_weights=weight[members])


def _source_position(position: np.ndarray, low: int, full: int, align_corners: bool) -> np.ndarray:
    """Return the place among ``low`` samples of a place among ``full`` ones, not clamped to the ends."""
    number = position.dtype.type
    if align_corners:
        return position * (number(low - 1) / number(full - 1) if full > 1 else number(0))
    scale: Any = number(low) / number(full)  # float32 is multiplied and subtracted from at once, as PyTorch does it
    return (scale.astype(float) * (position + number(0.5)) - 0.5).astype(number)


def _is_tame(values: np.ndarray) -> bool:
    """Return whether all values are finite and small enough that their differences are finite too."""
    bound = np.finfo(values.dtype).max / 8
    with np.errstate(invalid='ignore'):
        return bool(values.min(initial=0) > -bound and values.max(initial=0) < bound)


def _interpolate_borders(pixels: np.ndarray, rows: _Axis, columns: _Axis, dtype: np.dtype[Any]) -> np.ndarray:
    """Paint every cell with the winner at its first corner, then repaint the cells on class borders.

    Small enlargements of logits with borders everywhere are computed plainly, which is faster for them.
    """
    classes = pixels.shape[3]
    winner = pixels.argmax(3).astype(dtype)  # (N, h, w)
    winner = winner[:, rows.corners][:, :, columns.corners]  # (N, cells + 1, cells + 1)
    first = winner[:, :-1, :-1]
    border = (first != winner[:, :-1, 1:]) | (first != winner[:, 1:, :-1]) | (first != winner[:, 1:, 1:])
    border &= rows.filled[:, None] & columns.filled
    places = np.argwhere(border)
    if len(places) * BORDER_CELL_COST > len(pixels) * len(rows.cell) * len(columns.cell) * classes:
        return _interpolate_all(pixels, rows, columns, dtype)
    mask = first.take(columns.cell, 2).take(rows.cell, 1)  # (N, H, W)
    step = max(1, CHUNK_ELEMENTS // max(rows.members.shape[1] * columns.members.shape[1], 4 * classes))
    for start in range(0, len(places), step):
        _paint_borders(mask, pixels, places[start : start + step], rows, columns)
    return mask


def _paint_borders(mask: np.ndarray, pixels: np.ndarray, cells: np.ndarray, rows: _Axis, columns: _Axis) -> None:
    """Repaint the given cells ``(n, 3)`` (image, row, column), those with two candidates in a quicker way."""
    corners = _corner_values(pixels, cells, rows, columns)  # (4, n, K)
    floor = corners.min(0).max(1, keepdims=True)  # some class is nowhere in the cell below this
    candidates = corners.max(0) >= floor  # (n, K)
    counts = np.count_nonzero(candidates, axis=1)
    several = np.argsort(-counts, kind='stable')[: np.count_nonzero(counts > 2)]
    for chosen, best in ((np.flatnonzero(counts == 2), _best_of_two), (several, _best_of_many)):
        if len(chosen):
            labels = best(corners[:, chosen], candidates[chosen], cells[chosen], rows, columns, mask.dtype)
            _paint(mask, cells[chosen], labels, rows, columns)


def _corner_values(pixels: np.ndarray, cells: np.ndarray, rows: _Axis, columns: _Axis) -> np.ndarray:
    """Gather the logits at the four corners of each cell, row by row."""
    _, h, w, classes = pixels.shape
    image, row, column = cells.T
    upper, lower = (image * h + rows.corners[row]) * w, (image * h + rows.corners[row + 1]) * w
    left, right = columns.corners[column], columns.corners[column + 1]
    index = np.concatenate((upper + left, upper + right, lower + left, lower + right))
    return pixels.reshape(-1, classes)[index].reshape(4, -1, classes)


def _best_of_two(corners: np.ndarray, candidates: np.ndarray, cells: np.ndarray, rows: _Axis, columns: _Axis,
                 dtype: np.dtype[Any]) -> np.ndarray:
    """Label cells with two candidates each by the sign of the interpolated difference; zero goes to the lower class."""
    pair = candidates.nonzero()[1].reshape(-1, 2)  # (n, 2), lower class first
    values = corners[:, np.arange(len(pair))[:, None], pair]
    lead = _interpolate_cells(values[..., 1] - values[..., 0], cells, rows, columns)
    lower, higher = pair.astype(dtype).T[:, :, None, None]
    return np.where(lead > 0, higher, lower)


def _best_of_many(corners: np.ndarray, candidates: np.ndarray, cells: np.ndarray, rows: _Axis, columns: _Axis,
                  dtype: np.dtype[Any]) -> np.ndarray:
    """Label cells, sorted by falling number of candidates, one candidate after the other."""
    counts = np.count_nonzero(candidates, axis=1)
    begin = counts.cumsum() - counts
    classes = candidates.nonzero()[1]
    shape = len(cells), rows.members.shape[1], columns.members.shape[1]
    best, labels = np.full(shape, -np.inf, corners.dtype), np.zeros(shape, dtype)
    for rank in range(counts[0]):
        left = np.count_nonzero(counts > rank)  # cells with so many candidates
        label = classes[begin[:left] + rank]
        score = _interpolate_cells(corners[:, np.arange(left), label], cells[:left], rows, columns)
        np.copyto(labels[:left], label.astype(dtype)[:, None, None], where=score > best[:left])
        np.maximum(score, best[:left], out=best[:left])
    return labels


def _interpolate_cells(corners: np.ndarray, cells: np.ndarray, rows: _Axis, columns: _Axis) -> np.ndarray:
    """Interpolate corner values ``(4, n)`` at every pixel of their cells ``(n, r, c)``."""
    down = rows.member_weights[cells[:, 1]]  # (n, r)
    across = columns.member_weights[cells[:, 2]]  # (n, c)
    left = corners[0, :, None] + down * (corners[2] - corners[0])[:, None]
    right = corners[1, :, None] + down * (corners[3] - corners[1])[:, None]
    values = (right - left)[:, :, None] * across[:, None, :]
    values += left[:, :, None]
    return values


def _paint(mask: np.ndarray, cells: np.ndarray, labels: np.ndarray, rows: _Axis, columns: _Axis) -> None:
    """Write the labels of cells ``(n, r, c)`` to their places in the mask; repeated pixels carry the same label."""
    _, height, width = mask.shape
    image, row, column = cells.T
    lines = (image[:, None] * height + rows.members[row]) * width  # (n, r)
    mask.reshape(-1)[lines[:, :, None] + columns.members[column][:, None, :]] = labels


def _weighted(pixels: Any, rows: _Axis, columns: _Axis, tile: slice) -> Any:
    """Interpolate a tile of rows of one image ``(h, w, K)`` as ``F.interpolate`` does; array or tensor."""
    down, across = rows.weight[tile, None, None], columns.weight[:, None]
    with np.errstate(invalid='ignore'):  # infinity times 0 is NaN
        lines = pixels[rows.earlier[tile]] * (1 - down)
        lines += pixels[rows.later[tile]] * down  # (tile, w, K)
        full = lines[:, columns.earlier] * (1 - across)
        full += lines[:, columns.later] * across  # (tile, W, K)
    return full


def _interpolate_all(pixels: Any, rows: _Axis, columns: _Axis, dtype: np.dtype[Any]) -> Any:
    """Interpolate every pixel, in tiles of rows, and take the argmax; array or tensor."""
    batch, _, width, classes = pixels.shape
    on_cpu = isinstance(pixels, np.ndarray)
    shape = (batch, len(rows.cell), len(columns.cell))
    mask = np.empty(shape, dtype) if on_cpu else pixels.new_empty(shape).long()
    step = max(1, (CHUNK_ELEMENTS if on_cpu else GPU_CHUNK_ELEMENTS) // (classes * max(shape[2], width)))
    for image in range(batch):
        for start in range(0, shape[1], step):
            tile = slice(start, start + step)
            mask[image, tile] = _weighted(pixels[image], rows, columns, tile).argmax(2)
    return mask


def _check(logits: Any, size: tuple[int, int], window: Any, window_size: Any, dtype: np.dtype[Any]) -> None:
    """Refuse arguments that name no mask."""
    fits = logits.ndim == 4 and logits.shape[1] > 1 and 0 not in logits.shape[2:] and 'float' in str(logits.dtype)
    expect(fits, 'logits', '(N, K, h, w) floating point with at least two classes and one pixel (a single class is a '
           'threshold, not an argmax)', (tuple(logits.shape), logits.dtype))
    for name, sides in (('size', size), ('window_size', window_size)):
        expect(sides is None or len(sides) == 2 and min(sides) > 0, name, 'two positive sides (height, width)', sides)
    if window is not None:
        top, bottom, left, right = window
        inside = 0 <= top < bottom <= size[0] and 0 <= left < right <= size[1]
        expect(inside, 'window', f'(top, bottom, left, right) inside the size {tuple(size)}', window)
    expect(dtype.kind in 'iu' and np.iinfo(dtype).max >= logits.shape[1] - 1, 'dtype',
           f'an integer type that holds {logits.shape[1]} classes', dtype)
