"""Every format and precision of networks: ``python -m benchmarks.formats NAME_OR_CONFIG[,WEIGHTS]... --out F.json``.

Size, agreement with PyTorch, mIoU, and latency from input to output, all formats of a network in turn; what could not
be made, or was only built, says so. Everything is built first, and a line says when the timing begins; what an earlier
run left in ``--work-dir`` is not built again.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.harness import Report, load_image, options, parse, save
from bisenet_plugins.deploy import DeployOptions, deploy, parse_shape
from bisenet_plugins.deploy.verify import loaded_network
from bisenet_plugins.errors import BisenetError
from bisenet_plugins.runtime.artifact import Artifact
from bisenet_plugins.runtime.preprocess import preprocess_of
from bisenet_plugins.timing import interleave, spread

__all__ = ['COMBINATIONS', 'main']

COMBINATIONS = [
    *((backend, precision) for backend in ('onnxruntime', 'openvino', 'tensorrt', 'tensorrt-rtx')
      for precision in ('fp32', 'fp16', 'int8')),
    *((backend, 'fp32') for backend in ('torch-export', 'ncnn', 'executorch'))]


def main(argv: Sequence[str] | None = None) -> None:
    parser = options(str(__doc__).splitlines()[0], 20)
    parser.add_argument('networks', nargs='+', metavar='NAME_OR_CONFIG[,WEIGHTS]')
    parser.add_argument('--formats', nargs='+', default=sorted({name for name, _ in COMBINATIONS}), help='backends')
    parser.add_argument('--shape', help="HEIGHTxWIDTH (default: that of each network's own test pipeline)")
    parser.add_argument('--images', default='synthetic', help='images to compare on, such as a dataset config')
    parser.add_argument('--count', type=int, default=101, help='most images (default: %(default)s)')
    parser.add_argument('--calibration', default='synthetic', help='images to calibrate INT8 on')
    parser.add_argument('--work-dir', help='folder that keeps what is built (default: none is kept)')
    args = parse(parser, argv)
    report = Report('formats', dict(shape=args.shape, images=args.images, count=args.count, rounds=args.rounds))
    turns: list[dict[str, Callable[[], Any]]] = []
    with nullcontext(args.work_dir) if args.work_dir else tempfile.TemporaryDirectory() as folder:
        for network in args.networks:
            config, _, weights = network.partition(',')
            scale = preprocess_of(loaded_network(config, weights or None).cfg).scale
            shape = parse_shape(args.shape) if args.shape else scale and scale[::-1]
            if shape is None:
                raise SystemExit(f'--shape: expected HEIGHTxWIDTH, as the test pipeline of {config} has none')
            image, calls = load_image(None, shape), {}
            for backend, precision in (pair for pair in COMBINATIONS if pair[0] in args.formats):
                name = f'{Path(config).stem} {backend} {precision}'
                row: dict[str, Any] = dict(name=name, shape=list(shape))
                report.rows.append(row)
                made = DeployOptions(
                    backend=backend, precision=precision, shape=shape, output='logits_s8', images=args.images,
                    image_count=args.count, calibration=args.calibration if precision == 'int8' else None,
                    dump_info=False, threads=args.threads or 0)
                target = os.path.join(folder, f'{name} {shape[0]}x{shape[1]}'.replace(' ', '-'))
                try:
                    artifact = (Artifact.load(target) if os.path.exists(target)
                                else deploy(config, weights or None, target, made))
                    checks = artifact.checks
                    stem = artifact.path.removesuffix(Path(artifact.path).suffix)
                    size = sum(path.stat().st_size for path in Path(artifact.folder).iterdir()
                               if path == Path(artifact.path) or str(path) == f'{stem}.bin')
                    row.update(mb=round(size / 1e6, 2), agreement=round(checks['agreement'], 4),
                               miou=checks.get('miou_artifact'), miou_pytorch=checks.get('miou_pytorch'),
                               state='run' if checks['ran'] == artifact.file else checks['ran'])
                    calls[name] = partial(artifact.open(args.threads or 0), artifact.batch_of(image, 'image')[0])
                except BisenetError as error:
                    row.setdefault('state', str(error))
            turns.append(calls)
        print('all is built; timing', file=sys.stderr, flush=True)
        for calls in filter(None, turns):
            for name, seconds in interleave(calls, args.rounds).items():
                next(row for row in report.rows if row['name'] == name)['ms'] = spread(seconds)
    save(report, args.out, argv)


if __name__ == '__main__':
    main()
