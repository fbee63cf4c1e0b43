"""Time candidates from an image to its mask, one image after the other: ``python -m benchmarks.speed CANDIDATE...``."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import cv2

from benchmarks.candidates import HELP, parse_candidate, time_candidates
from benchmarks.harness import image_files, load_images, options, parse, save, spread_out
from benchmarks.plots import plot_speed

__all__ = ['main']


def main(argv: Sequence[str] | None = None) -> None:
    parser = options('Time candidates from a decoded image to its mask, as a whole and by stages.', 30, image=True)
    parser.add_argument('candidates', nargs='*', metavar='CANDIDATE', help=HELP + '; the first is the base')
    parser.add_argument('--size', nargs=2, type=int, metavar=('H', 'W'), help="size of the network's input")
    parser.add_argument('--labels', nargs='+', metavar='PATH', help='labels of --images, in their order, for the mIoU')
    parser.add_argument('--no-memory', action='store_true', help='leave out peak memory, which takes a process each')
    parser.add_argument('--draw', nargs='+', metavar='JSON', help='only draw earlier reports to --out NAME.png')
    given = sys.argv[1:] if argv is None else list(argv)
    args = parse(parser, given)
    if bool(args.draw) == bool(args.candidates) or args.draw and not args.out:
        parser.error('expected candidates, or --draw JSON... with --out NAME.png')
    if args.labels and not args.images:
        parser.error('expected --images with --labels')
    try:
        if args.draw:
            plot_speed(args.draw, args.out)
            return
        specs = [dict(parse_candidate(text), size=tuple(args.size) if args.size else None) for text in args.candidates]
        sides = tuple(args.image_size)
        labels = [cv2.resize(cv2.imread(path, cv2.IMREAD_UNCHANGED), sides[::-1], interpolation=cv2.INTER_NEAREST)
                  for path in spread_out(image_files(args.labels), 32)] if args.labels else None
        report = time_candidates(specs, load_images(args.images, sides), args.rounds, args.seconds, args.device,
                                 not args.no_memory, labels)
    except ValueError as error:
        sys.exit(f'error: {error}')
    report.settings.update(network_size=args.size)
    save(report, args.out, given)
    if args.out:
        plot_speed([args.out], Path(args.out).with_suffix('.png'))


if __name__ == '__main__':
    main()
