"""What a config costs: ``python tools/analysis_tools/complexity.py CONFIG``; the paper's tables recounted: ``--paper-table 5``."""

import argparse
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from benchmarks.paper_tables import TABLES, count_table, format_table, write_tables  # noqa: E402
from bisenet_plugins.cli.complexity import build_uncounted, format_complexity, measure, receptive_fields


def main() -> None:
    parser = argparse.ArgumentParser(description='Count parameters, operations, activations and receptive fields.')
    parser.add_argument('config', nargs='?', help='config file')
    parser.add_argument('--shape', nargs=2, type=int, metavar=('H', 'W'), help="size (default: the config's own)")
    parser.add_argument('--paper-table', choices=[*TABLES, 'all'], help='a table of the BiSeNet V2 paper to recount')
    parser.add_argument('--write', action='store_true', help='write every table into docs/paper_tables.md')
    args = parser.parse_args()
    if args.config is None and args.paper_table is None and not args.write:
        parser.error('give a config, --paper-table or --write')
    if args.config is not None:
        model = build_uncounted(args.config)
        shape = args.shape or model.data_preprocessor.size
        print(format_complexity(measure(model, tuple(shape)), receptive_fields(model)))
    if args.write:
        write_tables(ROOT / 'docs' / 'paper_tables.md')
    elif args.paper_table is not None:
        for name in TABLES if args.paper_table == 'all' else [args.paper_table]:
            print(format_table(name, count_table(name)), end='\n\n')


if __name__ == '__main__':
    main()
