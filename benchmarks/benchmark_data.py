"""How fast training samples are made: ``python benchmarks/benchmark_data.py --out docs/benchmarks/data.json``."""

import argparse
import shlex
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Time mmseg's loading and augmenting against this package's.")
    parser.add_argument('--protocol', nargs='+', choices=['bisenetv2', 'mmseg'], default=['bisenetv2', 'mmseg'],
                        help='which scaling and cropping (default: both)')
    parser.add_argument('--rounds', type=int, default=24, help='samples made by each pipeline (default: %(default)s)')
    parser.add_argument('--pictures', type=int, default=4, help='scenes drawn (default: %(default)s)')
    parser.add_argument('--size', type=int, nargs=2, metavar=('H', 'W'), default=[1024, 2048], help='sides of a scene')
    parser.add_argument('--out', help='JSON file for the figures')
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    from benchmarks.data import format_data_benchmark, measure_data

    command = shlex.join(['python', 'benchmarks/benchmark_data.py', *sys.argv[1:]])
    record = measure_data(args.protocol, args.rounds, args.pictures, tuple(args.size), args.out, command)
    print(format_data_benchmark(record))


if __name__ == '__main__':
    main()
