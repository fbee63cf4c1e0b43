"""Compare artefacts with their model: ``python tools/verify.py CONFIG CHECKPOINT DIR [DIR ...] --images val``."""

import argparse
import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bisenet_plugins.deploy.verify import verify  # noqa: E402
from bisenet_plugins.errors import BisenetError  # noqa: E402


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description='Compare artefacts with the PyTorch model they were made from.')
    parser.add_argument('config', help='config file of the model')
    parser.add_argument('checkpoint', help='weights of the model')
    parser.add_argument('artifacts', nargs='+', metavar='DIR', help='folders that deploy.py wrote')
    parser.add_argument('--images', default='synthetic',
                        help='what to compare on: folder, dataset config, train, val, test or synthetic')
    parser.add_argument('--count', type=int, default=16, help='most images')
    parser.add_argument('--latency', type=int, default=0, metavar='ROUNDS',
                        help='also time the artefacts in turns, in this very run')
    parser.add_argument('--threads', type=int, default=0, help='threads on the CPU; 0 leaves it to the runtimes')
    parser.add_argument('--json', help='file to write the figures to')
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    try:
        report, missed = verify(args.config, args.checkpoint, args.artifacts, args.images, args.count, args.latency,
                                args.threads)
    except (BisenetError, ValueError, FileNotFoundError) as error:
        sys.exit(f'error: {error}')
    text = json.dumps(report, indent=2)
    print(text)
    if args.json:
        Path(args.json).write_text(text + '\n')
    for sentence in missed:
        print(f'failed: {sentence}', file=sys.stderr)
    sys.exit(1 if missed else 0)


if __name__ == '__main__':
    main()
