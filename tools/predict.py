"""Segment pictures: ``python tools/predict.py INPUT...``, with the network in the package or one of your own."""

import argparse
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description='Segment images, folders, patterns, videos or cameras.')
    parser.add_argument('inputs', nargs='+', metavar='INPUT', help='file, folder, pattern, or number of a camera')
    parser.add_argument('--config', help='config file')
    parser.add_argument('--checkpoint', help='checkpoint file')
    parser.add_argument('--pretrained', metavar='NAME', help='network that comes with the package, in place of both '
                        '(default: the first there is, else that of the last "tools/demo.py")')
    parser.add_argument('--model', metavar='DIR', help='folder that tools/deploy.py wrote, in place of both')
    parser.add_argument('--out-dir', default='outputs', help='folder for results (default: %(default)s)')
    parser.add_argument('--save', nargs='+', choices=['overlay', 'palette', 'ids'], default=['overlay'],
                        help='what to write (default: overlay)')
    parser.add_argument('--opacity', type=float, default=0.5, help='weight of the colours in an overlay, 0 to 1')
    parser.add_argument('--device', default='cpu', help='where the network runs (default: %(default)s)')
    parser.add_argument('--backend', choices=['auto', 'torch', 'openvino', 'onnxruntime'], default='auto',
                        help='what computes the network; auto is PyTorch for a few images, '
                        'else the fastest that is installed (default: auto)')
    parser.add_argument('--batch-size', type=int, default=1, help='frames of a video segmented together')
    parser.add_argument('--max-frames', type=int, help='frames taken from each video or camera')
    parser.add_argument('--recursive', action='store_true', help='look into folders of folders')
    parser.add_argument('--skip-existing', action='store_true', help='leave out what has its results already')
    return parser.parse_args()


def main() -> int:
    args = parse_args()
    from bisenet_plugins.cli.predict import run_predict

    return run_predict(args, demo_dir=Path('work_dirs') / 'demo')


if __name__ == '__main__':
    sys.exit(main())
