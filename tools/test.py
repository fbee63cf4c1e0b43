"""Test a checkpoint: ``python tools/test.py CONFIG CHECKPOINT``."""

import argparse
import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from mmengine.config import DictAction  # noqa: E402

from bisenet_plugins.engine.launch import LaunchError, load_config, prepare_test, run_test  # noqa: E402
from bisenet_plugins.weights import DamagedCheckpointError, RefusedCheckpointError  # noqa: E402


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description='Test a checkpoint.')
    parser.add_argument('config', help='config file')
    parser.add_argument('checkpoint', help='checkpoint file')
    parser.add_argument('--work-dir', help='folder for the log (default: work_dirs/NAME_OF_CONFIG)')
    parser.add_argument('--out', help='folder for class maps, as PNGs whose values are the ids')
    parser.add_argument('--show', action='store_true', help='open a window for each prediction')
    parser.add_argument('--show-dir', help='folder for pictures image | truth | prediction')
    parser.add_argument('--wait-time', type=float, default=2.0, help='seconds that a window stays')
    parser.add_argument('--tta', action='store_true', help="average over the variants of the config's tta_pipeline")
    parser.add_argument('--cfg-options', nargs='+', action=DictAction, help='values to lay over the config, key=value')
    parser.add_argument('--launcher', choices=['none', 'pytorch', 'slurm', 'mpi'], default='none')
    parser.add_argument('--local_rank', '--local-rank', type=int, default=0, help='set by launchers')
    args = parser.parse_args()
    os.environ.setdefault('LOCAL_RANK', str(args.local_rank))
    return args


def main() -> None:
    args = parse_args()
    try:
        cfg = load_config(args.config, args.work_dir, args.cfg_options, args.launcher)
        cfg = prepare_test(cfg, args.checkpoint, args.out, args.show_dir, args.show, args.wait_time, args.tta)
        run_test(cfg)
    except (LaunchError, FileNotFoundError, DamagedCheckpointError, RefusedCheckpointError) as error:
        sys.exit(f'error: {error}')


if __name__ == '__main__':
    main()
