"""Put trained weights into the package: inference form, graphs in single precision and INT8, card and checksums."""

import sys
from argparse import ArgumentParser, Namespace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from bisenet_plugins.cli.main import run_module  # noqa: E402
from bisenet_plugins.cli.options import add_config_options, config_options  # noqa: E402
from bisenet_plugins.engine.launch import load_config  # noqa: E402
from bisenet_plugins.errors import InputError  # noqa: E402
from tools.model_converters.export_shipped_network import export_pretrained  # noqa: E402
from tools.model_converters.model_card import CARD_KEYS  # noqa: E402


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument('config', help='config of the training')
    parser.add_argument('checkpoint', help='checkpoint of the training')
    parser.add_argument('name', help='name to load it by, such as bisenetv2-camvid')
    parser.add_argument('--card', nargs='+', default=[], metavar='KEY=TEXT',
                        help=f'words of your own for the model card; keys: {", ".join(CARD_KEYS)}')
    parser.add_argument('--log', help="the training's vis_data/scalars.json, for the model card")
    parser.add_argument('--no-evaluate', action='store_true', help="do not score the file on the config's val images")
    parser.add_argument('--calibration', default='train', help='images that ranges of INT8 are measured on: folder, '
                        'dataset config, train, val, synthetic, or none to write no graphs (default: %(default)s)')
    parser.add_argument('--folder', help="folder of index.json and the weights (default: the package's own)")
    add_config_options(parser)


def run(args: Namespace) -> None:
    for text in args.card:
        if '=' not in text:
            raise InputError(f'--card: expected KEY=TEXT, got {text!r}')
    cfg = load_config(args.config, cfg_options=config_options(args))
    card = dict(text.split('=', 1) for text in args.card)
    done = export_pretrained(cfg, args.checkpoint, args.name, card, args.log, not args.no_evaluate, args.folder,
                             None if args.calibration == 'none' else args.calibration)
    print(f'{done.path}: {done.size} bytes')
    if done.scores is not None:
        print(f'val mIoU {done.scores.miou:.2f}; agrees with the checkpoint on {done.same:.3f} % of the pixels')


if __name__ == '__main__':
    sys.exit(run_module(sys.modules[__name__]))
