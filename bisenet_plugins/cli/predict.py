"""Segment images, folders, patterns, videos or cameras."""

from __future__ import annotations

import os
import tempfile
from argparse import ArgumentParser, Namespace
from pathlib import Path

from .options import BACKENDS, add_network, number, open_network, whole

KINDS = ('overlay', 'palette', 'ids', 'json', 'probabilities')
RESUME = 'run the same command with --skip-existing to resume'
NEEDS_PACKAGE = False
"""A graph needs neither PyTorch nor MMSegmentation; a config's network registers the parts itself."""


def add_arguments(parser: ArgumentParser) -> None:
    """Add the options of this command."""
    parser.add_argument('inputs', nargs='+', metavar='INPUT', help='file, folder, pattern, or number of a camera')
    add_network(parser)
    parser.add_argument('--backend', choices=BACKENDS, default='auto',
                        help='what computes the network; auto is the fastest that is installed (default: auto)')
    parser.add_argument('--out-dir', default='outputs', help='folder for results (default: %(default)s)')
    parser.add_argument('--save', nargs='+', choices=KINDS, default=['overlay'], metavar='KIND',
                        help=f'what to write, some of: {", ".join(KINDS)} (default: overlay)')
    parser.add_argument('--opacity', type=number(0, 1), default=0.5, help='weight of the colours in an overlay, 0 to 1')
    parser.add_argument('--batch-size', type=whole(1), default=1, help='frames of a video segmented together')
    parser.add_argument('--max-frames', type=whole(1), help='frames taken from each video or camera')
    parser.add_argument('--recursive', action='store_true', help='search folders in folders')
    parser.add_argument('--skip-existing', action='store_true', help='leave out what has its results already')


def check(args: Namespace) -> None:
    """Refuse a folder for results before the network is loaded."""
    from ..errors import InputError

    place = Path(args.out_dir or os.devnull)  # an empty name is no folder either
    try:
        tempfile.TemporaryFile(dir=next(path for path in (place, *place.absolute().parents) if path.exists())).close()
    except OSError as error:
        raise InputError(f'--out-dir: expected a folder that can be written to, got {args.out_dir!r}: '
                         f'{error.strerror}') from error
    # what cannot be read is told with its name
    os.environ.update(dict(OPENCV_LOG_LEVEL='SILENT', OPENCV_FFMPEG_LOGLEVEL='-8') | os.environ)


def run(args: Namespace) -> int:
    """Segment with a progress bar, and say what came out."""
    from ..errors import expect, printable
    from ..runtime.results import predict_sources
    from ..runtime.sources import find_sources
    from .progress import progress_bar

    expect(not args.model or args.backend == 'auto' or not Path(args.model).is_dir(), '--backend',
           'none with --model and an exported folder, which has its own', args.backend)
    named = {folder for text in args.inputs for folder in Path(os.path.realpath(f'{text}/-')).parents}
    # a folder of earlier results may be an input by its name
    shut = [place for kind in KINDS if (place := Path(args.out_dir, kind).resolve()) not in named or kind in args.save]
    sources = find_sources(args.inputs, args.recursive, shut)
    predictor = open_network(args, args.backend)
    many = len(sources) > 1 or any(source.kind == 'video' for source in sources)
    with progress_bar(len(sources)) as listener:
        summary = predict_sources(predictor.segment, sources, args.out_dir, args.save, args.opacity, args.batch_size,
                                  args.skip_existing, args.max_frames, listener, predictor.share_cores() if many else 1)
    print(f'{summary.done} done ({summary.frames} images), {summary.skipped} skipped, {len(summary.failed)} failed; '
          f'results in {printable(args.out_dir)}{"; " * bool(summary.speed)}{summary.speed}')
    return 1 if summary.failed else 0
