"""Count the parameters and operations of a config's network."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from .options import add_config_options, config_options, whole


def add_arguments(parser: ArgumentParser) -> None:
    """Add the options of this command."""
    parser.add_argument('config', help='config file, or a config that "bisenet list" names')
    parser.add_argument('--shape', nargs=2, type=whole(32), metavar=('H', 'W'),
                        help="size of the image (default: that of the config's data preprocessor)")
    add_config_options(parser)


def run(args: Namespace) -> None:
    """Count and print."""
    from ..engine.launch import load_config
    from ..errors import expect
    from ..models.cost import build_uncounted, format_complexity, measure

    model = build_uncounted(load_config(args.config, cfg_options=config_options(args)))
    shape = args.shape or getattr(model.data_preprocessor, 'size', None) or ()
    expect(bool(shape), '--shape', f'H W, because the data preprocessor of {args.config} has no size', shape)
    channels = next(weight.shape[1] for weight in model.parameters() if weight.ndim == 4)  # of the first convolution
    print(format_complexity(measure(model, tuple(shape), channels)))
