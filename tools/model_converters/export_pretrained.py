"""Put trained weights into the package: ``python tools/model_converters/export_pretrained.py CONFIG CHECKPOINT NAME``."""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from mmengine.config import Config, DictAction  # noqa: E402

import bisenet_plugins  # noqa: E402, F401
from tools.model_converters.export_shipped_network import export_pretrained  # noqa: E402
from tools.model_converters.model_card import CARD_KEYS  # noqa: E402


def main() -> int:
    parser = argparse.ArgumentParser(description="Write a network's inference form, its model card and its checksum.")
    parser.add_argument('config', help='config of the training')
    parser.add_argument('checkpoint', help='checkpoint of the training')
    parser.add_argument('name', help='name to load it by, such as bisenetv2-camvid')
    parser.add_argument('--card', nargs='+', default=[], metavar='KEY=TEXT',
                        help=f'words of your own for the model card; keys: {", ".join(CARD_KEYS)}')
    parser.add_argument('--log', help="the training's vis_data/scalars.json, for the model card")
    parser.add_argument('--no-evaluate', action='store_true', help="do not score the file on the config's val images")
    parser.add_argument('--folder', help="where index.json and weights/ lie (default: the package's own folder)")
    parser.add_argument('--cfg-options', nargs='+', action=DictAction, help='values to lay over the config, key=value')
    args = parser.parse_args()
    wrong = [text for text in args.card if '=' not in text]
    if wrong:
        parser.error(f'{wrong[0]!r} is not KEY=TEXT')
    if not Path(args.config).is_file():
        sys.exit(f'error: there is no config at {args.config}')
    config = Config.fromfile(args.config)
    config.merge_from_dict(args.cfg_options or {})
    try:
        done = export_pretrained(config, args.checkpoint, args.name, dict(text.split('=', 1) for text in args.card),
                                 args.log, not args.no_evaluate, args.folder)
    except (ValueError, RuntimeError, FileNotFoundError, ImportError) as error:
        print(f'error: {error}', file=sys.stderr)
        return 1
    print(f'{done.path}: {done.size} bytes')
    if done.scores is not None:
        print(f'val mIoU {done.scores.miou:.2f}; agrees with the checkpoint on {done.same:.3f} % of the pixels')
    return 0


if __name__ == '__main__':
    sys.exit(main())
