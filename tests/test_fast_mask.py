"""The exact fast mask against the obvious way: resize all classes, take the argmax."""

from __future__ import annotations

import random
import tracemalloc
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from bisenet_plugins import fast_mask
from bisenet_plugins.fast_mask import interpolate, upsample_argmax

SIZES = [(33, 33), (63, 127), (64, 128), (100, 37), (129, 65), (8, 16), (5, 7), (1, 1), (40, 9)]


def smooth_logits(shape: tuple[int, int, int, int], seed: int = 0) -> Tensor:
    """Random logits whose classes form regions of several pixels."""
    n, k, h, w = shape
    coarse = torch.randn(n, k, max(h // 4, 2), max(w // 4, 2), generator=torch.Generator().manual_seed(seed))
    return 4 * F.interpolate(coarse, (h, w), mode='bicubic', align_corners=True)


def noisy_logits(shape: tuple[int, int, int, int], seed: int = 0) -> Tensor:
    """Random logits without any relation between neighbours: nearly every cell is a border cell."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def assert_same_classes(mask: Tensor, full: Tensor, noise: float = 1e-5) -> None:
    """Check that every pixel has the argmax of the full-size logits, or a class that ties up to rounding."""
    assert mask.shape == full.shape[:1] + full.shape[2:]
    reached = full.gather(1, mask[:, None].long())[:, 0]
    torch.testing.assert_close(reached, full.amax(1), rtol=0, atol=noise * float(full.abs().max()))
    assert (mask != full.argmax(1)).float().mean() < 1e-3


def peak_bytes(logits: np.ndarray, size: tuple[int, int]) -> int:
    """Most memory that the mask takes beside what is there, the mask itself included."""
    upsample_argmax(logits, size, dtype=np.uint8)  # tables of places are kept
    tracemalloc.start()
    try:
        upsample_argmax(logits, size, dtype=np.uint8)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize('make', [smooth_logits, noisy_logits])
@pytest.mark.parametrize('align_corners', [False, True])
@pytest.mark.parametrize('size', SIZES)
def test_equals_interpolate_then_argmax(size: tuple[int, int], align_corners: bool, make: Any) -> None:
    logits = make((2, 7, 8, 16))
    full = F.interpolate(logits, size, mode='bilinear', align_corners=align_corners)
    assert_same_classes(upsample_argmax(logits, size, align_corners), full)


@pytest.mark.parametrize('seed', range(25))
def test_equals_interpolate_then_argmax_at_random_sizes(seed: int) -> None:
    draw = random.Random(seed)
    shape = (draw.randint(1, 3), draw.choice([2, 3, 19]), draw.randint(1, 16), draw.randint(1, 16))
    size = draw.randint(1, 110), draw.randint(1, 110)
    align_corners = draw.random() < 0.5
    logits = draw.choice([smooth_logits, noisy_logits])(shape, seed)
    full = F.interpolate(logits, size, mode='bilinear', align_corners=align_corners)
    assert_same_classes(upsample_argmax(logits, size, align_corners), full)


@pytest.mark.parametrize('cost', [0, 500])
def test_more_classes_than_a_byte_holds(monkeypatch: pytest.MonkeyPatch, cost: int) -> None:
    monkeypatch.setattr(fast_mask, 'BORDER_CELL_COST', cost)
    logits = noisy_logits((1, 300, 6, 5))
    mask = upsample_argmax(logits, (30, 31))
    assert int(mask.max()) > 255
    assert_same_classes(mask, F.interpolate(logits, (30, 31), mode='bilinear'))


@pytest.mark.parametrize('cost', [0, 10**9])
@pytest.mark.parametrize('size', [(63, 127), (12, 11), (4, 4)])
def test_both_ways_are_exact(monkeypatch: pytest.MonkeyPatch, cost: int, size: tuple[int, int]) -> None:
    monkeypatch.setattr(fast_mask, 'BORDER_CELL_COST', cost)
    monkeypatch.setattr(fast_mask, 'CHUNK_ELEMENTS', 500)
    logits = noisy_logits((2, 5, 8, 9))
    assert_same_classes(upsample_argmax(logits, size), F.interpolate(logits, size, mode='bilinear'))


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_every_precision(dtype: torch.dtype) -> None:
    logits = smooth_logits((1, 5, 9, 12)).to(dtype)
    precise = logits if dtype == torch.float64 else logits.float()
    mask = upsample_argmax(logits, (70, 101))
    assert mask.dtype == torch.int64
    assert_same_classes(mask, F.interpolate(precise, (70, 101), mode='bilinear'))


@pytest.mark.parametrize('make', [smooth_logits, noisy_logits])
def test_double_precision_is_exact_to_its_own_noise(make: Any) -> None:
    logits = make((1, 4, 6, 7)).double()
    full = F.interpolate(logits, (50, 61), mode='bilinear')
    assert_same_classes(upsample_argmax(logits, (50, 61)), full, noise=1e-13)


def test_memory_layout_does_not_matter() -> None:
    logits = smooth_logits((2, 5, 9, 12))
    expected = upsample_argmax(logits, (72, 96))
    strided = torch.stack((logits, -logits), -1)[..., 0]
    for same in (logits.contiguous(memory_format=torch.channels_last), strided):
        torch.testing.assert_close(upsample_argmax(same, (72, 96)), expected)


@pytest.mark.parametrize('dtype', [torch.uint8, torch.int16, torch.int64])
@pytest.mark.parametrize('precision', [torch.float16, torch.float32, torch.float64])
def test_an_array_gives_what_a_tensor_gives(dtype: torch.dtype, precision: torch.dtype) -> None:
    logits = smooth_logits((2, 6, 9, 13)).to(precision)
    settings: dict[str, Any] = dict(align_corners=True, window=(5, 64, 11, 90), window_size=(60, 125))
    expected = upsample_argmax(logits, (71, 103), dtype=dtype, **settings)
    assert expected.dtype == dtype
    mask = upsample_argmax(logits.numpy(), (71, 103), dtype=expected.numpy().dtype, **settings)
    np.testing.assert_array_equal(mask, expected.numpy(), strict=True)


@pytest.mark.parametrize('align_corners', [False, True])
@pytest.mark.parametrize('size', SIZES)
def test_interpolate_is_pytorchs(size: tuple[int, int], align_corners: bool) -> None:
    logits = noisy_logits((2, 3, 8, 16))
    full = F.interpolate(logits, size, mode='bilinear', align_corners=align_corners)
    torch.testing.assert_close(torch.from_numpy(interpolate(logits.numpy(), size, align_corners)), full)


@pytest.mark.skipif(not torch.cuda.is_available(), reason='needs a CUDA device')
@pytest.mark.parametrize('make', [smooth_logits, noisy_logits])
def test_same_on_cuda(make: Any) -> None:
    logits = make((2, 19, 16, 32))
    mask = upsample_argmax(logits.cuda(), (127, 251))
    assert mask.is_cuda
    assert_same_classes(mask.cpu(), F.interpolate(logits, (127, 251), mode='bilinear'))


def test_ties_go_to_the_lowest_class() -> None:
    assert int(upsample_argmax(torch.full((1, 6, 4, 5), 0.3), (33, 41)).max()) == 0
    logits = smooth_logits((1, 3, 6, 8))
    twice = logits.repeat_interleave(2, dim=1)  # classes 2k and 2k + 1 tie everywhere
    torch.testing.assert_close(upsample_argmax(twice, (47, 65)), 2 * upsample_argmax(logits, (47, 65)))


def test_hand_computed_border() -> None:
    logits = torch.tensor([[[[0.0, 4.0]], [[3.0, 0.0]]]])  # along a row: 4 t against 3 - 3 t, equal at t = 3 / 7
    mask = upsample_argmax(logits, (1, 8), align_corners=True)  # t = 0, 1/7, 2/7, 3/7, ...
    assert mask[0, 0, [0, 1, 2, 4, 5, 6, 7]].tolist() == [1, 1, 1, 0, 0, 0, 0]


@pytest.mark.filterwarnings('error')
@pytest.mark.parametrize('align_corners', [False, True])
@pytest.mark.parametrize(('small', 'large'), [((8, 12), (64, 96)), ((8, 12), (8, 12)), ((8, 12), (5, 12)),
                                              ((1, 1), (9, 9))])
@pytest.mark.parametrize('value', [float('nan'), float('inf'), float('-inf')])
def test_infinite_logits_decide_as_pytorch_has_it(value, small, large, align_corners):
    logits = torch.randn(2, 5, *small)
    logits[0, 1] = logits[1, 2, small[0] // 2, small[1] // 2] = value
    wanted = F.interpolate(logits, large, mode='bilinear', align_corners=align_corners).argmax(1)
    assert torch.equal(upsample_argmax(logits, large, align_corners), wanted)


@pytest.mark.parametrize('value', [float('nan'), float('inf'), float('-inf')])
@pytest.mark.parametrize('align_corners', [False, True])
def test_values_that_are_not_finite_do_as_argmax_does(value: float, align_corners: bool) -> None:
    logits = smooth_logits((2, 4, 6, 6))
    logits[0, 2, 1, 3] = value
    logits[1, 1, 5, 0] = value
    full = F.interpolate(logits, (45, 47), mode='bilinear', align_corners=align_corners)
    mask = upsample_argmax(logits, (45, 47), align_corners)
    assert (mask != full.argmax(1)).float().mean() < 1e-3


def test_huge_values_do_not_overflow() -> None:
    logits = smooth_logits((1, 3, 5, 5)) * 1e37
    logits = logits.clamp(-3e38, 3e38)
    full = F.interpolate(logits, (40, 40), mode='bilinear')
    assert (upsample_argmax(logits, (40, 40)) != full.argmax(1)).float().mean() < 1e-3


@pytest.mark.parametrize('align_corners', [False, True])
def test_window_equals_a_crop(align_corners: bool) -> None:
    logits = smooth_logits((2, 6, 9, 13))
    whole = upsample_argmax(logits, (71, 103), align_corners)
    mask = upsample_argmax(logits, (71, 103), align_corners, window=(5, 64, 11, 90))
    torch.testing.assert_close(mask, whole[:, 5:64, 11:90])


@pytest.mark.parametrize('align_corners', [False, True])
@pytest.mark.parametrize('window_size', [(120, 170), (31, 29), (59, 79), (118, 40)])
def test_window_resized_in_the_same_interpolation(align_corners: bool, window_size: tuple[int, int]) -> None:
    # Logits that are linear in place stay what they are under any chain of resizes, away from the clamped ends.
    y, x = torch.meshgrid(torch.arange(9.0), torch.arange(13.0), indexing='ij')
    logits = torch.stack((0.7 * y - x, x - 5.3, 0.2 * x - y + 3.1, 1.1 * y - 4.9))[None]
    full = F.interpolate(logits, (72, 104), mode='bilinear', align_corners=align_corners)[:, :, 6:65, 12:91]
    full = F.interpolate(full, window_size, mode='bilinear', align_corners=align_corners)
    mask = upsample_argmax(logits, (72, 104), align_corners, window=(6, 65, 12, 91), window_size=window_size)
    assert_same_classes(mask, full)


def test_small_integer_type() -> None:
    logits = smooth_logits((1, 5, 6, 7))
    mask = upsample_argmax(logits, (50, 60), dtype=torch.uint8)
    assert mask.dtype == torch.uint8
    torch.testing.assert_close(mask.long(), upsample_argmax(logits, (50, 60)))


def test_empty_batch() -> None:
    assert upsample_argmax(torch.rand(0, 3, 4, 5), (20, 30)).shape == (0, 20, 30)


@pytest.mark.parametrize('make', [smooth_logits, noisy_logits, 'nan'])
@pytest.mark.parametrize('size', [(512, 1024), (500, 1000)])
def test_full_size_logits_are_never_made(make: Any, size: tuple[int, int]) -> None:
    logits = (smooth_logits if make == 'nan' else make)((1, 19, 16, 32)).numpy()
    if make == 'nan':
        logits[0, 0, 0, 0] = float('nan')
    full = 19 * size[0] * size[1] * 4
    assert size[0] * size[1] < peak_bytes(logits, size) < full / 3


def test_gradients_are_not_recorded() -> None:
    logits = smooth_logits((1, 3, 4, 4)).requires_grad_()
    assert not upsample_argmax(logits, (20, 20)).requires_grad


@pytest.mark.parametrize(
    'logits',
    [
        torch.rand(1, 1, 4, 4),
        torch.rand(3, 4, 4),
        torch.rand(1, 3, 0, 4),
        torch.ones(1, 3, 4, 4, dtype=torch.int64),
    ],
)
def test_refuses_logits_without_classes(logits: Tensor) -> None:
    with pytest.raises(ValueError, match='^logits: expected'):
        upsample_argmax(logits, (8, 8))


@pytest.mark.parametrize('size', [(0, 8), (8,), (8, -1)])
def test_refuses_sizes_without_pixels(size: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match='^size: expected two positive sides'):
        upsample_argmax(torch.rand(1, 3, 4, 4), size)
    with pytest.raises(ValueError, match='^window_size: expected'):
        upsample_argmax(torch.rand(1, 3, 4, 4), (8, 8), window_size=size)


@pytest.mark.parametrize('window', [(0, 9, 0, 8), (-1, 8, 0, 8), (4, 4, 0, 8), (0, 8, 5, 3)])
def test_refuses_windows_that_lie_outside(window: tuple[int, int, int, int]) -> None:
    with pytest.raises(ValueError, match='^window: expected'):
        upsample_argmax(torch.rand(1, 3, 4, 4), (8, 8), window=window)


@pytest.mark.parametrize(('dtype', 'classes'), [(torch.float32, 3), (torch.bool, 2), (torch.uint8, 257)])
def test_refuses_types_that_hold_no_class(dtype: torch.dtype, classes: int) -> None:
    with pytest.raises(ValueError, match='^dtype: expected'):
        upsample_argmax(torch.rand(1, classes, 4, 4), (8, 8), dtype=dtype)


def test_an_exact_tie_of_two_candidates_goes_to_the_lower_class() -> None:
    """Halfway between two logits the two classes have the very same score; a third never wins."""
    logits = torch.tensor([[1.0, 0.0], [0.0, 1.0], [-9.0, -9.0]])[None, :, None].expand(1, 3, 2, 2)
    mask = upsample_argmax(logits, (64, 129), align_corners=True)
    wanted = torch.tensor([0] * 65 + [1] * 64).expand(1, 64, 129)
    torch.testing.assert_close(mask, wanted, rtol=0, atol=0)
    swapped = upsample_argmax(logits.flip(3), (64, 129), align_corners=True)
    torch.testing.assert_close(swapped, torch.tensor([1] * 64 + [0] * 65).expand(1, 64, 129), rtol=0, atol=0)
