"""Check the dataset of a config: unreadable files, sizes, class ids; exit status 1 if something is wrong."""

from __future__ import annotations

import json
from argparse import ArgumentParser, Namespace

from .options import add_config_options, config_options, whole


def add_arguments(parser: ArgumentParser) -> None:
    """Add the options of this command."""
    parser.add_argument('config', help='config file')
    parser.add_argument('--split', choices=['train', 'val', 'test'], default='train',
                        help='which dataloader (default: %(default)s)')
    parser.add_argument('--max', type=whole(1), metavar='N', help='check the first N samples only')
    parser.add_argument('--json', action='store_true', help='print the report as JSON')
    add_config_options(parser)


def run(args: Namespace) -> int:
    """Check and print the report."""
    from ..datasets.check import check_dataset
    from ..engine.launch import load_config

    report = check_dataset(load_config(args.config, cfg_options=config_options(args)), args.split, args.max)
    print(json.dumps(report.to_dict(), indent=2) if args.json else report.to_text())
    return 0 if report.ok else 1
