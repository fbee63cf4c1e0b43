"""Bring CamVid into the layout that the configs read: ``train/``, ``trainannot/``, ``val/``, ``valannot/``."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from bisenet_plugins.datasets.prepare import prepare_camvid  # noqa: E402


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, epilog='Exit status 1 if a file was left out. A second run continues where one stopped.')
    parser.add_argument('source', help='folder with train/, trainannot/, ... or with 701_StillsRaw_full/ and '
                        'LabeledApproved_full/')
    parser.add_argument('--out', default='data/camvid', help='folder to write to (default: %(default)s)')
    parser.add_argument('--splits', help='folder with train.txt, val.txt, test.txt for the original 701 images '
                        '(default: those in SOURCE, otherwise the rule of the sequences)')
    parser.add_argument('--unknown-as-void', action='store_true',
                        help='take colours that are none of the 32 as not labelled instead of leaving the file out')
    args = parser.parse_args()
    try:
        report = prepare_camvid(args.source, args.out, args.splits, args.unknown_as_void)
    except ValueError as error:
        parser.error(str(error))
    print(report.to_text())
    return 1 if report.problems else 0


if __name__ == '__main__':
    raise SystemExit(main())
