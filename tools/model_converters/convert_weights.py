"""Convert a checkpoint of another project to ours, or ours to mmseg's: ``python tools/model_converters/convert_weights.py SRC DST``."""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from bisenet_plugins.weights.checkpoint import DamagedCheckpointError, RefusedCheckpointError  # noqa: E402
from bisenet_plugins.weights.convert import convert_file  # noqa: E402


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description='Convert a checkpoint of another project to ours, or ours to mmseg.')
    parser.add_argument('src', help='checkpoint to read: a state dict, by itself or in a larger checkpoint')
    parser.add_argument('dst', help='file to write; it appears whole or not at all')
    parser.add_argument('--to', default='ours', choices=('ours', 'mmseg'), help='whose names to write')
    parser.add_argument('--config', help='config of our model; every name and shape must be its own')
    parser.add_argument('--no-auxiliary', action='store_true', help='leave the auxiliary heads out: inference only')
    parser.add_argument('--trust', action='store_true',
                        help='rebuild pickled objects in SRC; this can run any code that the file holds')
    parser.add_argument('--dry-run', action='store_true', help='do everything but write')
    args = parser.parse_args(argv)
    try:
        done = convert_file(args.src, args.dst, args.to, args.config, args.trust, args.dry_run, not args.no_auxiliary)
    except (ValueError, FileNotFoundError, RefusedCheckpointError, DamagedCheckpointError) as error:
        print(f'error: {error}', file=sys.stderr)
        return 1
    print('\n'.join(done.report()))
    print('nothing written (dry run)' if args.dry_run else f'written: {args.dst}')
    return 0


if __name__ == '__main__':
    sys.exit(main())
