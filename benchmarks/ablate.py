"""Train rows of an ablation at a small equal budget: ``python benchmarks/ablate.py --rows detail sum --seeds 0 1 2``."""

import argparse
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.ablation import ROWS, format_ablation, run_ablation  # noqa: E402

DEFAULT = next((ROOT / 'configs' / 'bisenetv2').glob('bisenetv2_bga_1xb8-demo-*_street-scenes-*.py'), None)


def main() -> None:
    parser = argparse.ArgumentParser(description='Train rows of an ablation; what is done already is not run again.')
    parser.add_argument('--config', default=DEFAULT, help='config to vary (default: the drawn street scenes)')
    parser.add_argument('--rows', nargs='+', choices=ROWS, default=['detail', 'sum', 'bga', 'booster'])
    parser.add_argument('--seeds', nargs='+', type=int, default=[0, 1, 2])
    parser.add_argument('--iters', type=int, default=200, help='iterations of each run')
    parser.add_argument('--out', default=ROOT / 'docs' / 'benchmarks' / 'ablation.json', help='result file')
    parser.add_argument('--work-dir', default='work_dirs/ablation', help='folder of the runs')
    args = parser.parse_args()
    print(format_ablation(run_ablation(args.config, args.rows, args.seeds, args.iters, args.out, args.work_dir)))


if __name__ == '__main__':
    main()
