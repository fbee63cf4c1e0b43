"""Convert a checkpoint of another project to ours, or ours to mmseg."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace


def add_arguments(parser: ArgumentParser) -> None:
    """Add the options of this command."""
    parser.add_argument('src', help='checkpoint to read: a state dict, by itself or in a larger checkpoint')
    parser.add_argument('dst', help='file to write; it appears whole or not at all')
    parser.add_argument('--to', default='ours', choices=['ours', 'mmseg'], help='whose names to write')
    parser.add_argument('--config', help='config of our model; every name and shape must be its own')
    parser.add_argument('--no-auxiliary', action='store_true', help='leave the auxiliary heads out: inference only')
    parser.add_argument('--trust', action='store_true',
                        help='rebuild pickled objects in SRC; this can run any code that the file holds')
    parser.add_argument('--dry-run', action='store_true', help='do everything but write')


def run(args: Namespace) -> None:
    """Convert, and print what was renamed, dropped and added."""
    from ..weights.convert import convert_file

    done = convert_file(args.src, args.dst, args.to, args.config, args.trust, args.dry_run, not args.no_auxiliary)
    print('\n'.join(done.report()))
    print('nothing written (dry run)' if args.dry_run else f'written: {args.dst}')
