"""Time candidates from an image to its mask: ``python -m benchmarks.speed CONFIG FOLDER --out speed.json``."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.candidates import HELP, parse_candidate, time_candidates
from benchmarks.harness import load_image, options, parse, save
from benchmarks.plots import plot_speed

__all__ = ['main']


def main(argv: Sequence[str] | None = None) -> None:
    parser = options('Time candidates from a decoded image to its mask, as a whole and by stages.', 30, image=True)
    parser.add_argument('candidates', nargs='*', metavar='CANDIDATE',
                        help=HELP + '; the others are compared with the first')
    parser.add_argument('--size', nargs=2, type=int, metavar=('H', 'W'), help="size of the network's input")
    parser.add_argument('--no-memory', action='store_true', help='leave out peak memory, which takes a process each')
    parser.add_argument('--paper-protocol', action='store_true', help='5,000 rounds on a GPU, as in the paper')
    parser.add_argument('--read-file', action='store_true', help='read --image from the disk in the decoding stage')
    parser.add_argument('--format', default='.png', choices=['.png', '.jpg'], help='what the decoding stage decodes')
    parser.add_argument('--miou', nargs='+', default=[], metavar='NAME=PERCENT', help='scores, for the plot')
    parser.add_argument('--draw', nargs='+', metavar='JSON', help='only draw earlier reports to --out NAME.png')
    given = sys.argv[1:] if argv is None else list(argv)
    if '--paper-protocol' in given:
        parser.set_defaults(rounds=5000, device='cuda')
    args = parse(parser, given)
    if bool(args.draw) == bool(args.candidates) or args.draw and not args.out:
        parser.error('expected candidates, or --draw JSON... with --out NAME.png')
    if args.read_file and not args.image:
        parser.error('expected --image with --read-file')
    try:
        scores = {name: float(value) for name, _, value in (text.rpartition('=') for text in args.miou)}
    except ValueError:
        parser.error(f'expected --miou NAME=PERCENT, got {" ".join(args.miou)}')
    try:
        if args.draw:
            plot_speed(args.draw, args.out, scores)
            return
        size = tuple(args.size) if args.size else None
        specs = [parse_candidate(text) for text in args.candidates]
        for spec in specs:
            spec.update(size=size)
        report, _ = time_candidates(
            'speed', specs, load_image(args.image, tuple(args.image_size)), args.rounds, args.device,
            not args.no_memory, args.image if args.read_file else None, args.format)
    except ValueError as error:
        sys.exit(f'error: {error}')
    report.settings.update(network_size=size, paper_protocol=args.paper_protocol)
    for row in report.rows:
        if row['name'] in scores:
            row['miou'] = scores[row['name']]
    save(report, args.out, given)
    if args.out:
        plot_speed([args.out], Path(args.out).with_suffix('.png'))


if __name__ == '__main__':
    main()
