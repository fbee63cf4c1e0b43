"""Put training runs side by side: ``python benchmarks/compare.py ours=LOG theirs=LOG --out docs/benchmarks/NAME``."""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.compare_runs import compare_runs  # noqa: E402


def main() -> None:
    parser = argparse.ArgumentParser(description='Put training runs side by side.')
    parser.add_argument('runs', nargs='+', metavar='NAME=LOG', help="a name and the run's vis_data/scalars.json")
    parser.add_argument('--out', required=True, help='path of the .json, .png and .md, without an ending')
    parser.add_argument('--note', default='', help='what the runs have in common')
    args = parser.parse_args()
    wrong = [run for run in args.runs if '=' not in run]
    if wrong:
        parser.error(f'{wrong[0]!r} is not NAME=LOG')
    try:
        print(compare_runs(dict(run.split('=', 1) for run in args.runs), args.out, args.note))
    except ValueError as error:
        sys.exit(f'error: {error}')


if __name__ == '__main__':
    main()
