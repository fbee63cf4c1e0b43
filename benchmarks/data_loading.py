"""Time making training samples, mmseg's transforms against ours: ``python -m benchmarks.data_loading --out data.json``.

Letters: H and W the sides of an image in pixels.
"""

from __future__ import annotations

import itertools
import os
import random
import statistics
import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from mmcv.transforms import Compose
from mmengine.registry import init_default_scope
from mmseg.registry import TRANSFORMS
from mmseg.utils import register_all_modules

import bisenet_plugins  # noqa: F401  registers the transforms
from benchmarks.harness import Report, options, parse, save
from bisenet_plugins.datasets.scenes.painter import paint_scene
from bisenet_plugins.timing import interleave, spread

__all__ = ['PROTOCOLS', 'main', 'time_samples', 'write_scenes']

_PAD = (104, 116, 124)
PROTOCOLS: dict[str, dict[str, Any]] = {
    'bisenetv2': dict(ratio_range=(0.75, 2.0), crop_size=(1024, 2048), size=(512, 1024), cat_max_ratio=1.0),
    'mmseg': dict(ratio_range=(0.5, 2.0), crop_size=(512, 1024), size=None, cat_max_ratio=0.75),
}
"""The paper's: crops of 1024 x 2048 resized to 512 x 1024; and that of mmseg's own Cityscapes configs."""

_LOADERS: list[dict[str, Any]] = [dict(type='LoadImageFromFile'), dict(type='LoadAnnotations')]
_ENDING: list[dict[str, Any]] = [
    dict(type='RandomFlip', prob=0.5), dict(type='PhotoMetricDistortion'), dict(type='PackSegInputs')]
_OUR_ENDING: list[dict[str, Any]] = [_ENDING[0], dict(type='PhotoMetricDistortionByTable'), _ENDING[2]]


def write_scenes(folder: str | os.PathLike[str], number: int, sides: tuple[int, int]) -> list[dict[str, Any]]:
    """Draw street scenes with their labels and write them as PNG files.

    Args:
        folder: An existing folder.
        number: How many scenes.
        sides: Height and width.

    Returns:
        What a dataset hands to its pipeline, one dict per scene.
    """
    samples = []
    for index in range(number):
        paths = [str(Path(folder) / f'{index:03d}_{kind}.png') for kind in ('image', 'label')]
        for path, array in zip(paths, paint_scene(sides, 7, index)):
            cv2.imwrite(path, array)
        samples.append(dict(img_path=paths[0], seg_map_path=paths[1], label_map=None, reduce_zero_label=False))
    return samples


def _steps(protocol: str, sides: tuple[int, int]) -> dict[str, list[dict[str, Any]]]:
    """Return the scaling and cropping of a protocol, in separate transforms and in one."""
    part = PROTOCOLS[protocol]
    scale, crop, size = (sides[1], sides[0]), part['crop_size'], part['size']
    shrink = sides[0] / 1024
    crop = (round(crop[0] * shrink), round(crop[1] * shrink))
    size = size and (round(size[0] * shrink), round(size[1] * shrink))
    separate = [
        dict(type='RandomResize', scale=scale, ratio_range=part['ratio_range'], keep_ratio=True),
        dict(type='RandomCrop', crop_size=crop, cat_max_ratio=part['cat_max_ratio']),
    ]
    if size:
        separate.append(dict(type='Pad', size=crop[::-1], pad_val=dict(img=_PAD, seg=255)))
        separate.append(dict(type='Resize', scale=size[::-1], keep_ratio=False))
    warp = dict(type='RandomScaleCropWarp', scale=scale, ratio_range=part['ratio_range'], crop_size=crop, size=size,
                cat_max_ratio=part['cat_max_ratio'], pad_val=_PAD)
    return dict(separate=separate, warp=[warp], single=[dict(warp, exact=False)])


def _compose(steps: Sequence[dict[str, Any]]) -> Compose:
    return Compose([TRANSFORMS.build(step) for step in steps])


def _seed(number: int) -> None:
    """Seed all pipelines alike."""
    random.seed(number)
    np.random.seed(number)


def _agreement(protocol: str, sides: tuple[int, int], sample: dict[str, Any], draws: int = 8) -> dict[str, float]:
    """Compare the single step with the separate ones: lowest PSNR in dB and lowest share of equal labels."""
    chains = {name: _compose([*_LOADERS, *part]) for name, part in _steps(protocol, sides).items()}
    found: dict[str, list[float]] = dict(psnr_db=[], equal_labels=[], psnr_db_not_exact=[])
    for number in range(draws):
        outs = {}
        for name, chain in chains.items():
            _seed(number)
            outs[name] = chain(dict(sample, seg_fields=[]))
        image, label = outs['separate']['img'], outs['separate']['gt_seg_map']
        height, width = label.shape  # without a Pad the separate transforms return a smaller image
        for key, name in (('psnr_db', 'warp'), ('psnr_db_not_exact', 'single')):
            error = np.mean((outs[name]['img'][:height, :width].astype(np.float64) - image) ** 2)
            found[key].append(float(10 * np.log10(255**2 / max(error, 1e-9))))
        found['equal_labels'].append(float((outs['warp']['gt_seg_map'][:height, :width] == label).mean()))
    return {key: round(min(values), 4) for key, values in found.items()}


def _calls(
    protocol: str, samples: Sequence[dict[str, Any]], sides: tuple[int, int], cache: str
) -> dict[str, Callable[[], Any]]:
    """Make a call of each pipeline; the rounds of all take the same samples and the same random numbers."""
    steps = _steps(protocol, sides)
    decoded = dict(type='LoadDecoded', folder=cache)
    chains: dict[str, list[dict[str, Any]]] = {
        'mmseg': [*_LOADERS, *steps['separate'], *_ENDING],
        'mmseg, cached': [decoded, *steps['separate'], *_ENDING],
        'ours, OpenCV': [*_LOADERS, *steps['warp'], *_OUR_ENDING],
        'ours': [dict(type='LoadDecoded'), *steps['warp'], *_OUR_ENDING],
        'ours, cached': [decoded, *steps['warp'], *_OUR_ENDING],
    }
    if PROTOCOLS[protocol]['size']:
        chains['ours, cached, not exact'] = [decoded, *steps['single'], *_OUR_ENDING]

    def make(chain: Compose, numbers: Any) -> Any:
        number = next(numbers)
        _seed(number)
        return chain(dict(samples[number % len(samples)], seg_fields=[]))

    return {name: partial(make, _compose(chain), itertools.count()) for name, chain in chains.items()}


def time_samples(
    protocols: Sequence[str] = tuple(PROTOCOLS), rounds: int = 24, images: int = 4,
    sides: tuple[int, int] = (1024, 2048)
) -> Report:
    """Time samples on one core, every pipeline once per round on the same image from the same seed.

    Args:
        protocols: Names out of :data:`PROTOCOLS`.
        rounds: Samples that each pipeline makes; as many as there are images warm up, which fills the cache.
        images: Scenes drawn and decoded in turn.
        sides: Height and width of the files; the protocols' sizes shrink along.

    Returns:
        The report: a row for each protocol and pipeline, ratios to mmseg's, and how closely the samples agree.

    Raises:
        ValueError: If a protocol is unknown, or ``rounds`` or ``images`` is below one.
    """
    if not protocols or set(protocols) - set(PROTOCOLS):
        raise ValueError(f'expected protocols out of {list(PROTOCOLS)}, got {list(protocols)}')
    if rounds < 1 or images < 1:
        raise ValueError(f'expected rounds and images of at least 1, got {rounds} and {images}')
    register_all_modules(init_default_scope=False)
    init_default_scope('mmseg')
    report = Report('data_loading', settings=dict(image=list(sides), images=images, rounds=rounds, opencv_threads=1))
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        with tempfile.TemporaryDirectory() as folder:
            samples = write_scenes(folder, images, sides)
            report.settings['bytes_per_image'] = round(statistics.mean(os.path.getsize(s['img_path']) for s in samples))
            for protocol in protocols:
                calls = _calls(protocol, samples, sides, str(Path(folder) / 'cache'))
                seconds = interleave(calls, rounds, warmup=images)
                named = {f'{protocol}: {name}': series for name, series in seconds.items()}
                # Seeds differ in cost, so the sums, not the medians, say how many samples a core makes.
                report.rows += [dict(name=name, ms=spread(series),
                                     samples_per_second_per_core=round(len(series) / sum(series), 2))
                                for name, series in named.items()]
                report.compare(named, f'{protocol}: mmseg')
                report.checks[f'agreement, {protocol}'] = _agreement(protocol, sides, samples[0])
    finally:
        cv2.setNumThreads(threads)
    return report


def main(argv: Sequence[str] | None = None) -> None:
    parser = options("Time mmseg's loading and augmenting against this package's.", rounds=24)
    parser.add_argument('--protocol', nargs='+', choices=list(PROTOCOLS), default=list(PROTOCOLS),
                        help='which scaling and cropping (default: both)')
    parser.add_argument('--images', type=int, default=4, help='scenes drawn (default: %(default)s)')
    parser.add_argument('--size', type=int, nargs=2, metavar=('H', 'W'), default=(1024, 2048), help='sides of a scene')
    args = parse(parser, argv)
    save(time_samples(args.protocol, args.rounds, args.images, tuple(args.size)), args.out, argv)


if __name__ == '__main__':
    main()
