"""Segment a drawn scene with the network in the package, then train on scenes that the project draws itself."""

from __future__ import annotations

import contextlib
import io
import logging
import shutil
import sys
import time
import warnings
from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import Any

from .options import add_config_options, config_options, find_config

CONFIG = 'bisenetv2/bisenetv2_bga_1xb8-demo-1k_street-scenes-144x192.py'
SHORT = {'train_cfg.max_iters': 700, 'train_cfg.val_interval': 350, 'param_scheduler.1.end': 700}
"""The config's thousand iterations in fewer, so that two cores are done in five minutes."""
DRAWN = 'bisenetv2-mobilenetv2-camvid'
"""The network in the package that has seen drawn scenes in its training."""
EXPECTED_MIOU = 50.0
"""What a trained network reaches; one that knows only the usual places of the classes has 22."""


def add_arguments(parser: ArgumentParser) -> None:
    """Add the options of this command."""
    parser.add_argument('config', nargs='?', help='config to train (default: the demo config, shortened)')
    parser.add_argument('--photo', help='a street image of your own, for the network in the package')
    parser.add_argument('--out-dir', help='folder for the results (default: work_dirs/demo)')
    add_config_options(parser)


def run(args: Namespace) -> int:
    """Segment, train, print the table of classes; 1 if the score is not what it should be."""
    folder = Path(args.out_dir or Path('work_dirs') / 'demo')
    show_pretrained(folder / 'pretrained', args.photo)
    miou = train_demo(args, folder)
    print('try next:\n'
          '  bisenet predict STREET_IMAGE  the network in the package on an image of yours\n'
          '  bisenet list                  all networks and configs\n'
          '  bisenet config NAME           one of them as a file, to change and to train\n'
          '  docs/own_data.md              train on images and masks of your own')
    return judge(miou)


def show_pretrained(folder: Path, photo: str | None = None) -> None:
    """Segment a drawn scene, and a photograph by the default network where there is one, and say what is in them.

    Args:
        folder: Folder for ``scene.png`` and the overlays.
        photo: A street image of the user's own.

    Raises:
        InputError: If the photograph is no image.

    Note:
        Nothing is done where no network comes with the package.
    """
    from ..datasets.scenes.painter import paint_scene
    from ..runtime import load_pretrained
    from ..visualize import write_image
    from ..weights import pretrained_names

    if DRAWN not in pretrained_names():
        return
    write_image(folder / 'scene.png', paint_scene((360, 480), seed=5, index=0)[0])
    for name, path in ((DRAWN, folder / 'scene.png'), *([(pretrained_names()[0], Path(photo))] if photo else [])):
        predictor = load_pretrained(name, backend='torch')
        predictor.segment(path)  # warms up
        begin = time.perf_counter()
        found = predictor.segment(path)
        seconds, target = time.perf_counter() - begin, folder / f'{path.stem}_segmented.jpg'
        found.save(target)
        print(f'{path.name} segmented by {name} in {1000 * seconds:.0f} ms, '
              f'{100 * found.network_seconds / seconds:.0f} % of them in the network:')
        print('  ' + ', '.join(f'{what} {100 * share:.1f} %' for what, share in found.shares.items()))
        print(f'  look at {target.resolve()}', flush=True)


class _TableKeeper(logging.Handler):
    """Keep the last table that mmseg's IoUMetric logs."""

    table = ''

    def emit(self, record: logging.LogRecord) -> None:
        message = record.getMessage().strip()
        if message.startswith('+-') and 'IoU' in message:
            self.table = message


def _progress_hook(console: Any, bar: Any, total: int) -> Any:
    """Make a hook that keeps one line up to date; where there is no terminal, it prints a line for each validation."""
    from mmengine.hooks import Hook

    class Line(Hook):
        miou, task = '', bar.add_task('training', total=total)

        def after_train_iter(self, runner: Any, *args: Any, **kwargs: Any) -> None:
            loss = runner.message_hub.get_scalar('train/loss').current()
            bar.update(self.task, completed=runner.iter + 1, description=f'training: loss {loss:.2f}{self.miou}')

        def after_val_epoch(self, runner: Any, metrics: dict[str, float] | None = None) -> None:
            self.miou = f', mIoU {(metrics or {}).get("mIoU", float("nan")):.1f}'
            if not console.is_terminal:
                console.print(f'iteration {runner.iter} of {total}{self.miou}')

    return Line()


def train_demo(args: Namespace, folder: Path) -> float:
    """Train, print the table of classes, copy images and curves to one folder and return the last mIoU.

    Raises:
        ConfigError: If the config cannot be trained.
    """
    from rich.console import Console
    from rich.progress import Progress

    from ..engine.launch import build_runner, load_config, prepare_training
    from ..weights.checkpoint import weights_only_checkpoints

    options = {**({} if args.config else SHORT), **config_options(args)}
    cfg = prepare_training(load_config(args.config or find_config(CONFIG), folder, options))
    begin, keeper = time.monotonic(), _TableKeeper()
    console = Console(file=sys.stdout, highlight=False)
    console.print(f'\ntraining a small network on drawn scenes, log in {folder}')
    # what the libraries print goes nowhere, so that the loggers that are made in here write to their files only;
    # unlike a file a text in memory stays open for the loggers that keep it
    with Progress(console=console, redirect_stdout=False) as bar, contextlib.redirect_stdout(io.StringIO()), \
            warnings.catch_warnings(), weights_only_checkpoints():
        warnings.simplefilter('ignore')
        runner = build_runner(cfg)
        runner.logger.addHandler(keeper)
        runner.register_hook(_progress_hook(console, bar, runner.max_iters), priority='LOWEST')
        runner.train()
    miou = float(runner.message_hub.get_scalar('val/mIoU').current())
    for name in ('curves.png', 'pictures.png'):
        if (Path(runner.log_dir) / name).is_file():
            shutil.copyfile(Path(runner.log_dir) / name, folder / name)
    print(f'\n{keeper.table}\n')
    print(f'mIoU {miou:.1f} after {runner.iter} iterations in {(time.monotonic() - begin) / 60:.1f} minutes')
    print(f'image | truth | prediction:  {(folder / "pictures.png").resolve()}')
    print(f'loss, learning rate, mIoU:   {(folder / "curves.png").resolve()}')
    print(f'log:                         {Path(runner.log_dir).resolve()}')
    return miou


def judge(miou: float) -> int:
    """Say whether the score is what it should be, and return the exit status.

    Example:
        >>> judge(75.0)
        0
        >>> judge(41.0)
        mIoU 41.0 is below the 50 that the demo should reach
        1
    """
    reached = miou >= EXPECTED_MIOU
    if not reached:
        print(f'mIoU {miou:.1f} is below the {EXPECTED_MIOU:.0f} that the demo should reach')
    return int(not reached)
