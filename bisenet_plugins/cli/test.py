"""Score a checkpoint on the test set of its config."""

from __future__ import annotations

import os
from argparse import ArgumentParser, Namespace

from .options import add_config_options, add_launcher, config_options, number


def add_arguments(parser: ArgumentParser) -> None:
    """Add the options of this command."""
    parser.add_argument('config', help='config file, or a config that "bisenet list" names')
    parser.add_argument('checkpoint', help='checkpoint file')
    parser.add_argument('--work-dir', help='folder for the log (default: work_dirs/NAME_OF_CONFIG)')
    parser.add_argument('--out', help='folder for masks, as PNGs of class ids')
    parser.add_argument('--show', action='store_true', help='open a window for each prediction')
    parser.add_argument('--show-dir', help='folder for images with truth and prediction side by side')
    parser.add_argument('--wait-time', type=number(0, 3600), default=2.0, help='seconds that a window stays')
    parser.add_argument('--tta', action='store_true', help="average over the variants of the config's tta_pipeline")
    add_config_options(parser)
    add_launcher(parser)


def run(args: Namespace) -> None:
    """Test."""
    from ..engine.launch import load_config, prepare_test, run_test

    os.environ.setdefault('LOCAL_RANK', str(args.local_rank))
    cfg = load_config(args.config, args.work_dir, config_options(args), args.launcher)
    run_test(prepare_test(cfg, args.checkpoint, args.out, args.show_dir, args.show, args.wait_time, args.tta))
