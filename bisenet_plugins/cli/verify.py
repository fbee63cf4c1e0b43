"""Compare artifacts with the PyTorch model that they were made from; exit status 1 if one differs too much."""

from __future__ import annotations

import json
import sys
from argparse import ArgumentParser, Namespace

from .options import add_network, chosen_network, whole


def add_arguments(parser: ArgumentParser) -> None:
    """Add the options of this command."""
    parser.add_argument('artifacts', nargs='+', metavar='DIR', help='folders that "export" wrote')
    add_network(parser, runs=False)
    parser.add_argument('--images', default='synthetic',
                        help='what to compare on: folder, dataset config, train, val, test or synthetic')
    parser.add_argument('--count', type=whole(1), default=16, help='most images (default: %(default)s)')
    parser.add_argument('--latency', type=whole(1), default=0, metavar='ROUNDS',
                        help='also time the artifacts against each other, interleaved')
    parser.add_argument('--threads', type=whole(0), default=0, help='threads on the CPU; 0 leaves it to the runtimes')
    parser.add_argument('--json', help='file for the figures')


def check(args: Namespace) -> None:
    """Look at every folder before seconds of loading."""
    from ..runtime.artifact import Artifact

    for folder in args.artifacts:
        Artifact.load(folder)


def run(args: Namespace) -> int:
    """Compare, print the report and say what was missed."""
    from ..deploy.verify import verify
    from ..files import write_atomically

    network, weights = chosen_network(args)
    report, missed = verify(network, weights, args.artifacts, args.images, args.count, args.latency, args.threads)
    text = json.dumps(report, indent=2)
    print(text)
    if args.json:
        write_atomically(args.json, f'{text}\n'.encode())
    warnings = [f'warning: {folder}: {sentence}' for folder, found in report['artifacts'].items()
                for sentence in found.get('warnings', ())]
    for line in (*warnings, *(f'failed: {sentence}' for sentence in missed)):
        print(line, file=sys.stderr)
    return 1 if missed else 0
