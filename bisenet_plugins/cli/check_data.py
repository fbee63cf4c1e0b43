"""Check the datasets of a config: unreadable files, sizes, class ids; exit status 1 if something is wrong."""

from __future__ import annotations

import json
from argparse import ArgumentParser, Namespace
from collections.abc import Sequence

from .options import add_config_options, config_options, whole


def add_arguments(parser: ArgumentParser) -> None:
    """Add the options of this command."""
    parser.add_argument('config', help='config file, or a config that "bisenet list" names')
    parser.add_argument('--split', choices=['train', 'val', 'test'],
                        help='which dataloader (default: train, and val where there is one)')
    parser.add_argument('--max', type=whole(1), metavar='N', help='check the first N samples only')
    parser.add_argument('--json', action='store_true', help='print the report as JSON')
    add_config_options(parser)


def run(args: Namespace) -> int:
    """Check, print the reports, and propose class weights."""
    from ..config import explained
    from ..datasets.check import check_dataset
    from ..engine.launch import load_config

    cfg = load_config(args.config, cfg_options=config_options(args))
    splits = [args.split] if args.split else ['train', *(['val'] if cfg.get('val_dataloader') else [])]
    with explained(cfg):
        reports = [check_dataset(cfg, split, args.max) for split in splits]
    if args.json:
        found = {report.split: report.to_dict() for report in reports}
        print(json.dumps(found[args.split] if args.split else found, indent=2))
    else:
        print('\n\n'.join(report.to_text() for report in reports))
        weights = class_weights([count.percent for count in reports[0].classes])
        if splits[0] == 'train' and weights:
            print(f'\nclass weights, if rare classes are missed: class_weight={weights}')
    return 0 if all(report.ok for report in reports) else 1


def class_weights(percents: Sequence[float]) -> list[float]:
    """Propose a weight for each class: the inverse square root of its share, 1 on average, at most 4 times the least.

    Args:
        percents: Share of each class in the labelled pixels; one that never occurs weighs as the rarest.

    Returns:
        The weights; nothing where no class occurs.

    Example:
        >>> class_weights([90.0, 8.0, 2.0, 0.0])
        [0.32, 1.09, 1.3, 1.3]
        >>> class_weights([64.0, 36.0])
        [0.86, 1.14]
    """
    if not any(percents):
        return []
    least = max(min(filter(None, percents)), max(percents) / 16)  # the inverse root of a sixteenth is 4 times as great
    weights = [max(percent, least) ** -0.5 for percent in percents]
    return [round(weight * len(weights) / sum(weights), 2) for weight in weights]
