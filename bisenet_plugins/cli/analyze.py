"""What ``tools/analysis_tools/analyze.py`` does once its options are read."""

from __future__ import annotations

import sys
from argparse import Namespace

from ..explain.page import find_pairs, write_page
from ..runtime import load_pretrained
from ..runtime.predictor import Predictor
from ..weights import pretrained_names
from ..weights.checkpoint import DamagedCheckpointError, RefusedCheckpointError

__all__ = ['run_analyze']


def run_analyze(args: Namespace) -> int:
    """Write the page that a command line asks for, and say what the network reaches.

    Args:
        args: Options of ``tools/analysis_tools/analyze.py``.

    Returns:
        The exit status: 0, or 1 if something was missing or wrong.
    """
    try:
        predictor, title, inputs = _network(args)
        pairs = find_pairs(inputs, args.labels)
        scores = write_page(predictor, pairs, args.out, title, args.stages, args.classes, args.show)
    except (FileNotFoundError, ImportError, DamagedCheckpointError, RefusedCheckpointError, ValueError) as error:
        print(f'error: {error}', file=sys.stderr)
        return 1
    if scores is not None:
        print(f'mIoU {scores.miou:.2f} on {len(pairs)} pictures, {scores.pixels:.2f} % of the labelled pixels right')
    print(f'page: {args.out}')
    return 0


def _network(args: Namespace) -> tuple[Predictor, str, list[str]]:
    """Load the network: config and checkpoint where the first input is a config, else one of the package."""
    if args.inputs[0].endswith('.py'):
        if args.pretrained:
            raise ValueError('--pretrained takes the place of config and checkpoint, both are given')
        if len(args.inputs) < 3:
            raise ValueError('behind a config come its checkpoint and the pictures')
        config, checkpoint, *inputs = args.inputs
        return Predictor(config, checkpoint, backend='torch', device=args.device), f'{config} with {checkpoint}', inputs
    name = args.pretrained or next(iter(pretrained_names()), None)
    if name is None:
        raise ValueError('no network comes with this copy of the package; name a config and a checkpoint')
    return load_pretrained(name, backend='torch', device=args.device), name, args.inputs
