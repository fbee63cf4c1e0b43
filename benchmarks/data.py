"""How fast training samples are made: mmseg's separate transforms against this package's, in one interleaved run.

Letters: H and W are the sides of a picture in pixels.
"""

from __future__ import annotations

import json
import os
import platform
import random
import statistics
import tempfile
import time
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from mmcv.transforms import Compose
from mmengine.registry import init_default_scope
from mmseg.registry import TRANSFORMS
from mmseg.utils import register_all_modules

from bisenet_plugins.datasets.scenes.painter import paint_scene
from bisenet_plugins.files import write_atomically

__all__ = ['PROTOCOLS', 'format_data_benchmark', 'measure_data', 'write_pictures']

_PAD = (104, 116, 124)
PROTOCOLS: dict[str, dict[str, Any]] = {
    'bisenetv2': dict(ratio_range=(0.75, 2.0), crop_size=(1024, 2048), size=(512, 1024), cat_max_ratio=1.0),
    'mmseg': dict(ratio_range=(0.5, 2.0), crop_size=(512, 1024), size=None, cat_max_ratio=0.75),
}
"""The paper's: crops of 1024 x 2048 resized to 512 x 1024; and that of mmseg's own Cityscapes configs."""

_LOADERS = [dict(type='LoadImageFromFile'), dict(type='LoadAnnotations')]
_ENDING = [dict(type='RandomFlip', prob=0.5), dict(type='PhotoMetricDistortion'), dict(type='PackSegInputs')]
_OUR_ENDING = [_ENDING[0], dict(type='PhotoMetricDistortionByTable'), _ENDING[2]]


def write_pictures(folder: str | os.PathLike[str], number: int, sides: tuple[int, int]) -> list[dict[str, Any]]:
    """Draw street scenes with their labels and write them as PNG files.

    Args:
        folder: An existing folder.
        number: How many scenes.
        sides: Height and width.

    Returns:
        What a dataset hands to its pipeline, one dict a scene.
    """
    samples = []
    for index in range(number):
        image, label = paint_scene(sides, 7, index)
        paths = [str(Path(folder) / f'{index:03d}_{kind}.png') for kind in ('image', 'label')]
        for path, array in zip(paths, (image, label)):
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
    warp = dict(
        type='RandomScaleCropWarp',
        scale=scale,
        ratio_range=part['ratio_range'],
        crop_size=crop,
        size=size,
        cat_max_ratio=part['cat_max_ratio'],
        pad_val=_PAD,
    )
    return dict(separate=separate, warp=[warp], single=[dict(warp, exact=False)])


def _pipelines(protocol: str, sides: tuple[int, int], cache: str) -> dict[str, Any]:
    """Build what is compared."""
    steps = _steps(protocol, sides)
    decoded = dict(type='LoadDecoded', folder=cache)
    subjects = {
        'mmseg': [*_LOADERS, *steps['separate'], *_ENDING],
        'mmseg, cached': [decoded, *steps['separate'], *_ENDING],
        'ours': [*_LOADERS, *steps['warp'], *_OUR_ENDING],
        'ours, cached': [decoded, *steps['warp'], *_OUR_ENDING],
    }
    if PROTOCOLS[protocol]['size']:
        subjects['ours, cached, not exact'] = [decoded, *steps['single'], *_OUR_ENDING]
    return {name: Compose([TRANSFORMS.build(step) for step in chain]) for name, chain in subjects.items()}


def _seed(number: int) -> None:
    """Give all subjects the same random numbers."""
    random.seed(number)
    np.random.seed(number)


def _agreement(protocol: str, sides: tuple[int, int], sample: dict[str, Any], draws: int = 8) -> dict[str, float]:
    """Hold the one step against the separate ones: lowest PSNR in dB and lowest share of equal labels."""
    chains = {
        name: Compose([TRANSFORMS.build(step) for step in [*_LOADERS, *part]])
        for name, part in _steps(protocol, sides).items()
    }
    found: dict[str, list[float]] = dict(psnr_db=[], equal_labels=[], psnr_db_not_exact=[])
    for number in range(draws):
        outs = {}
        for name, chain in chains.items():
            _seed(number)
            outs[name] = chain(dict(sample, seg_fields=[]))
        image, label = outs['separate']['img'], outs['separate']['gt_seg_map']
        height, width = label.shape  # without a Pad the separate transforms give a smaller picture
        for key, name in (('psnr_db', 'warp'), ('psnr_db_not_exact', 'single')):
            error = np.mean((outs[name]['img'][:height, :width].astype(np.float64) - image) ** 2)
            found[key].append(float(10 * np.log10(255**2 / max(error, 1e-9))))
        found['equal_labels'].append(float((outs['warp']['gt_seg_map'][:height, :width] == label).mean()))
    return {key: round(min(values), 4) for key, values in found.items()}


def _reduced(sample: dict[str, Any], repeats: int) -> dict[str, float]:
    """Time decoding at full and at half size, as PNG and as JPEG, and compare with shrinking after decoding."""
    image: Any = cv2.imread(sample['img_path'])
    half = decoded = image
    figures: dict[str, float] = {}
    for kind in ('.png', '.jpg'):
        content = cv2.imencode(kind, image)[1]
        for name, flag in (('full', cv2.IMREAD_COLOR), ('half', cv2.IMREAD_REDUCED_COLOR_2)):
            times = []
            for _ in range(repeats + 1):
                start = time.process_time()
                decoded = np.asarray(cv2.imdecode(content, flag))
                times.append(time.process_time() - start)
            figures[f'{name}{kind} ms'] = round(1e3 * statistics.median(times[1:]), 2)
            if name == 'full':
                half = cv2.resize(decoded, None, fx=0.5, fy=0.5)
        error = np.mean((decoded.astype(np.float64) - half) ** 2)
        figures[f'half{kind} psnr_db'] = round(float(10 * np.log10(255**2 / max(error, 1e-9))), 2)
    return figures


def measure_data(
    protocols: Sequence[str] = tuple(PROTOCOLS),
    rounds: int = 15,
    pictures: int = 4,
    sides: tuple[int, int] = (1024, 2048),
    out: str | os.PathLike[str] | None = None,
    command: str = '',
) -> dict[str, Any]:
    """Measure samples a second on one core, every subject once a round on the same picture from the same seed.

    Args:
        protocols: Names out of ``PROTOCOLS``.
        rounds: Samples that each subject makes.
        pictures: Scenes drawn and decoded in turn.
        sides: Height and width of the files; the protocols' sizes shrink along.
        out: JSON file to write.
        command: What was typed, for the record.

    Returns:
        The record: machine, versions, and by protocol the time of a sample in milliseconds of one core, the samples a
        second, the ratio to mmseg's (median, and the lowest and highest quarter of the rounds) and how closely the
        samples agree.

    Raises:
        ValueError: If a protocol is unknown, or there are fewer than two rounds or no picture.

    Note:
        Time is that of the process on the processor, so that other work on the machine counts little; the cache is
        filled before the first round.

    Example:
        >>> record = measure_data(['bisenetv2'], rounds=2, pictures=1, sides=(64, 128))
        >>> list(record['protocols']['bisenetv2']['subjects'])[:2]
        ['mmseg', 'mmseg, cached']
    """
    unknown = [name for name in protocols if name not in PROTOCOLS]
    if unknown or not protocols:
        raise ValueError(f'protocols are {list(protocols)}, some of {list(PROTOCOLS)} are wanted')
    if rounds < 2 or pictures < 1:
        raise ValueError(f'rounds is {rounds} and pictures {pictures}, at least 2 and 1 are wanted')
    register_all_modules(init_default_scope=False)
    init_default_scope('mmseg')
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    record: dict[str, Any] = dict(_machine(), command=command, picture_sides=list(sides), rounds=rounds, protocols={})
    try:
        with tempfile.TemporaryDirectory() as folder:
            samples = write_pictures(folder, pictures, sides)
            record['bytes_a_picture'] = round(statistics.mean(os.path.getsize(s['img_path']) for s in samples))
            for protocol in protocols:
                chains = _pipelines(protocol, sides, str(Path(folder) / 'cache'))
                record['protocols'][protocol] = dict(
                    _times(chains, samples, rounds), agreement=_agreement(protocol, sides, samples[0])
                )
            record['reduced_decoding'] = _reduced(samples[0], 3)
    finally:
        cv2.setNumThreads(threads)
    if out is not None:
        write_atomically(out, (json.dumps(record, indent=2) + '\n').encode())
    return record


def _times(chains: dict[str, Any], samples: list[dict[str, Any]], rounds: int) -> dict[str, Any]:
    """Run all subjects in turn."""
    times: dict[str, list[float]] = {name: [] for name in chains}
    for sample in samples:  # warm-up: fills the cache and the files' pages
        for chain in chains.values():
            chain(dict(sample, seg_fields=[]))
    for number in range(rounds):
        order = list(chains)
        random.Random(number).shuffle(order)
        for name in order:
            _seed(number)
            start = time.process_time()
            chains[name](dict(samples[number % len(samples)], seg_fields=[]))
            times[name].append(time.process_time() - start)
    subjects = {}
    for name, spent in times.items():
        ratios = np.array(times['mmseg']) / np.array(spent)
        # seeds differ in cost: the sums, not the single rounds, tell how many samples a core makes
        subjects[name] = dict(
            ms=dict(zip(('p10', 'p50', 'p90'), np.percentile(1e3 * np.array(spent), (10, 50, 90)).round(2).tolist())),
            samples_per_second_per_core=round(len(spent) / sum(spent), 2),
            ratio_to_mmseg=dict(
                of_sums=round(sum(times['mmseg']) / sum(spent), 2),
                **dict(zip(('p25', 'p50', 'p75'), np.percentile(ratios, (25, 50, 75)).round(2).tolist())),
            ),
        )
    return dict(subjects=subjects)


def _machine() -> dict[str, Any]:
    """Describe where this runs."""
    versions = {'opencv': cv2.__version__, 'numpy': np.__version__, 'python': platform.python_version()}
    for name, choices in dict(mmcv=('onedl-mmcv', 'mmcv'), mmseg=('onedl-mmsegmentation', 'mmsegmentation')).items():
        for choice in choices:
            try:
                versions[choice] = metadata.version(choice)
                break
            except metadata.PackageNotFoundError:
                continue
        else:
            versions[name] = 'unknown'
    cpu = platform.processor() or platform.machine()
    info = Path('/proc/cpuinfo')
    if info.is_file():
        names = [line.partition(':')[2].strip() for line in info.read_text().splitlines() if 'model name' in line]
        cpu = names[0] if names else cpu
    load = [round(value, 1) for value in os.getloadavg()] if hasattr(os, 'getloadavg') else None
    return dict(machine=dict(cpu=cpu, cores=os.cpu_count(), threads=1, load=load), versions=versions)


def format_data_benchmark(record: dict[str, Any]) -> str:
    """Set a record out as Markdown tables."""
    lines = []
    for protocol, part in record['protocols'].items():
        lines += [f'**{protocol}**', '', '| pipeline | ms a sample (p10, p50, p90) | samples/s a core | times mmseg '
                  '(p25, p75 of the rounds) |', '|---|---|---|---|']
        for name, row in part['subjects'].items():
            ratio = row['ratio_to_mmseg']
            lines.append(f'| {name} | {row["ms"]["p10"]:.1f}, {row["ms"]["p50"]:.1f}, {row["ms"]["p90"]:.1f} | '
                         f'{row["samples_per_second_per_core"]:.1f} | {ratio["of_sums"]:.2f} '
                         f'({ratio["p25"]:.2f}, {ratio["p75"]:.2f}) |')
        lines += ['', 'agreement: ' + ', '.join(f'{key} {value}' for key, value in part['agreement'].items()), '']
    lines.append('decoding: ' + ', '.join(f'{key} {value}' for key, value in record['reduced_decoding'].items()))
    return '\n'.join(lines)
