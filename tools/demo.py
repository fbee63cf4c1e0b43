"""Show what the network in the package sees, then train on drawn street scenes: ``python tools/demo.py``."""

import argparse
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from mmengine.config import DictAction  # noqa: E402

from bisenet_plugins.cli.demo import run_demo, show_pretrained  # noqa: E402
from bisenet_plugins.engine.launch import LaunchError  # noqa: E402

CONFIG = ROOT / 'configs' / 'bisenetv2' / 'bisenetv2_bga_1xb8-demo-1k_street-scenes-144x192.py'


def main() -> int:
    parser = argparse.ArgumentParser(description='Train BiSeNet V2 on drawn street scenes and show the result.')
    parser.add_argument('config', nargs='?', default=str(CONFIG), help='config to train (default: the demo config)')
    parser.add_argument('--photo', help='a street picture of your own, for the network in the package')
    parser.add_argument('--out-dir', help='folder for the results (default: work_dirs/demo)')
    parser.add_argument('--shuffle-labels', action='store_true', help="train on other pictures' labels, as a control")
    parser.add_argument('--cfg-options', nargs='+', action=DictAction, help='values to lay over the config, key=value')
    args = parser.parse_args()
    out_dir = args.out_dir or Path('work_dirs') / ('demo-shuffled' if args.shuffle_labels else 'demo')
    try:
        for failure in show_pretrained(Path(out_dir) / 'pretrained', args.photo):
            print(f'failed: {failure}', file=sys.stderr)
        return run_demo(args.config, out_dir, args.shuffle_labels, args.cfg_options)
    except LaunchError as error:
        print(f'error: {error}', file=sys.stderr)
        return 1


if __name__ == '__main__':
    sys.exit(main())
