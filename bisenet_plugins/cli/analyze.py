"""Write one HTML page on what a network learned: masks, errors, pathways, Grad-CAM, confusion matrix, IoU."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from .options import add_network, chosen_network, open_network, whole


def add_arguments(parser: ArgumentParser) -> None:
    """Add the options of this command."""
    parser.add_argument('inputs', nargs='+', metavar='IMAGE', help='images, folders or patterns')
    add_network(parser)
    parser.add_argument('--labels', metavar='DIR', help='folder with a PNG of class ids for each image')
    parser.add_argument('--out', default='analysis.html', help='the page (default: %(default)s)')
    parser.add_argument('--stages', nargs='+', metavar='MODULE',
                        help="modules for Grad-CAM (default: the backbone's maps and the aggregation)")
    parser.add_argument('--classes', nargs='+', metavar='CLASS', help='classes for Grad-CAM (default: two per image)')
    parser.add_argument('--show', type=whole(1), default=6,
                        help='images on the page; all are scored (default: %(default)s)')


def run(args: Namespace) -> None:
    """Write the page and print the scores."""
    from ..datasets.samples import read_samples
    from ..errors import expect
    from ..explain.page import write_page
    from ..runtime.sources import find_sources

    network, weights = chosen_network(args)
    predictor = open_network(args, 'torch')
    sources = find_sources(args.inputs)
    for source in sources:
        expect(source.kind == 'image', 'IMAGE', 'images, folders of images or patterns', str(source))
    samples = list(read_samples([source.path for source in sources], args.labels, predictor.classes))
    title = f'{network} with {weights}' if weights else network
    scores = write_page(predictor, samples, args.out, title, args.stages, args.classes, args.show)
    if scores is not None:
        print(f'mIoU {scores.miou:.2f} on {len(samples)} images, {scores.pixels:.2f} % of the labelled pixels right')
    print(f'page: {args.out}')
