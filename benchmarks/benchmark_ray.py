"""Throughput of the Ray engine against one process: ``python benchmarks/benchmark_ray.py --config CONFIG``."""

import argparse
import json
import shlex
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description='Segment the same pictures in one process and on Ray.')
    parser.add_argument('--config', default=str(ROOT / 'configs/bisenetv2/bisenetv2_bga_1xb16-10k_camvid-360x480.py'),
                        help='config of the network (default: BiSeNet V2 for CamVid)')
    parser.add_argument('--checkpoint', help='weights (default: random ones, which cost the same)')
    parser.add_argument('--device', default='cpu', help='where the network runs (default: %(default)s)')
    parser.add_argument('--workers', type=int, default=2, help='actors (default: %(default)s)')
    parser.add_argument('--pictures', type=int, default=20, help='scenes drawn (default: %(default)s)')
    parser.add_argument('--size', type=int, nargs=2, metavar=('H', 'W'), default=[360, 480], help='sides of a scene')
    parser.add_argument('--out', help='JSON file for the figures')
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    from benchmarks.ray_engine import measure_ray

    command = shlex.join(['python', 'benchmarks/benchmark_ray.py', *sys.argv[1:]])
    record = measure_ray(args.config, args.checkpoint, args.device, args.workers, args.pictures, tuple(args.size),
                         args.out, command)
    print(json.dumps(record, indent=2))


if __name__ == '__main__':
    main()
