"""Write one HTML page on what a network learned: masks, errors, pathways, Grad-CAM, confusion matrix, IoU."""

from __future__ import annotations

import sys
from argparse import ArgumentParser, Namespace
from pathlib import Path

from .options import add_network, chosen_network, open_network, whole


def add_arguments(parser: ArgumentParser) -> None:
    """Add the options of this command."""
    parser.add_argument('inputs', nargs='+', metavar='IMAGE', help='images, folders or patterns')
    add_network(parser, runs=False)
    parser.add_argument('--device', default='cpu', help='where PyTorch computes (default: %(default)s)')
    parser.add_argument('--labels', metavar='DIR', help='folder with a PNG of class ids for each image')
    parser.add_argument('--out', default='analysis.html', help='the page (default: %(default)s)')
    parser.add_argument('--stages', nargs='+', metavar='MODULE',
                        help="modules for Grad-CAM (default: the backbone's maps and the aggregation)")
    parser.add_argument('--classes', nargs='+', metavar='CLASS', help='classes for Grad-CAM (default: two per image)')
    parser.add_argument('--show', type=whole(1), default=6,
                        help='images on the page; all are scored (default: %(default)s)')


def run(args: Namespace) -> int:
    """Write the page, print the scores, and say which images could not be used."""
    from ..datasets.samples import read_samples
    from ..errors import expect, printable
    from ..explain.page import write_page
    from ..runtime.sources import find_sources

    sources = find_sources(args.inputs)
    shut = {one.path.resolve() for one in (*sources, *find_sources([args.labels] if args.labels else []))}
    expect(Path(args.out).resolve() not in shut, '--out', 'a file that is none of the images and labels', args.out)
    network, weights = chosen_network(args)
    predictor = open_network(args, 'torch')
    dataset = (predictor.cfg.get('test_dataloader') or {}).get('dataset')
    failed = [f'{source}: expected an image, got {source.kind!r}' for source in sources if source.kind != 'image']
    images = (source.path for source in sources if source.kind == 'image')
    samples = read_samples(images, args.labels, predictor.classes, dataset, failed)
    title = f'{network} with {weights}' if weights else network
    scores = write_page(predictor, samples, args.out, title, args.stages, args.classes, args.show, failed)
    for sentence in failed:
        print(f'failed: {printable(sentence)}', file=sys.stderr)
    counts = f'{len(sources) - len(failed)} images, {len(failed)} failed'
    print(f'mIoU {scores.miou:.2f} on {counts}; {scores.pixels:.2f} % of the labelled pixels right' if scores else
          f'{counts}; no mIoU, because no label{" has a pixel of a class" if args.labels else "s are given"}')
    print(f'page: {args.out}')
    return 1 if failed else 0
