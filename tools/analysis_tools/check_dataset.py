"""Check the dataset that a config names: ``python tools/analysis_tools/check_dataset.py CONFIG``; exit status 1 if wrong."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from mmengine.config import Config, DictAction  # noqa: E402

import bisenet_plugins  # noqa: E402, F401  registers the project's datasets
from bisenet_plugins.datasets.check import SPLITS, check_dataset  # noqa: E402


def main() -> int:
    parser = argparse.ArgumentParser(description='Check the dataset that a config names.')
    parser.add_argument('config', help='config file')
    parser.add_argument('--split', choices=SPLITS, default='train', help='which dataloader (default: %(default)s)')
    parser.add_argument('--max', type=int, metavar='N', help='look at the first N samples only')
    parser.add_argument('--json', action='store_true', help='print the report as JSON')
    parser.add_argument('--cfg-options', nargs='+', action=DictAction, help='values to lay over the config, key=value')
    args = parser.parse_args()
    cfg = Config.fromfile(args.config)
    cfg.merge_from_dict(args.cfg_options or {})
    try:
        report = check_dataset(cfg, args.split, args.max)
    except ValueError as error:
        parser.error(str(error))
    print(json.dumps(report.to_dict(), indent=2) if args.json else report.to_text())
    return 0 if report.ok else 1


if __name__ == '__main__':
    raise SystemExit(main())
