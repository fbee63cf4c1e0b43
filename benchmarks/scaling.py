"""Time a network against the size of the image: ``python -m benchmarks.scaling CONFIG --out scaling.json``."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from benchmarks.candidates import HELP, open_candidate, parse_candidate, stage_seconds
from benchmarks.harness import Report, load_image, options, parse, save, synchronised
from benchmarks.plots import plot_scaling
from bisenet_plugins.timing import interleave, spread

__all__ = ['main', 'time_sizes']


def time_sizes(
    spec: Mapping[str, Any], sizes: Sequence[tuple[int, int]], rounds: int, path: str | None = None,
    device: str = 'cpu'
) -> Report:
    """Time one network without resizing the image, and fit how each stage's time grows.

    Args:
        spec: Arguments of :func:`~benchmarks.candidates.open_candidate`.
        sizes: Heights and widths.
        rounds: Rounds at each size; two more warm up.
        path: Image that is scaled to every size; None draws one.
        device: Where the network runs.

    Returns:
        The report; ``checks.exponents`` has the slope of log time over log pixels of every stage and of the whole.

    Raises:
        ValueError: If there are fewer than two sizes.
    """
    if len(sizes) < 2:
        raise ValueError(f'expected two sizes or more, got {len(sizes)}')
    report = Report('scaling', settings=dict(sizes=[list(size) for size in sizes], rounds=rounds, batch=1))
    candidate = open_candidate(**{'device': device, 'native': True, **spec})
    medians: dict[str, list[float]] = {}
    for size in sizes:
        image = load_image(path, size)
        whole = synchronised(partial(candidate.whole, image), device)
        seconds = interleave(dict(whole=whole), rounds, warmup=2)['whole']
        encoded = cv2.imencode('.jpg', image)[1]
        staged = [stage_seconds(candidate, encoded, None, device) for _ in range(rounds)]
        stages = {stage: spread([one[stage] for one in staged]) for stage in staged[0]}
        report.rows.append(dict(name=f'{size[0]} x {size[1]}', ms=spread(seconds), stages_ms=stages,
                                megapixels=round(size[0] * size[1] / 1e6, 3)))
        for stage, values in (*stages.items(), ('whole', spread(seconds))):
            medians.setdefault(stage, []).append(values['median'])
    pixels = np.log([float(height * width) for height, width in sizes])
    report.checks['exponents'] = {
        stage: round(float(np.polyfit(pixels, np.log(values), 1)[0]), 3) for stage, values in medians.items()}
    return report


def main(argv: Sequence[str] | None = None) -> None:
    parser = options("Time a network against the image's pixels.", rounds=3)
    parser.add_argument('candidate', metavar='CANDIDATE', help=HELP)
    parser.add_argument('--steps', type=int, default=4, help='sizes, each with twice the sides (default: %(default)s)')
    parser.add_argument('--smallest', nargs=2, type=int, default=(256, 512), metavar=('H', 'W'),
                        help='first size (default: 256 512)')
    parser.add_argument('--image', help='image to work on (default: a drawn street scene)')
    args = parse(parser, argv)
    height, width = args.smallest
    sizes = [(height * 2**power, width * 2**power) for power in range(args.steps)]
    try:
        report = time_sizes(parse_candidate(args.candidate), sizes, args.rounds, args.image, args.device)
    except ValueError as error:
        sys.exit(f'error: {error}')
    save(report, args.out, argv)
    if args.out:
        plot_scaling(args.out, Path(args.out).with_suffix('.png'))


if __name__ == '__main__':
    main()
