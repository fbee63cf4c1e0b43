"""How time and memory of a prediction grow with pixels, classes, batch and threads: ``python -m benchmarks.growth``.

Every point is a fresh process with a network of the package at the image's own size; the exponent of a column is the
slope of its logarithm over that of what grows. Letters: H and W the sides of an image in pixels, K classes.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.config import Config
from torch import Tensor, nn

from benchmarks.candidates import config_at
from benchmarks.harness import Report, apart, load_images, options, parse, peak_memory_mb, save, synchronised
from benchmarks.pairs import with_classes
from benchmarks.plots import plot_growth
from bisenet_plugins.models.fuse import switch_to_deploy
from bisenet_plugins.runtime import Predictor
from bisenet_plugins.timing import cores, interleave, spread
from bisenet_plugins.weights.store import pretrained_names, read_shipped

__all__ = ['AXES', 'exponents', 'largest_pair_mb', 'main', 'measure_point', 'time_growth']

CORES = cores()
BASE = dict(height=512, width=1024, classes=0, batch=1, threads=CORES)
AXES: dict[str, list[dict[str, int]]] = {
    'pixels': [dict(height=256 * factor, width=512 * factor) for factor in (1, 2, 4, 8)],
    'classes': [dict(classes=classes) for classes in (2, 11, 19, 64, 256)],
    'batch': [dict(batch=batch) for batch in (1, 2, 4, 8)],
    'threads': [dict(threads=1 << power) for power in range(CORES.bit_length())],
}
"""What grows, and the points of each; the rest is as in :data:`BASE`, with the network's own classes."""


def _network(name: str, classes: int) -> tuple[Config, dict[str, Tensor]]:
    """Return config and weights of a network in the package, with another number of classes."""
    config, weights = read_shipped(name)
    cfg = config_at(Config(config), None, native=True)
    if classes:
        weights = {key: value[:classes] if key.startswith('decode_head.conv_seg.') else value
                   for key, value in with_classes(weights, classes).items()}
        for place in (cfg.model, cfg.model.decode_head):
            if 'num_classes' in place or place is cfg.model.decode_head:
                place.num_classes = classes
    return cfg, weights


def largest_pair_mb(model: nn.Module, size: tuple[int, int], batch: int = 1) -> float:
    """Return the most MiB that the input and the output of one convolution or pooling take together.

    Args:
        model: Segmentor, which is copied and run without numbers.
        size: Height and width of its input.
        batch: Images.
    """
    copied = switch_to_deploy(copy.deepcopy(model)).to('meta').eval()
    found = [0]

    def look(_: nn.Module, inputs: Any, output: Any) -> None:
        found.append(4 * (output.numel() + inputs[0].numel()))

    for module in copied.modules():
        if hasattr(module, 'kernel_size') and not any(module.children()):
            module.register_forward_hook(look)
    with torch.inference_mode():
        copied(torch.empty(batch, 3, *size, device='meta'), mode='tensor')
    return round(max(found) / 2**20, 1)


def measure_point(
    name: str, backend: str, point: dict[str, int], rounds: int, device: str = 'cpu', least: float = 0.0
) -> dict[str, Any]:
    """Time predictions in this process, and take its peak memory.

    Args:
        name: Network in the package.
        backend: As :class:`~bisenet_plugins.runtime.Predictor` takes it.
        point: ``height``, ``width``, ``classes`` (0: the network's own), ``batch`` and ``threads``.
        rounds: Rounds that count.
        device: Where PyTorch computes.
        least: Seconds that they take at least.
    """
    torch.set_num_threads(point['threads'])
    size = point['height'], point['width']
    cfg, weights = _network(name, point['classes'])
    predictor = Predictor(cfg, dict(state_dict=weights), backend=backend, device=device, threads=point['threads'])
    images = load_images(None, size)[:point['batch']]
    predictor([image[:64, :64] for image in images])
    loaded = peak_memory_mb(device)
    seconds = interleave(dict(whole=synchronised(lambda: predictor(images), device)), rounds, 2, least)['whole']
    peak = peak_memory_mb(device)
    return dict(ms=spread(seconds), prediction_mb=round(peak - loaded, 1), peak_memory_mb=peak,
                largest_pair_mb=largest_pair_mb(predictor.model, size, point['batch']), backend=predictor.backend)


def exponents(values: Sequence[float], rows: Sequence[dict[str, Any]]) -> dict[str, float]:
    """Fit how time and memory grow.

    Args:
        values: What grows.
        rows: As from :func:`measure_point`, one for each value.

    Example:
        >>> rows = [dict(ms=dict(median=3.0), prediction_mb=1.0), dict(ms=dict(median=6.0), prediction_mb=4.0)]
        >>> exponents([1, 2], rows)
        {'time': 1.0, 'memory': 2.0}
    """
    columns = dict(time=[row['ms']['median'] for row in rows], memory=[max(row['prediction_mb'], 0.1) for row in rows])
    return {column: round(float(np.polyfit(np.log(values), np.log(found), 1)[0]), 3)
            for column, found in columns.items()}


def time_growth(
    axes: Sequence[str], name: str, backend: str = 'auto', rounds: int = 5, device: str = 'cpu', least: float = 0.0
) -> Report:
    """Measure all points.

    Args:
        axes: Names out of :data:`AXES`.
        name: Network in the package.
        backend: As :class:`~bisenet_plugins.runtime.Predictor` takes it.
        rounds: Rounds that count at each point.
        device: Where PyTorch computes.
        least: Seconds that they take at least.
    """
    report = Report('growth', settings=dict(scenario='single stream', network=name, rounds=rounds, least_seconds=least,
                                            base=BASE))
    report.checks['exponents'] = []
    for axis in axes:
        points = [{**BASE, **point} for point in AXES[axis]]
        rows = [apart(measure_point, name, backend, point, rounds, device, least) for point in points]
        values = [point['height'] * point['width'] if axis == 'pixels' else point[axis] for point in points]
        for value, point, row in zip(values, AXES[axis], rows):
            report.rows.append(dict(name=', '.join(f'{key} {number}' for key, number in point.items()), axis=axis,
                                    value=value, **row))
        if len(values) > 1:
            report.checks['exponents'].append(dict(axis=axis, **exponents(values, rows)))
        if axis == 'pixels':
            last = rows[-1]
            report.checks['memory of the largest prediction over its largest pair of maps'] = round(
                last['prediction_mb'] / max(last['largest_pair_mb'], math.ulp(1.0)), 2)
    return report


def main(argv: Sequence[str] | None = None) -> None:
    parser = options('How time and memory of a prediction grow.', rounds=5)
    parser.add_argument('--axis', nargs='+', choices=list(AXES), default=list(AXES), help='what grows (default: all)')
    parser.add_argument('--pretrained', default=next(iter(pretrained_names()), None), help='network in the package')
    parser.add_argument('--backend', default='auto', help='what computes it (default: the fastest that is installed)')
    args = parse(parser, argv)
    report = time_growth(args.axis, args.pretrained, args.backend, args.rounds, args.device, args.seconds)
    save(report, args.out, argv)
    if args.out:
        plot_growth(args.out, Path(args.out).with_suffix('.png'))


if __name__ == '__main__':
    main()
