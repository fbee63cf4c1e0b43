"""Segment a drawn scene with the network in the package, then train on scenes that the project draws itself."""

from __future__ import annotations

import logging
import shutil
import sys
import time
from argparse import ArgumentParser, Namespace
from pathlib import Path

from .options import add_config_options, config_options, find_config

CONFIG = 'bisenetv2/bisenetv2_bga_1xb8-demo-1k_street-scenes-144x192.py'
EXPECTED_MIOU = 60.0
"""What a trained network reaches; one trained on the labels of other images stays below."""


def add_arguments(parser: ArgumentParser) -> None:
    """Add the options of this command."""
    parser.add_argument('config', nargs='?', help='config to train (default: the demo config)')
    parser.add_argument('--photo', help='a street image of your own, for the network in the package')
    parser.add_argument('--out-dir', help='folder for the results (default: work_dirs/demo)')
    parser.add_argument('--shuffle-labels', action='store_true',
                        help='train on the labels of other images, as a control')
    add_config_options(parser)


def run(args: Namespace) -> int:
    """Segment, train, print the table of classes; 1 if the score is not what it should be."""
    folder = Path(args.out_dir or Path('work_dirs') / ('demo-shuffled' if args.shuffle_labels else 'demo'))
    for failure in show_pretrained(folder / 'pretrained', args.photo):
        print(f'failed: {failure}', file=sys.stderr)
    miou = train_demo(args, folder)
    return judge(miou, args.shuffle_labels)


def show_pretrained(folder: Path, photo: str | None = None) -> list[str]:
    """Segment a drawn scene, and a photograph where there is one, with the first network in the package.

    Args:
        folder: Folder for ``scene.png`` and the overlays, in ``overlay/``.
        photo: A street image of the user's own.

    Returns:
        A sentence for each image that could not be segmented; nothing is done where no network comes with the package.
    """
    from ..datasets.scenes.painter import paint_scene
    from ..files import write_atomically
    from ..runtime import load_pretrained
    from ..runtime.results import predict_sources
    from ..runtime.sources import find_sources
    from ..visualize import encode_image
    from ..weights import pretrained_names

    names = pretrained_names()
    if not names:
        return []
    scene = folder / 'scene.png'
    write_atomically(scene, encode_image(paint_scene((360, 480), seed=5, index=0)[0], '.png'))
    predictor = load_pretrained(names[0], backend='torch')
    sources = find_sources([str(path) for path in (scene, photo) if path is not None])
    done = predict_sources(predictor, sources, folder, predictor.palette)
    print(f'{names[0]}, the network in the package, segmented {done.done} of {len(sources)}: {folder / "overlay"}')
    return done.failed


class _TableKeeper(logging.Handler):
    """Keep the last table that mmseg's IoUMetric logs."""

    table = ''

    def emit(self, record: logging.LogRecord) -> None:
        message = record.getMessage().strip()
        if message.startswith('+-') and 'IoU' in message:
            self.table = message


def train_demo(args: Namespace, folder: Path) -> float:
    """Train, print the table of classes, copy images and curves to one folder and return the last mIoU.

    Raises:
        ConfigError: If the config cannot be trained, or its dataset does not shuffle labels.
    """
    from ..engine.launch import build_runner, load_config, prepare_training
    from ..errors import ConfigError
    from ..weights.checkpoint import weights_only_checkpoints

    config = args.config or find_config(CONFIG)
    cfg = prepare_training(load_config(config, folder, config_options(args)))
    if args.shuffle_labels:
        dataset = cfg.train_dataloader.dataset
        if str(dataset.type).rpartition('.')[2] != 'StreetSceneDataset':
            raise ConfigError(f'--shuffle-labels: expected a config on StreetSceneDataset, got {dataset.type}')
        dataset.shuffle_labels = True
    begin = time.monotonic()
    keeper = _TableKeeper()
    with weights_only_checkpoints():
        runner = build_runner(cfg)
        runner.logger.addHandler(keeper)
        runner.train()
    miou = float(runner.message_hub.get_scalar('val/mIoU').current())
    for name in ('curves.png', 'pictures.png'):
        if (Path(runner.log_dir) / name).is_file():
            shutil.copyfile(Path(runner.log_dir) / name, folder / name)
    print(f'\n{keeper.table}\n')
    print(f'mIoU {miou:.1f} after {runner.iter} iterations in {(time.monotonic() - begin) / 60:.1f} minutes')
    print(f'image | truth | prediction:  {folder / "pictures.png"}')
    print(f'loss, learning rate, mIoU:   {folder / "curves.png"}')
    print(f'log:                         {runner.log_dir}')
    return miou


def judge(miou: float, shuffled: bool) -> int:
    """Say whether the score is what it should be, and return the exit status.

    Example:
        >>> judge(75.0, False)
        0
        >>> judge(41.0, False)
        mIoU 41.0 is below the 60 that the demo should reach
        1
    """
    reached = miou >= EXPECTED_MIOU
    if shuffled:
        print(f'with shuffled labels, mIoU {miou:.1f} {"reaches" if reached else "stays below"} the '
              f'{EXPECTED_MIOU:.0f} of a trained network')
        return int(reached)
    if not reached:
        print(f'mIoU {miou:.1f} is below the {EXPECTED_MIOU:.0f} that the demo should reach')
    return int(not reached)
