"""Train a config: ``python tools/train.py CONFIG``.

With several processes: ``torchrun --nproc_per_node=N tools/train.py CONFIG --launcher pytorch``.
"""

import argparse
import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from mmengine.config import DictAction  # noqa: E402

from bisenet_plugins.engine.launch import LaunchError, load_config, prepare_training, run_training  # noqa: E402
from bisenet_plugins.weights import DamagedCheckpointError, RefusedCheckpointError  # noqa: E402


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description='Train a config.')
    parser.add_argument('config', help='config file')
    parser.add_argument('--work-dir', help='folder for logs and checkpoints (default: work_dirs/NAME_OF_CONFIG)')
    parser.add_argument('--resume', action='store_true', help='go on from the newest whole checkpoint of the work dir')
    parser.add_argument('--amp', action='store_true', help='train in mixed precision (needs an accelerator)')
    parser.add_argument('--auto-scale-lr', action='store_true', help='scale the learning rate to the real batch')
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
        run_training(prepare_training(cfg, args.resume, args.amp, args.auto_scale_lr))
    except (LaunchError, DamagedCheckpointError, RefusedCheckpointError) as error:
        sys.exit(f'error: {error}')


if __name__ == '__main__':
    main()
