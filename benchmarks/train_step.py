"""Time training steps, and their memory: mmseg's BiSeNet V2 against ours, ``python -m benchmarks.train_step``.

Every series is a fresh process. ``+ kept memory`` is the same with glibc's settings of ``bisenet train``, and
``+ tcmalloc`` with that allocator preloaded, so that what is the allocator's is not claimed for the network;
``--processes`` times data-parallel training over gloo instead. Memory is that of the process, which begins with 0.4 GB
of libraries and depends on the allocator, and beside it that of the tensors alone, which does not.
"""

from __future__ import annotations

import ctypes.util
import glob
import json
import multiprocessing
import os
import socket
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from itertools import accumulate
from pathlib import Path
from typing import Any

import torch
import torch.distributed
from mmengine.optim import AmpOptimWrapper, OptimWrapper
from mmengine.structures import PixelData
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample
from mmseg.utils import register_all_modules

from benchmarks.harness import (
    Report,
    apart,
    load_image,
    options,
    parse,
    peak_memory_mb,
    ratio,
    save,
    synchronised,
)
from benchmarks.pairs import pair_configs, pair_weights
from bisenet_plugins.engine import AutocastOptimWrapper
from bisenet_plugins.engine.launch import keep_freed_memory
from bisenet_plugins.timing import spread

__all__ = ['SERIES', 'find_allocator', 'main', 'peak_of_tensors_mb', 'time_processes', 'time_train_step', 'train_steps']

SERIES: dict[str, dict[str, Any]] = {
    'mmseg': {}, 'ours': {}, 'ours, norms recomputed': dict(recompute_norms=True),
    'ours, channels-last': dict(channels_last=True), 'ours, bfloat16': {},
    'ours, bfloat16, norms recomputed': dict(recompute_norms=True)}
"""What is timed, and the arguments of our segmentor; ``mmseg`` runs as its own configs have it."""


def find_allocator(name: str = 'tcmalloc_minimal') -> str | None:
    """Return the path of an allocator that is installed, or None.

    Args:
        name: Its library, such as ``tcmalloc_minimal`` (Debian: libtcmalloc-minimal4) or ``jemalloc`` (libjemalloc2).
    """
    found = ctypes.util.find_library(name)
    places = [path for folder in ('/usr/lib', '/usr/lib/*', '/usr/local/lib', '/lib/*')
              for path in glob.glob(f'{folder}/{found}')] if found else []
    return places[0] if places else found


def time_train_step(
    batch: int, crop: tuple[int, int], steps: int, rounds: int = 1, device: str = 'cpu', series: Sequence[str] = (),
    allocator: str | None = None, amp: bool = False, ohem: bool = False, classes: int = 19
) -> Report:
    """Time training steps of both networks, each round in a fresh process for each.

    Args:
        batch: Images in a batch.
        crop: Height and width of a crop.
        steps: Steps that count in each process; one more warms up.
        rounds: How often the processes take turns.
        device: Where it runs.
        series: Names out of :data:`SERIES`; none takes ``mmseg`` and ``ours``.
        allocator: Library that every series is timed with once more.
        amp: Whether it runs in mixed precision of mmengine, which needs a GPU.
        ohem: Whether the losses take hard pixels only.
        classes: Number of classes.

    Returns:
        The report; ``checks`` has the loss of each series' first step, which starts from the same weights, and the
        share of the peak memory.

    Raises:
        ValueError: If ``steps`` or ``rounds`` is below one.
    """
    if steps < 1 or rounds < 1:
        raise ValueError(f'expected steps and rounds of at least 1, got {steps} and {rounds}')
    report = Report('train_step', settings=dict(
        scenario='training', batch=batch, crop=list(crop), steps=steps, rounds=rounds, amp=amp, ohem=ohem,
        classes=classes, allocator=allocator))
    memories = {'': (False, None)}
    if device == 'cpu':
        memories[' + kept memory'] = True, None
    if allocator:
        memories[' + tcmalloc'] = False, allocator
    names = [(name + how, name, *memory) for how, memory in memories.items() for name in series or ('mmseg', 'ours')]
    times: dict[str, list[float]] = {label: [] for label, *_ in names}
    memory: dict[str, float] = {}
    tensors: dict[str, float | None] = {}
    losses: dict[str, float] = {}
    for _ in range(rounds):
        for label, name, keep, preload in names:
            found = apart(train_steps, name, batch, crop, steps, device, amp, ohem, classes, None, keep,
                          preload=preload)
            times[label] += found['seconds']
            memory[label] = max(memory.get(label, 0.0), found['peak_memory_mb'])
            losses[label], tensors[label] = found['first_loss'], found['tensor_memory_mb']
    base = names[0][0]
    for label, values in times.items():
        row = dict(name=label, ms=spread(values), peak_memory_mb=memory[label],
                   share_of_memory=round(memory[label] / memory[base], 3))
        held, most = tensors[label], tensors[base]
        report.rows.append(dict(row, tensor_memory_mb=held, share_of_tensors=round(held / most, 3)) if held and most
                           else row)
        if label != base:
            report.ratios.append(dict(of=base, over=label, **ratio(times[base], values)))
    report.checks = dict(first_loss=losses)
    return report


def time_processes(processes: int, batch: int, crop: tuple[int, int], steps: int, rounds: int = 1) -> Report:
    """Time our network on one process, and on several with gloo, each process on one thread.

    Args:
        processes: How many processes share the work.
        batch: Images in the batch of each process.
        crop: Height and width of a crop.
        steps: Steps that count; one more warms up.
        rounds: How often they take turns.

    Returns:
        The report; ``weights_equal`` says whether all processes have the same weights after the last step, as they do
        if their gradients were equal.
    """
    report = Report('train_step', settings=dict(
        scenario='data-parallel training', processes=processes, batch_per_process=batch, crop=list(crop), steps=steps,
        rounds=rounds, threads_per_process=1))
    times: dict[int, list[float]] = {1: [], processes: []}
    equal = True
    for _ in range(rounds):
        for count, series in times.items():
            with socket.socket() as free:
                free.bind(('127.0.0.1', 0))
                port = free.getsockname()[1]
            with ProcessPoolExecutor(count, mp_context=multiprocessing.get_context('spawn')) as pool:
                found = list(pool.map(_worker, *zip(*(
                    (rank, count, port, batch, crop, steps) for rank in range(count)))))
            series += [max(step) for step in zip(*(one['seconds'] for one in found))]
            equal &= len({one['weights'] for one in found}) == 1
    for count, series in times.items():
        rate = count * batch / spread(series)['median'] * 1000
        report.rows.append(dict(name=f'{count} process{"es" if count > 1 else ""}', ms=spread(series),
                                images_per_second=round(rate, 3)))
    first, last = report.rows[0]['images_per_second'], report.rows[-1]['images_per_second']
    report.checks = dict(throughput_over_one_process=round(last / first, 3), weights_equal=equal)
    return report


def _worker(rank: int, world: int, port: int, batch: int, crop: tuple[int, int], steps: int) -> dict[str, Any]:
    torch.set_num_threads(1)
    os.environ.update(MASTER_ADDR='127.0.0.1', MASTER_PORT=str(port))
    torch.distributed.init_process_group('gloo', rank=rank, world_size=world)
    try:
        found = train_steps('ours', batch, crop, steps, 'cpu', False, False, 19, rank=rank)
        torch.distributed.barrier()
        return found
    finally:
        torch.distributed.destroy_process_group()


def train_steps(
    name: str, batch: int, crop: tuple[int, int], steps: int, device: str, amp: bool, ohem: bool, classes: int,
    rank: int | None = None, keep: bool = False
) -> dict[str, Any]:
    """Take training steps in this process.

    Args:
        name: One of :data:`SERIES`.
        batch: Images in a batch.
        crop: Height and width of a crop.
        steps: Steps that count; one more warms up.
        device: Where it runs.
        amp: Whether it runs in mixed precision.
        ohem: Whether the losses take hard pixels only.
        classes: Number of classes.
        rank: Number of this process where several share the work, which each have images of their own.
        keep: Whether freed memory is kept, as ``bisenet train`` does.

    Returns:
        ``seconds`` of each step, ``peak_memory_mb``, ``tensor_memory_mb`` (on a CPU, of one more step), ``first_loss``
        and the sum of the ``weights`` after the last step.
    """
    if keep and not keep_freed_memory():
        raise RuntimeError('expected glibc without settings of its own in the environment, to keep freed memory')
    register_all_modules(init_default_scope=True)
    configs = pair_configs(crop, classes=classes, ohem=ohem)
    side = 'mmseg' if name == 'mmseg' else 'ours'
    weights = pair_weights(configs, load_image(None, (256, 512)))[side]
    model: Any = MODELS.build({**configs[side].model, **SERIES[name]})
    model.load_state_dict(weights)
    del weights
    model.to(device).train()
    for head in (model.decode_head, *model.auxiliary_head):
        if head.dropout is not None:
            head.dropout.p = 0.0  # so that the first losses of the two are equal
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-4, momentum=0.9, weight_decay=5e-4)
    kind = AutocastOptimWrapper if 'bfloat16' in name else AmpOptimWrapper if amp else OptimWrapper
    wrapper: Any = kind(optimizer=optimizer)
    if getattr(wrapper, 'dtype', None) == torch.float32:
        raise RuntimeError(f'--series: expected a CPU that computes bfloat16, for {name!r}')
    trained = model
    if rank is not None:
        from mmengine.model import MMDistributedDataParallel
        trained = MMDistributedDataParallel(model, broadcast_buffers=False)
    generator = torch.Generator().manual_seed(rank or 0)
    inputs = [torch.randint(0, 256, (3, *crop), dtype=torch.uint8, generator=generator) for _ in range(batch)]
    samples = []
    for _ in range(batch):
        coarse = torch.randint(0, classes, (1, 1, 8, 16), generator=generator).float()
        label = torch.nn.functional.interpolate(coarse, crop)[0].long()
        meta = dict(img_shape=crop, ori_shape=crop)
        samples.append(SegDataSample(metainfo=meta, gt_sem_seg=PixelData(data=label)))
    seconds, first = [], 0.0
    for step in range(steps + 1):
        data = dict(inputs=list(inputs), data_samples=[sample.clone() for sample in samples])
        call = partial(trained.train_step, data, wrapper)
        start = time.perf_counter()
        logged = synchronised(call, device)()
        spent = time.perf_counter() - start
        if step == 0:
            first = float(logged['loss'])
        else:
            seconds.append(spent)
    total = sum(float(one.detach().double().abs().sum()) for one in model.parameters())
    peak, tensors = peak_memory_mb(device), None
    if device == 'cpu' and rank is None:
        kept = [*model.parameters(), *model.buffers(), *(
            value for state in optimizer.state.values() for value in state.values() if torch.is_tensor(value))]
        held = sum(value.nbytes for value in kept) / 2**20
        tensors = round(held + peak_of_tensors_mb(partial(trained.train_step, data, wrapper)), 1)
    return dict(seconds=seconds, peak_memory_mb=peak, tensor_memory_mb=tensors, first_loss=round(first, 5),
                weights=total)


def peak_of_tensors_mb(call: Callable[[], Any]) -> float:
    """Return the most memory in MiB that tensors made on the CPU by a call hold at once.

    Example:
        >>> peak_of_tensors_mb(lambda: [torch.zeros(2**18), torch.zeros(2**18) + 1])
        3.0
    """
    with tempfile.TemporaryDirectory() as folder:
        with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True) as profile:
            call()
        profile.export_chrome_trace(f'{folder}/trace.json')
        events = json.loads(Path(folder, 'trace.json').read_text('utf-8'))['traceEvents']
    changes = sorted((event['ts'], event['args']['Bytes']) for event in events if event['name'] == '[memory]')
    return round(max(accumulate((size for _, size in changes), initial=0)) / 2**20, 1)


def main(argv: Sequence[str] | None = None) -> None:
    parser = options("Time training steps of mmseg's BiSeNet V2 and of ours, in processes of their own.", rounds=1)
    parser.add_argument('--steps', type=int, default=2, help='steps that count in each round (default: %(default)s)')
    parser.add_argument('--batch', type=int, default=8, help='images in a batch (default: %(default)s)')
    parser.add_argument('--crop', nargs=2, type=int, default=(512, 1024), metavar=('H', 'W'),
                        help='size of a crop (default: 512 1024)')
    parser.add_argument('--series', nargs='+', choices=list(SERIES), default=['mmseg', 'ours'], metavar='NAME',
                        help=f'what is timed, the first is the base: {"; ".join(SERIES)} (default: mmseg ours)')
    parser.add_argument('--tcmalloc', action='store_true', help='time every series once more with tcmalloc')
    parser.add_argument('--processes', type=int, help='time one process against so many, over gloo')
    parser.add_argument('--amp', action='store_true', help='mixed precision (needs a GPU)')
    parser.add_argument('--ohem', action='store_true', help='losses of hard pixels only')
    args = parse(parser, argv)
    allocator = find_allocator() if args.tcmalloc else None
    if args.tcmalloc and allocator is None:
        parser.error('expected tcmalloc to be installed (Debian: libtcmalloc-minimal4), found none')
    try:
        if args.processes:
            report = time_processes(args.processes, args.batch, tuple(args.crop), args.steps, args.rounds)
        else:
            report = time_train_step(args.batch, tuple(args.crop), args.steps, args.rounds, args.device, args.series,
                                     allocator, args.amp, args.ohem)
    except ValueError as error:
        sys.exit(f'error: {error}')
    save(report, args.out, argv)


if __name__ == '__main__':
    main()
