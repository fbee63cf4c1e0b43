"""See what a network learnt: ``python tools/analysis_tools/analyze.py IMAGES... --labels DIR --out page.html``."""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description='Write one HTML page: predictions, errors, pathways, Grad-CAM, confusion matrix, IoU.',
        usage='%(prog)s [CONFIG CHECKPOINT | --pretrained NAME] IMAGE... [--labels DIR] [--out page.html]')
    parser.add_argument('inputs', nargs='+', metavar='IMAGE',
                        help='pictures, folders or patterns; before them, a config (.py) and a checkpoint')
    parser.add_argument('--pretrained', metavar='NAME',
                        help='network that comes with the package (default, without a config: the first there is)')
    parser.add_argument('--labels', metavar='DIR', help='folder with a PNG of class ids for each picture')
    parser.add_argument('--out', default='analysis.html', help='the page (default: %(default)s)')
    parser.add_argument('--stages', nargs='+', metavar='MODULE',
                        help="modules for Grad-CAM (default: the backbone's maps and the aggregation)")
    parser.add_argument('--classes', nargs='+', metavar='CLASS', help='classes for Grad-CAM (default: two a picture)')
    parser.add_argument('--show', type=int, default=6, help='pictures shown; all are scored (default: %(default)s)')
    parser.add_argument('--device', default='cpu', help='where the network runs (default: %(default)s)')
    return parser.parse_args()


def main() -> int:
    args = parse_args()
    from bisenet_plugins.cli.analyze import run_analyze

    return run_analyze(args)


if __name__ == '__main__':
    sys.exit(main())
