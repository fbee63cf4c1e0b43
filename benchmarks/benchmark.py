"""Time networks and their parts: ``python benchmarks/benchmark.py run CONFIG``; ``--help`` lists the benchmarks."""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))


def parse_args() -> argparse.Namespace:
    shared = argparse.ArgumentParser(add_help=False)
    shared.add_argument('--out', help='JSON file for the figures, such as docs/benchmarks/NAME.json')
    shared.add_argument('--iterations', type=int, help='rounds that count (default: depends on the benchmark)')
    shared.add_argument('--threads', type=int, help="threads on the CPU (default: PyTorch's own)")
    shared.add_argument('--device', default='cpu', help='where networks run (default: %(default)s)')
    shared.add_argument('--picture', help='picture to work on (default: a painted street scene)')
    shared.add_argument('--picture-size', nargs=2, type=int, default=(1024, 2048), metavar=('H', 'W'),
                        help='size that it is scaled to (default: 1024 2048)')
    shared.add_argument('--size', nargs=2, type=int, metavar=('H', 'W'), help='size that networks see')
    shared.add_argument('--no-memory', action='store_true', help='leave out peak memory, which takes a process each')
    subject = '[NAME=][mmseg:|openvino:]CONFIG[,CHECKPOINT], a folder that tools/deploy.py wrote, or an ONNX file'
    parser = argparse.ArgumentParser(description='Time networks and their parts.')
    benchmarks = parser.add_subparsers(dest='benchmark', required=True)

    run = benchmarks.add_parser('run', parents=[shared], help='from a picture to its class map, whole and by stages')
    run.add_argument('subjects', nargs='+', metavar='SUBJECT', help=subject + '; the first is compared with the others')
    run.add_argument('--paper-protocol', action='store_true', help='5,000 rounds; resizing counts, the batch is one')
    run.add_argument('--read-file', action='store_true', help='read --picture from the disk in the decoding stage')
    run.add_argument('--format', default='.png', choices=['.png', '.jpg'], help='what the decoding stage decodes')
    run.add_argument('--miou', nargs='+', metavar='NAME=PERCENT', help='scores for the picture of score against speed')

    pipeline = benchmarks.add_parser('pipeline', parents=[shared], help="against mmseg's inference_model, same weights")
    pipeline.add_argument('--folder', help='where the configs and weights of the two networks are kept')
    pipeline.add_argument('--weights', help="checkpoint of mmseg's BiSeNet V2 (default: random weights)")
    pipeline.add_argument('--classes', type=int, help="number of classes (default: the checkpoint's, or 19)")
    pipeline.add_argument('--narrow', action='store_true', help='also ours with a main head 128 channels wide')
    pipeline.add_argument('--scored', metavar='CONFIG', help="config on whose validation images both are scored")
    pipeline.add_argument('--extra', nargs='+', default=[], metavar='SUBJECT', help=subject)

    mask = benchmarks.add_parser('mask', parents=[shared], help='the class map from small logits')
    mask.add_argument('--classes', type=int, default=19)

    matmul = benchmarks.add_parser('matmul', parents=[shared], help='matrix products, and what networks reach of them')
    matmul.add_argument('subjects', nargs='*', metavar='SUBJECT', help=subject)
    matmul.add_argument('--side', type=int, default=2048, help='side of the matrices (default: %(default)s)')

    scaling = benchmarks.add_parser('scaling', parents=[shared], help='time against pixels')
    scaling.add_argument('subject', metavar='SUBJECT', help=subject)
    scaling.add_argument('--steps', type=int, default=4, help='sizes, each with twice the sides, from 256 x 512')

    train = benchmarks.add_parser('train-step', parents=[shared], help="one training step against mmseg's")
    train.add_argument('--batch', type=int, default=8)
    train.add_argument('--crop', nargs=2, type=int, default=(512, 1024), metavar=('H', 'W'))
    train.add_argument('--rounds', type=int, default=1, help='how often the two take turns')
    train.add_argument('--amp', action='store_true', help='mixed precision (needs a GPU)')
    train.add_argument('--ohem', action='store_true', help='losses of hard pixels only')

    plot = benchmarks.add_parser('plot', help='score against speed, from the files of several runs')
    plot.add_argument('files', nargs='+', metavar='JSON')
    plot.add_argument('--out', required=True, help='the PNG')
    plot.add_argument('--miou', nargs='+', metavar='NAME=PERCENT', help='scores')
    plot.set_defaults(threads=None)
    args = parser.parse_args()
    if getattr(args, 'paper_protocol', False) and '--device' not in sys.argv:
        args.device = 'cuda'
    return args


def main() -> None:
    args = parse_args()
    from benchmarks.commandline import run_benchmark

    try:
        print(run_benchmark(args))
    except (ValueError, FileNotFoundError) as error:
        sys.exit(f'error: {error}')


if __name__ == '__main__':
    main()
