"""Train a config."""

from __future__ import annotations

import os
from argparse import ArgumentParser, Namespace

from .options import add_config_options, add_launcher, config_options

RESUME = 'run the same command with --resume to go on'


def add_arguments(parser: ArgumentParser) -> None:
    """Add the options of this command."""
    parser.add_argument('config', help='config file, or a config that "bisenet list" names')
    parser.add_argument('--work-dir', help='folder for logs and checkpoints (default: work_dirs/NAME_OF_CONFIG)')
    parser.add_argument('--resume', action='store_true', help='go on from the newest whole checkpoint of the work dir')
    parser.add_argument('--amp', action='store_true', help='train in mixed precision (needs an accelerator)')
    parser.add_argument('--auto-scale-lr', action='store_true', help='scale the learning rate to the real batch size')
    add_config_options(parser)
    add_launcher(parser)


def run(args: Namespace) -> None:
    """Train."""
    from ..engine.launch import keep_freed_memory, load_config, prepare_training, run_training

    os.environ.setdefault('LOCAL_RANK', str(args.local_rank))
    keep_freed_memory()
    cfg = load_config(args.config, args.work_dir, config_options(args), args.launcher)
    run_training(prepare_training(cfg, args.resume, args.amp, args.auto_scale_lr))
