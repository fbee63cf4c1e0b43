"""Benchmarks of single steps: the class map from logits, and matrix products, which bound every network.

Letters: K classes, H and W sides of the class map, h and w sides of the logits, in pixels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.harness import Report, interleave, spread
from benchmarks.layers import layer_table
from benchmarks.subjects import open_subject
from bisenet_plugins.models.fast_mask import upsample_argmax

__all__ = ['picture_logits', 'run_mask', 'run_matmul']


def picture_logits(picture: np.ndarray, classes: int = 19, size: tuple[int, int] = (64, 128)) -> Tensor:
    """Make logits whose regions follow a picture's, where no trained network is at hand.

    Args:
        picture: ``(H, W, 3)`` uint8.
        classes: Number of classes.
        size: Height and width of the logits.

    Shape:
        - Output: ``(1, K, h, w)`` float32.

    Example:
        >>> picture_logits(np.zeros((32, 64, 3), np.uint8), 5, (4, 8)).shape
        torch.Size([1, 5, 4, 8])
    """
    small = cv2.resize(picture, (size[1], size[0]), interpolation=cv2.INTER_AREA).astype(np.float32) / 255
    smooth = cv2.GaussianBlur(small, (0, 0), 1.5)
    rows, columns = np.mgrid[-1:1:complex(size[0]), -1:1:complex(size[1])].astype(np.float32)
    features = torch.from_numpy(np.dstack([smooth, smooth**2, rows, columns])).float()  # (h, w, 8)
    generator = torch.Generator().manual_seed(0)
    weights = torch.randn(features.shape[2], classes, generator=generator)
    return (4 * (features - features.mean((0, 1))) @ weights).permute(2, 0, 1)[None].contiguous()


def run_mask(
    logits: Tensor, network_size: tuple[int, int], size: tuple[int, int], iterations: int, warmup: int = 3
) -> Report:
    """Time the exact fast class map against two bilinear resizes and an argmax, as mmseg has it.

    Args:
        logits: Class scores.
        network_size: Height and width of the network's input, to which mmseg resizes first.
        size: Height and width of the picture.
        iterations: Rounds that count.
        warmup: Rounds that do not.

    Shape:
        - Input: ``(1, K, h, w)``.
    """
    device = str(logits.device)

    def twice() -> Tensor:
        large = F.interpolate(logits, network_size, mode='bilinear', align_corners=False)
        return F.interpolate(large, size, mode='bilinear', align_corners=False).argmax(1)

    def once() -> Tensor:
        return F.interpolate(logits, size, mode='bilinear', align_corners=False).argmax(1)

    functions = {
        'two resizes + argmax (mmseg)': twice, 'one resize + argmax': once,
        'upsample_argmax, int64': lambda: upsample_argmax(logits, size),
        'upsample_argmax, uint8': lambda: upsample_argmax(logits, size, dtype=torch.uint8)}
    with torch.inference_mode():
        times = interleave(functions, iterations, warmup, device)
        wanted, got, theirs = once(), upsample_argmax(logits, size), twice()
        full = F.interpolate(logits, size, mode='bilinear', align_corners=False)
        top = full.topk(2, 1).values
        tie = (top[:, 0] - top[:, 1]) <= 1e-5 * top.abs().amax(1).clamp(min=1)
    report = Report('mask', settings=dict(
        logits=list(logits.shape), network_size=list(network_size), picture=list(size), iterations=iterations))
    report.rows = [dict(name=name, ms=spread(series)) for name, series in times.items()]
    report.compare(times, 'two resizes + argmax (mmseg)')
    report.checks = dict(
        pixels_that_differ_from_one_resize=int((wanted != got).sum()),
        of_these_no_ties=int(((wanted != got) & ~tie).sum()),
        agreement_with_two_resizes=round(float((theirs == got).float().mean()), 6),
        classes_in_the_map=int(got.unique().numel()),
        share_of_border_pixels=round(float((got[:, :, 1:] != got[:, :, :-1]).float().mean()), 5))
    return report


def run_matmul(
    iterations: int, side: int = 2048, specs: Sequence[Mapping[str, Any]] = (), picture: np.ndarray | None = None,
    device: str = 'cpu'
) -> Report:
    """Time matrix products, and what share of their rate networks reach.

    Args:
        iterations: Rounds that count; three more warm up.
        side: Side of the square matrices.
        specs: Networks, as for :func:`~benchmarks.runs.run_subjects`; timed in the same rounds.
        picture: What the networks see, ``(H, W, 3)``.
        device: Where it runs.

    Returns:
        The figures; a row's ``share`` is its multiply-adds a second over those of PyTorch's matrix product, from the
        medians, each counted in full, also where fewer do (Winograd). On a CPU NumPy's product stands below: two BLAS
        libraries do not agree on what a machine can do. ``checks`` say where each network's time goes.

    Raises:
        ValueError: If there are networks and no picture.
    """
    if specs and picture is None:
        raise ValueError('networks are given without a picture, one is wanted')
    a, b = (torch.rand(side, side, device=device) for _ in range(2))
    out = torch.empty(side, side, device=device)
    product = f'matrix product, {side}'
    functions: dict[str, Any] = {product: lambda: torch.mm(a, b, out=out)}
    macs: dict[str, float | None] = {product: side**3 / 1e9}
    subjects = [open_subject(**{'device': device, **spec}) for spec in specs]
    states = {subject.name: subject.memory for subject in subjects}
    for subject in subjects:
        functions[subject.name] = subject.network_alone(picture)  # type: ignore[arg-type]
        macs[subject.name] = subject.gmacs
    with torch.inference_mode():
        times = interleave(functions, iterations, 3, device, states)
        if torch.device(device).type == 'cpu':  # apart: its threads wait busily and would take the others' time
            first, second, other = a.numpy(), b.numpy(), f'{product}, NumPy'
            times.update(interleave({other: lambda: first @ second}, iterations, 3, device))
            macs[other] = macs[product]
    report = Report('matmul', settings=dict(side=side, iterations=iterations, picture=(
        None if picture is None else list(picture.shape[:2]))))
    rate = 0.0
    for name, series in times.items():
        row: dict[str, Any] = dict(name=name, ms=spread(series), gmacs=macs[name])
        if macs[name]:
            reached = 1000 * float(macs[name] or 0) / row['ms']['p50']
            rate = rate or reached
            row.update(gflops=round(2 * reached, 1), share=round(reached / rate, 3))
        report.rows.append(row)
    for subject in subjects:
        subject.memory()
        table = layer_table(subject, picture)  # type: ignore[arg-type]
        if table:
            report.checks[f'where the time goes: {subject.name}'] = table
    return report
