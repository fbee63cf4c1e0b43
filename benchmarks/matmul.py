"""Time matrix products, what share of their rate networks reach, and where a network's time goes.

``python -m benchmarks.matmul CONFIG FOLDER --out matmul.json``. Letters: H and W the sides of an image in pixels.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks.candidates import HELP, Candidate, open_candidate, parse_candidate
from benchmarks.harness import Report, load_image, options, parse, save, synchronised
from bisenet_plugins.runtime.backends import open_backend
from bisenet_plugins.timing import interleave, spread

__all__ = ['graph_table', 'layer_table', 'main', 'time_products']

REST = 'all else'


def time_products(
    rounds: int, side: int = 2048, specs: Sequence[Mapping[str, Any]] = (), image: np.ndarray | None = None,
    device: str = 'cpu'
) -> Report:
    """Time matrix products, and networks in the same rounds.

    Args:
        rounds: Rounds that count.
        side: Side of the square matrices.
        specs: Networks, as for :func:`~benchmarks.candidates.open_candidate`.
        image: What the networks see, ``(H, W, 3)``.
        device: Where it runs.

    Returns:
        The report; a row's ``share`` is its GMACs per second over those of PyTorch's matrix product, from the medians.
        On a CPU NumPy's product stands below: two BLAS libraries do not agree on what a machine can do. ``checks`` say
        where the time of each PyTorch network goes.

    Raises:
        ValueError: If there are networks and no image.
    """
    if specs and image is None:
        raise ValueError('expected an image for the networks, got none')
    a, b = (torch.rand(side, side, device=device) for _ in range(2))
    out = torch.empty(side, side, device=device)
    product = f'matrix product, {side}'
    calls: dict[str, Callable[[], Any]] = {product: lambda: torch.mm(a, b, out=out)}
    gmacs: dict[str, float | None] = {product: side**3 / 1e9}
    networks = {}
    for spec in specs:
        candidate = open_candidate(**{'device': device, **spec})
        networks[candidate.name] = candidate.network_alone(image)  # type: ignore[arg-type]
        gmacs[candidate.name] = candidate.gmacs
    calls.update(networks)
    with torch.inference_mode():
        seconds = interleave({name: synchronised(call, device) for name, call in calls.items()}, rounds, 3)
        if torch.device(device).type == 'cpu':  # by itself: its threads wait busily and would take the others' time
            first, second, other = a.numpy(), b.numpy(), f'{product}, NumPy'
            seconds.update(interleave({other: lambda: first @ second}, rounds, 3))
            gmacs[other] = gmacs[product]
    report = Report('matmul', settings=dict(
        side=side, rounds=rounds, image=None if image is None else list(image.shape[:2])))
    rate = 0.0
    for name, series in seconds.items():
        row: dict[str, Any] = dict(name=name, ms=spread(series), gmacs=gmacs[name])
        if gmacs[name]:
            reached = 1000 * float(gmacs[name] or 0) / row['ms']['median']
            rate = rate or reached
            row.update(gflops=round(2 * reached, 1), share=round(reached / rate, 3))
        report.rows.append(row)
    return report


def layer_table(candidate: Candidate, image: np.ndarray, rounds: int = 10) -> list[dict[str, Any]]:
    """Say for each kind of convolution how long it takes and how fast it multiplies.

    Args:
        candidate: The network.
        image: Image ``(H, W, 3)`` uint8 BGR.
        rounds: Runs that are averaged.

    Returns:
        A row for each kind, the longest first: ``kind``, ``ms``, ``percent`` of the network's time, and for
        convolutions ``layers``, ``gmacs`` and ``gflops``. The kind ``all else`` is what no convolution accounts for.
        Empty where the network does not run on PyTorch.

    Note:
        Timing each layer takes time itself, a few microseconds per layer.
    """
    if candidate.model is None:
        return []
    started: dict[nn.Module, float] = {}
    spent: dict[Any, list[float]] = {}
    outputs: dict[nn.Module, tuple[int, ...]] = {}

    def start(module: nn.Module, inputs: Any) -> None:
        started[module] = time.perf_counter()

    def end(module: nn.Module, inputs: Any, output: Tensor) -> None:
        spent.setdefault(module, []).append(time.perf_counter() - started[module])
        outputs[module] = tuple(output.shape)

    model, prepared = candidate.model(), candidate.stages['preprocess'](image)
    inputs = prepared['inputs'] if isinstance(prepared, dict) else torch.from_numpy(prepared.inputs)
    inputs = inputs.to(next(model.parameters()).device)
    run = torch.inference_mode()(partial(model, inputs, mode='tensor'))
    layers = [module for module in model.modules() if  # convolutions, also those fused with what follows
              hasattr(module, 'kernel_size') and hasattr(module, 'groups') and not any(module.children())]
    hooks = [hook for module in layers
             for hook in (module.register_forward_pre_hook(start), module.register_forward_hook(end))]
    try:
        run()
        spent.clear()  # the first run warms up
        whole = 1000 * statistics.fmean(interleave(dict(run=run), rounds, warmup=0)['run'])
    finally:
        for hook in hooks:
            hook.remove()
    kinds: dict[str, dict[str, Any]] = {}
    for module, seconds in spent.items():
        row = kinds.setdefault(kind_of(module), dict(kind=kind_of(module), layers=0, ms=0.0, gmacs=0.0))
        row['layers'] += 1
        row['ms'] += 1000 * sum(seconds) / rounds
        per_output = module.in_channels // module.groups * np.prod(module.kernel_size)
        row['gmacs'] += np.prod(outputs[module]) * per_output * len(seconds) / rounds / 1e9
    rows: list[dict[str, Any]] = [
        dict(row, ms=round(row['ms'], 2), gmacs=round(row['gmacs'], 3), percent=round(100 * row['ms'] / whole, 1),
             gflops=round(2000 * row['gmacs'] / row['ms'], 1)) for row in kinds.values()]
    rest = max(whole - sum(row['ms'] for row in kinds.values()), 0.0)
    rows.append(dict(kind=REST, ms=round(rest, 2), percent=round(100 * rest / whole, 1)))
    return sorted(rows, key=lambda row: -row['ms'])


def graph_table(path: str, inputs: np.ndarray, threads: int, rounds: int = 10) -> list[dict[str, Any]]:
    """Say the same of an ONNX graph on OpenVINO, from the runtime's own profile.

    Args:
        path: ONNX file.
        inputs: What its network takes.
        threads: Threads.
        rounds: Runs that are averaged.

    Returns:
        Rows as from :func:`layer_table`; an activation that the runtime fused counts with its convolution, and what is
        no convolution goes by the name of its operation.
    """
    backend: Any = open_backend('openvino', path, threads)
    model = backend.model.clone()
    model.reshape(list(inputs.shape))
    convolutions = {}
    for op in model.get_ordered_ops():
        if op.get_type_name() in ('Convolution', 'GroupConvolution'):
            weight, strides = list(op.input(1).get_partial_shape().to_shape()), list(op.get_attributes()['strides'])
            side, groups = ' x '.join(map(str, weight[-2:])), op.get_type_name() == 'GroupConvolution'
            kind = f'{"depthwise " if groups else ""}{side}' + (f', stride {strides[0]}' if strides[0] > 1 else '')
            products = np.prod(op.get_output_shape(0)) * np.prod(weight[2 if groups else 1:])
            convolutions[op.get_friendly_name()] = kind, float(products) / 1e9
    request = backend.compile(model, PERF_COUNT=True).create_infer_request()
    spent: dict[str, float] = {}
    kinds: dict[str, set[str]] = {}
    for number in range(rounds + 1):
        request.infer([inputs])
        for info in request.get_profiling_info() if number else ():  # the first run warms up
            kind = convolutions[info.node_name][0] if info.node_name in convolutions else info.node_type
            spent[kind] = spent.get(kind, 0.0) + info.real_time.total_seconds() * 1000 / rounds
            kinds.setdefault(kind, set()).add(info.node_name)
    whole = sum(spent.values())
    rows = []
    for kind, ms in spent.items():
        gmacs = sum(convolutions[name][1] for name in kinds[kind] if name in convolutions)
        row = dict(kind=kind, ms=round(ms, 2), percent=round(100 * ms / whole, 1))
        rows.append(dict(row, layers=len(kinds[kind]), gmacs=round(gmacs, 3), gflops=round(2000 * gmacs / ms, 1))
                    if gmacs and ms else row)
    return sorted(rows, key=lambda row: -row['ms'])


def kind_of(layer: Any) -> str:
    """Name a kind of convolution.

    Args:
        layer: The convolution.

    Example:
        >>> kind_of(nn.Conv2d(64, 64, 3, stride=2))
        '3 x 3, stride 2'
        >>> kind_of(nn.Conv2d(64, 64, 3, groups=64))
        'depthwise 3 x 3'
    """
    side = ' x '.join(map(str, layer.kernel_size))
    name = f'depthwise {side}' if layer.groups > 1 and layer.groups == layer.in_channels else side
    return name + (f', stride {layer.stride[0]}' if layer.stride[0] > 1 else '')


def main(argv: Sequence[str] | None = None) -> None:
    parser = options('Time matrix products, and what share of their rate networks reach.', rounds=20)
    parser.add_argument('candidates', nargs='*', metavar='CANDIDATE', help=HELP)
    parser.add_argument('--side', type=int, default=2048, help='side of the matrices (default: %(default)s)')
    parser.add_argument('--size', nargs=2, type=int, default=(512, 1024), metavar=('H', 'W'),
                        help="size of the networks' input (default: 512 1024)")
    args = parse(parser, argv)
    try:
        specs = [dict(parse_candidate(text), size=tuple(args.size)) for text in args.candidates]
    except ValueError as error:
        sys.exit(f'error: {error}')
    image = load_image(None, tuple(args.size)) if specs else None
    report = time_products(args.rounds, args.side, specs, image, args.device)
    for spec in specs:
        candidate = open_candidate(**{'device': args.device, **spec})
        table = layer_table(candidate, image)  # type: ignore[arg-type]
        predictor: Any = candidate.whole
        if getattr(predictor, 'artifact', None) and predictor.backend == 'openvino':
            table = graph_table(predictor.artifact.path, predictor.preprocess(image).inputs, torch.get_num_threads())
        if table:
            report.checks[f'where the time goes: {spec["name"]}'] = table
    save(report, args.out, argv)


if __name__ == '__main__':
    main()
