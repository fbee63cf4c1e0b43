"""Train the CamVid recipe for a given time from one packed file: ``python -m benchmarks.timed_recipe --minutes 20``.

For a GPU that is there by the minute: the images travel as one file, what the table in docs/results.md found to pay is
in the recipe, the learning rate follows the clock, and weights, scores and log come back in one folder.
"""

from __future__ import annotations

import argparse
import io
import json
import math
import os
import tarfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.hooks import Hook
from mmseg.registry import HOOKS

from benchmarks.recipe import CONFIG, ROWS
from benchmarks.variants import apply_options
from bisenet_plugins.engine.launch import load_config, prepare_training, run_training
from bisenet_plugins.errors import expect
from bisenet_plugins.files import write_atomically
from bisenet_plugins.timing import machine
from tools.model_converters.export_shipped_network import export_pretrained

__all__ = ['TimeBudgetHook', 'main', 'pack', 'recipe_config', 'train', 'unpack']

NAME = 'bisenetv1-efficientnet-lite0-camvid'
FOLDERS = ('train', 'trainannot', 'val', 'valannot')
DRIVES = ('0001TP', '0006R0', '0016E5')
INGREDIENTS = ('relu6', 'lovasz')


def pack(root: str | os.PathLike[str], out: str | os.PathLike[str], quality: int = 95) -> int:
    """Write CamVid's training and validation images into one tar file: images as JPEG, labels as they are.

    Args:
        root: Folder in the layout of ``CamVidDataset``.
        out: The tar file.
        quality: Of the JPEG files, up to 100.

    Returns:
        Its size in bytes.

    Raises:
        InputError: If ``root`` lacks one of the folders, or an image cannot be read.
    """
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode='w') as archive:
        for folder in FOLDERS:
            files = sorted((Path(root) / folder).glob('*.png'))
            expect(bool(files), 'root', f'PNG files in its folder {folder}', str(root))
            for file in files:
                name, data = f'{folder}/{file.name}', file.read_bytes()
                if not folder.endswith('annot'):
                    image = cv2.imread(str(file))
                    expect(image is not None, 'root', 'images', str(file))
                    data = cv2.imencode('.jpg', image, [
                        cv2.IMWRITE_JPEG_QUALITY, quality, cv2.IMWRITE_JPEG_OPTIMIZE, 1, cv2.IMWRITE_JPEG_PROGRESSIVE, 1
                    ])[1].tobytes()
                    name = f'{folder}/{file.stem}.jpg'
                entry = tarfile.TarInfo(name)
                entry.size = len(data)
                archive.addfile(entry, io.BytesIO(data))
    write_atomically(out, content.getvalue())
    return len(content.getvalue())


def unpack(file: str | os.PathLike[str], folder: str | os.PathLike[str]) -> None:
    """Read what :func:`pack` wrote into a folder; a second time nothing is done.

    Raises:
        tarfile.TarError: If it is no such file, or a name in it leads out of the folder.
    """
    done = Path(folder) / 'done'
    if not done.is_file():
        with tarfile.open(file) as archive:
            archive.extractall(folder, filter='data')
        done.touch()


@HOOKS.register_module()
class TimeBudgetHook(Hook):
    """End a training when its time is up; until then the learning rate follows the clock.

    It rises over ``warmup`` of the time, stays, and falls linearly to zero over ``decay`` of it. A resumed run goes on
    with the time that it had left.

    Args:
        seconds: The time.
        warmup: Share of it.
        decay: Share of it.

    Example:
        >>> hook = TimeBudgetHook(100.0, warmup=0.1, decay=0.2)
        >>> [round(hook.factor(share), 2) for share in (0.0, 0.05, 0.5, 0.9, 1.0)]
        [0.0, 0.5, 1.0, 0.5, 0.0]
    """

    def __init__(self, seconds: float, warmup: float = 0.03, decay: float = 0.2) -> None:
        expect(seconds > 0 and math.isfinite(seconds), 'seconds', 'a positive number', seconds)
        self.seconds, self.warmup, self.decay = seconds, warmup, decay

    def factor(self, share: float) -> float:
        """Return what the learning rate is multiplied by after a share of the time."""
        return max(min(share / self.warmup, 1.0, (1.0 - share) / self.decay), 0.0)

    def before_train(self, runner: Any) -> None:
        """Start the clock, or let it go on where the checkpoint has it."""
        spent = runner.message_hub.runtime_info.get('seconds_spent', 0.0)
        self.started = time.monotonic() - spent
        for group in runner.optim_wrapper.param_groups:
            group.setdefault('initial_lr', group['lr'])

    def before_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None) -> None:
        """Set the learning rate, and the length that the run will have at the pace it had so far."""
        spent = time.monotonic() - self.started
        share, done = spent / self.seconds, runner.iter + 1
        runner.message_hub.update_info('seconds_spent', spent)
        for group in runner.optim_wrapper.param_groups:
            group['lr'] = group['initial_lr'] * self.factor(share)
        # the last iteration is scored and saved as that of a run of fixed length
        runner.train_loop._max_iters = done if share >= 1 else max(done + 1, math.ceil(done / max(share, 1e-6)))


def recipe_config(data: str | os.PathLike[str], work_dir: str | os.PathLike[str], seconds: float,
                  held_out: str | None = None, batch: int = 16, crop: tuple[int, int] = (384, 480), seed: int = 0,
                  workers: int | None = None) -> Config:
    """Make the config of the final recipe over unpacked data.

    Args:
        data: Folder of :func:`unpack`.
        work_dir: Folder of the run.
        seconds: Length of the training.
        held_out: Drive to leave out and to score; None trains on all and scores drive 0006R0.
        batch: Images in an iteration; the learning rate grows with its square root.
        crop: Height and width of the crops.
        seed: Seed of weights, order and augmentation.
        workers: Processes that load; by default one less than there are cores.
    """
    cfg = load_config(CONFIG, work_dir)
    for row in INGREDIENTS:
        cfg = apply_options(cfg, ROWS[row].options)
    part = cfg.train_dataloader.dataset.dataset.datasets
    for dataset in (*part, cfg.val_dataloader.dataset, cfg.test_dataloader.dataset):
        dataset.update(data_root=str(data), img_suffix='.jpg')
    for dataset in part:
        dataset.pipeline[1].folder = str(Path(data) / 'decoded')
        dataset.drives = [drive for drive in DRIVES if drive != held_out]
    cfg.val_dataloader.dataset.drives = cfg.test_dataloader.dataset.drives = [held_out or '0006R0']
    workers = max((os.cpu_count() or 1) - 1, 1) if workers is None else workers
    cfg.merge_from_dict({
        'randomness': dict(seed=seed), 'experiment_name': f'{NAME}-{seed}', 'param_scheduler': None,
        'train_dataloader': dict(batch_size=batch, num_workers=workers, persistent_workers=workers > 0),
        'optim_wrapper.optimizer.lr': cfg.optim_wrapper.optimizer.lr * math.sqrt(batch / 8),
        'model.data_preprocessor.size': crop, 'train_dataloader.dataset.pipeline.1.crop_size': crop,
        'train_cfg': dict(max_iters=10**9, val_interval=10**9),
        'default_hooks': dict(checkpoint=dict(interval=1000, max_keep_ckpts=1, save_best=None))})
    cfg.custom_hooks = [*cfg.custom_hooks, dict(type='TimeBudgetHook', seconds=seconds)]
    return cfg


def train(file: str | os.PathLike[str], out: str | os.PathLike[str], minutes: float, **options: Any) -> dict[str, Any]:
    """Train, and leave the network with its card, the scores and the log in one folder.

    Args:
        file: From :func:`pack`.
        out: The folder; a run in it that was interrupted goes on.
        minutes: Length of the training; unpacking comes before, scoring and writing after it.
        options: Those of :func:`recipe_config`.

    Returns:
        Content of ``scores.json``.
    """
    out = Path(out)
    unpack(file, out / 'data')
    cfg = recipe_config(out / 'data', out / 'run', 60 * minutes, **options)
    runner = run_training(prepare_training(cfg, resume=True))
    checkpoint = (out / 'run' / 'last_checkpoint').read_text('utf-8')
    export_pretrained(cfg, checkpoint, NAME, evaluate=False, folder=out, calibration=None)
    write_atomically(out / 'train.log', b''.join(file.read_bytes() for file in sorted(out.glob('run/*/*.log'))))
    drive, scores = cfg.val_dataloader.dataset.drives[0], runner.message_hub
    result = dict(
        drive=drive, trained_on_it=drive in cfg.train_dataloader.dataset.dataset.datasets[0].drives,
        miou=scores.get_scalar('val/mIoU').current(), minutes=minutes, iterations=runner.iter,
        passes=runner.iter * cfg.train_dataloader.batch_size / len(runner.train_dataloader.dataset),
        settings=options, device=get_device(), machine=machine())
    write_atomically(out / 'scores.json', json.dumps(result, indent=1, default=str).encode())
    return result


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or '').splitlines()[0])
    parser.add_argument('--pack', metavar='FOLDER', help='write the data file first, from this CamVid')
    parser.add_argument('--data', type=Path, default=Path('work_dirs/camvid.tar'), help='(default: %(default)s)')
    parser.add_argument('--minutes', type=float, help='length of the training')
    parser.add_argument('--held-out', choices=DRIVES, help='drive that is scored and not learned')
    parser.add_argument('--batch', type=int, default=16, help='images in an iteration (default: %(default)s)')
    parser.add_argument('--crop', nargs=2, type=int, default=(384, 480), metavar=('HEIGHT', 'WIDTH'))
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument('--workers', type=int, help='processes that load (default: one less than there are cores)')
    parser.add_argument('--out', type=Path, default=Path('work_dirs/timed_recipe'), help='(default: %(default)s)')
    args = parser.parse_args(argv)
    if args.pack:
        print(f'{args.data}: {pack(args.pack, args.data) / 1e6:.1f} MB')
    if args.minutes:
        result = train(args.data, args.out, args.minutes, held_out=args.held_out, batch=args.batch,
                       crop=tuple(args.crop), seed=args.seed, workers=args.workers)
        print(f'{args.out}: drive {result["drive"]} {result["miou"]:.2f} mIoU after {result["iterations"]} iterations')


if __name__ == '__main__':
    main()
