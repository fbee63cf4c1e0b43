"""Convert CamVid to the layout that the configs read; exit status 1 if a file was left out."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

RESUME = 'run the same command to resume'


def add_arguments(parser: ArgumentParser) -> None:
    """Add the options of this command."""
    parser.add_argument('source', help='folder with train/, trainannot/, ... or with 701_StillsRaw_full/ and '
                        'LabeledApproved_full/')
    parser.add_argument('--out', default='data/camvid', help='folder for the result (default: %(default)s)')
    parser.add_argument('--splits', help='folder with train.txt, val.txt, test.txt for the original 701 images '
                        '(default: those in SOURCE, otherwise the rule of the sequences)')
    parser.add_argument('--unknown-as-void', action='store_true',
                        help='treat colours outside the 32 classes as not labelled instead of leaving the file out')


def run(args: Namespace) -> int:
    """Convert and print the report."""
    from ..datasets.prepare import prepare_camvid

    report = prepare_camvid(args.source, args.out, args.splits, args.unknown_as_void)
    print(report.to_text())
    return 1 if report.problems else 0
