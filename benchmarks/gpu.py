"""Everything that is timed on an NVIDIA GPU, in one table: ``python -m benchmarks.gpu --out gpu.json``.

Latency of the network alone, from a decoded image to its mask, peak memory, and training steps; ours and mmseg's
BiSeNet V2 with the same random weights. Letters: H and W the sides of the network's input in pixels.
"""

from __future__ import annotations

import copy
import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.candidates import open_candidate
from benchmarks.harness import Report, apart, load_images, options, parse, peak_memory_mb, save, synchronised
from benchmarks.train_step import train_steps
from bisenet_plugins.errors import BisenetError
from bisenet_plugins.models.fuse import switch_to_deploy
from bisenet_plugins.runtime import Predictor
from bisenet_plugins.timing import interleave, spread

__all__ = ['PAPERS', 'main', 'time_inference', 'time_training']

PAPERS = [
    dict(network='BiSeNetV2', input='512 x 1024', images_per_second=156, gpu='GTX 1080 Ti, TensorRT'),
    dict(network='BiSeNetV2-Large', input='512 x 1024', images_per_second=47.3, gpu='GTX 1080 Ti, TensorRT'),
    dict(network='STDC1-Seg50', input='512 x 1024', images_per_second=250.4, gpu='GTX 1080 Ti, TensorRT'),
]
"""What the papers report, each on a GPU of its own: not comparable with another one."""
ENGINES = [('tensorrt', precision) for precision in ('fp32', 'fp16', 'int8')] + [
    ('tensorrt-rtx', precision) for precision in ('fp32', 'fp16')]


def time_inference(size: tuple[int, int], rounds: int, device: str, least: float = 0.0) -> Report:
    """Time networks at one size.

    Args:
        size: Height and width of image and input.
        rounds: Rounds that count at least.
        device: Where it runs.
        least: Seconds that they take at least.

    Returns:
        The report; ``checks`` names engines that could not be built, with the reason.
    """
    report = Report('gpu', settings=dict(scenario='single stream', size=list(size), rounds=rounds, least_seconds=least))
    images = load_images(None, size)
    calls: dict[str, Callable[[], Any]] = {}
    masks: dict[str, np.ndarray] = {}
    for name, kind, path in (('mmseg BiSeNetV2', 'mmseg', 'bisenetv2'), ('ours', 'torch', 'bisenetv2'),
                             ('ours, head 128', 'torch', 'bisenetv2-128')):
        candidate = open_candidate(name, kind, path, size=size, device=device, native=False)
        masks[name] = candidate.whole(images[0])
        calls[f'{name}, image to mask'] = partial(_next, candidate.whole, images, [0])
        segmentor: Any = candidate.model() if kind == 'mmseg' else candidate.whole.model  # type: ignore
        model = segmentor if kind == 'mmseg' else switch_to_deploy(copy.deepcopy(segmentor)).to(
            memory_format=torch.channels_last)
        for precision, dtype in (('fp32', torch.float32), ('fp16', torch.float16), ('bf16', torch.bfloat16)):
            half = copy.deepcopy(model).to(device, dtype)
            inputs = torch.rand(1, 3, *size, device=device, dtype=dtype)
            if kind != 'mmseg':
                inputs = inputs.contiguous(memory_format=torch.channels_last)
            calls[f'{name}, network, {precision}'] = torch.inference_mode()(partial(half, inputs, mode='tensor'))
    if device.startswith('cuda'):
        with tempfile.TemporaryDirectory() as folder:
            for backend, precision in ENGINES:
                name = f'ours, head 128, {backend} {precision}'
                try:
                    predictor = _engine(backend, precision, size, Path(folder) / f'{backend}-{precision}')
                except (BisenetError, ImportError) as error:
                    report.checks[name] = ' '.join(str(error).split())[:200]
                    continue
                prepared = predictor.preprocess(images[0])
                masks[name] = predictor(images[0])
                calls[f'{name}, network with copies'] = partial(predictor.logits, prepared)
                calls[f'{name}, image to mask'] = partial(_next, predictor, images, [0])
    seconds = interleave({name: synchronised(call, device) for name, call in calls.items()}, rounds, 5, least)
    for name, series in seconds.items():
        row: dict[str, Any] = dict(name=name, ms=spread(series))
        base = masks[next(key for key in masks if name.startswith(f'{key},'))]
        if name.endswith('image to mask'):
            row['agreement_with_mmseg'] = round(float((base == masks['mmseg BiSeNetV2']).mean()), 5)
        report.rows.append(row)
    report.compare({name: series for name, series in seconds.items() if name.endswith('image to mask')},
                   'mmseg BiSeNetV2, image to mask')
    report.checks.update(peak_memory_mb=peak_memory_mb(device), papers=PAPERS)
    return report


def _next(call: Callable[[Any], Any], images: Sequence[np.ndarray], place: list[int]) -> Any:
    place[0] += 1
    return call(images[place[0] % len(images)])


def _engine(backend: str, precision: str, size: tuple[int, int], out: Path) -> Predictor:
    """Build an engine of our network with the narrow head."""
    from bisenet_plugins.deploy.exporter import deploy
    from bisenet_plugins.deploy.options import DeployOptions

    stem = Path(f'work_dirs/pair-{size[0]}x{size[1]}') / 'ours-128'
    major, minor = torch.cuda.get_device_capability()
    deploy(str(stem.with_suffix('.py')), str(stem.with_suffix('.pth')), str(out), DeployOptions(
        backend=backend, precision=precision, shape=size, output='mask', verify=False,
        calibration='synthetic' if precision == 'int8' else None, search='off',
        compute_capabilities=(f'{major}.{minor}',)))
    return Predictor(out)


def time_training(batch: int, crop: tuple[int, int], steps: int, device: str) -> list[dict[str, Any]]:
    """Time training steps of mmseg's network and of ours, each in a fresh process.

    Args:
        batch: Images in a batch.
        crop: Height and width of a crop.
        steps: Steps that count.
        device: Where it runs.

    Returns:
        A row for each network and setting, with its peak memory.
    """
    rows = []
    for name, amp in (('mmseg', False), ('mmseg', True), ('ours', False), ('ours, channels-last', False),
                      ('ours, channels-last', True), ('ours, norms recomputed', True), ('ours, bfloat16', False)):
        found = apart(train_steps, name, batch, crop, steps, device, amp, False, 19)
        rows.append(dict(name=f'training, {name}{", AMP" if amp else ""}', ms=spread(found['seconds']),
                         peak_memory_mb=found['peak_memory_mb']))
    return rows


def main(argv: Sequence[str] | None = None) -> None:
    parser = options('Time inference and training on an NVIDIA GPU.', rounds=50)
    parser.add_argument('--size', nargs=2, type=int, action='append', metavar=('H', 'W'),
                        help="size of the network's input, may be repeated (default: 512 1024 and 1024 2048)")
    parser.add_argument('--batch', type=int, default=8, help='images in a training batch (default: %(default)s)')
    parser.add_argument('--crop', nargs=2, type=int, default=(512, 1024), metavar=('H', 'W'),
                        help='size of a crop (default: 512 1024)')
    parser.add_argument('--steps', type=int, default=10, help='training steps that count (default: %(default)s)')
    parser.set_defaults(device='cuda')
    args = parse(parser, argv)
    reports = [time_inference(tuple(size), args.rounds, args.device, args.seconds)
               for size in args.size or ((512, 1024), (1024, 2048))]
    whole = Report('gpu', settings=dict(reports[0].settings, sizes=[one.settings.pop('size') for one in reports],
                                        batch=args.batch, crop=list(args.crop)))
    for size, report in zip(whole.settings['sizes'], reports):
        whole.rows += [dict(row, name=f'{size[0]} x {size[1]}: {row["name"]}') for row in report.rows]
        whole.ratios += [dict(row, size=size) for row in report.ratios]
        whole.checks.update({f'{size[0]} x {size[1]}: {key}': value for key, value in report.checks.items()
                             if key != 'papers'})
    whole.checks['papers'] = PAPERS
    whole.rows += time_training(args.batch, tuple(args.crop), args.steps, args.device)
    save(whole, args.out, argv)


if __name__ == '__main__':
    main()
