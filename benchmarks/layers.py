"""Where a network's time goes, by kinds of layers.

Letters: C input and K output channels, H and W the sides of a picture in pixels, h and w those of a map.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from torch import Tensor, nn

from benchmarks.harness import interleave
from benchmarks.subjects import Subject

__all__ = ['layer_table']

Timed = tuple[str, float, float]  # kind, milliseconds, thousand million multiply-adds
REST = 'all else'


def layer_table(subject: Subject, image: np.ndarray, rounds: int = 10) -> list[dict[str, Any]]:
    """Say for each kind of layer how long it takes and how fast it multiplies.

    Args:
        subject: A network in PyTorch or OpenVINO.
        image: Picture ``(H, W, 3)`` uint8 BGR.
        rounds: Runs whose mean is taken.

    Returns:
        A row for each kind, the longest first: ``kind``, ``layers``, ``ms``, ``percent`` of the network's time, and
        ``gmacs`` and ``gflops`` for convolutions, counted as if each output took all its multiplications. The kind
        ``all else`` is what no convolution accounts for: resizing, adding, gates, pooling, copying, calling. Empty
        where the subject's runtime does not say.

    Note:
        Timing each layer takes time itself, a few microseconds a layer.
    """
    if isinstance(subject.network, nn.Module):
        timed, whole = _torch_layers(subject.network, subject.network_alone(image), rounds)
    elif hasattr(subject.network, 'layer_times'):
        timed, whole = _openvino_layers(subject, image, rounds)
    else:
        return []
    timed.append((REST, max(whole - sum(ms for _, ms, _ in timed), 0.0), 0.0))
    rows = []
    for kind in dict.fromkeys(kind for kind, _, _ in timed):
        same = [(ms, gmacs) for one, ms, gmacs in timed if one == kind]
        ms, gmacs = (sum(values) for values in zip(*same, strict=True))
        row: dict[str, Any] = dict(kind=kind, ms=round(ms, 2), percent=round(100 * ms / whole, 1))
        if kind != REST:
            row.update(layers=len(same), gmacs=round(gmacs, 3), gflops=round(2000 * gmacs / ms, 1) if ms else None)
        rows.append(row)
    return sorted(rows, key=lambda row: -row['ms'])


def kind_of(out_channels: int, in_channels: int, groups: int, kernel: tuple[int, int], stride: int, form: str) -> str:
    """Name a kind of convolution.

    Args:
        out_channels: K.
        in_channels: C.
        groups: Groups of channels.
        kernel: Height and width.
        stride: Stride.
        form: What computes it, where that is not the usual.

    Example:
        >>> kind_of(64, 64, 1, (3, 3), 2, '')
        '3 x 3, stride 2'
        >>> kind_of(64, 64, 64, (3, 3), 1, '')
        'depthwise 3 x 3'
    """
    side = f'{kernel[0]} x {kernel[1]}'
    name = f'depthwise {side}' if groups > 1 and groups == in_channels else side
    return name + (f', stride {stride}' if stride > 1 else '') + (f', {form}' if form else '')


def _torch_layers(network: nn.Module, run: Callable[[], Any], rounds: int) -> tuple[list[Timed], float]:
    """Time every convolution of a PyTorch network, and the whole."""
    started: dict[nn.Module, float] = {}
    spent: dict[Any, list[float]] = {}
    shapes: dict[nn.Module, tuple[int, ...]] = {}

    def start(module: nn.Module, inputs: Any) -> None:
        started[module] = time.perf_counter()

    def end(module: nn.Module, inputs: Any, output: Tensor) -> None:
        spent.setdefault(module, []).append(time.perf_counter() - started[module])
        shapes[module] = tuple(output.shape)

    layers = [module for module in network.modules()
              if hasattr(module, 'kernel_size') and hasattr(module, 'groups') and not any(module.children())]
    hooks = [hook for module in layers
             for hook in (module.register_forward_pre_hook(start), module.register_forward_hook(end))]
    try:
        run()
        spent.clear()  # the first run warms up
        whole = 1000 * statistics.fmean(interleave(dict(run=run), rounds, warmup=0)['run'])
    finally:
        for hook in hooks:
            hook.remove()
    timed = []
    for module, seconds in spent.items():
        kernel, groups, stride = module.kernel_size, module.groups, module.stride[0]
        form = getattr(module, 'form', '')
        kind = kind_of(module.out_channels, module.in_channels, groups, kernel, stride, form)
        macs = int(np.prod(shapes[module])) * module.in_channels // groups * int(np.prod(kernel))
        timed.append((kind, 1000 * sum(seconds) / rounds, macs * len(seconds) / rounds / 1e9))
    return timed, whole


def _openvino_layers(subject: Subject, image: np.ndarray, rounds: int) -> tuple[list[Timed], float]:
    """Time every convolution of an OpenVINO network, and the whole."""
    inputs = subject.network_input(image)
    inputs = inputs[0] if isinstance(inputs, tuple) else inputs
    array = np.ascontiguousarray(inputs.numpy() if isinstance(inputs, Tensor) else inputs)
    times, whole = subject.network.layer_times(array, rounds)
    timed = []
    for layer in times:
        groups, out_channels, in_channels, height, width = layer.weight
        kind = kind_of(groups * out_channels, groups * in_channels, groups, (height, width), layer.stride, '')
        timed.append((kind, layer.ms, int(np.prod(layer.output)) * in_channels * height * width / 1e9))
    return timed, whole
