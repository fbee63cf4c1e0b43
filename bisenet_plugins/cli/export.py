"""Export a trained model as a fast, verified artifact: one folder with the model, its preprocessing and its classes."""

from __future__ import annotations

import contextlib
import json
import sys
from argparse import ArgumentParser, BooleanOptionalAction, Namespace

from ..weights.store import pretrained_names
from .options import find_config, number, whole

FORMATS = {'onnx': 'onnxruntime', **{name: name for name in (
    'openvino', 'tensorrt', 'tensorrt-rtx', 'torch-export', 'ncnn', 'executorch')}}
"""Formats, and the backends that run them."""


def add_arguments(parser: ArgumentParser) -> None:
    """Add the options of this command."""
    parser.add_argument('network', metavar='NAME_OR_CONFIG', help='name that "bisenet list" has, or config file')
    parser.add_argument('checkpoint', metavar='WEIGHTS', nargs='?',
                        help='weights of the config; without them they are random, for timing alone: its load_from is '
                             'where a training starts, and is not read')
    parser.add_argument('--out', required=True, help='folder of the artifact')
    parser.add_argument('--format', default='onnx', choices=FORMATS, help='what to make (default: %(default)s)')
    parser.add_argument('--precision', default='fp32', choices=['fp32', 'fp16', 'int8'])
    parser.add_argument('--shape', default='dynamic', help='HEIGHTxWIDTH of the input, 32x32 or more, or dynamic '
                        '(default)')
    parser.add_argument('--stretch', action='store_true',
                        help="resize images to the static shape without keeping their ratio; otherwise they are "
                        "resized to fit and mirrored up to it")
    parser.add_argument('--batch', type=whole(1), default=1, help='images at a time of a static artifact')
    parser.add_argument('--output', default='mask', choices=['mask', 'logits', 'logits_s8'],
                        help='argmax inside, logits at the input size, or logits at stride 8')
    parser.add_argument('--self-contained', choices=['bgr', 'rgb'], metavar='ORDER', dest='channel_order',
                        help='bytes in, mask out, normalisation inside; bgr or rgb')
    parser.add_argument('--network-size', help='HEIGHTxWIDTH at which the network runs in the self-contained form')
    parser.add_argument('--exporter', default='trace', choices=['trace', 'program'],
                        help="how ONNX is made: mmdeploy's trace (default), or torch.export's program")
    parser.add_argument('--opset', type=whole(1),
                        help='ONNX opset: 13 to 17 (default), or 18 (default) to 23 of a program')
    parser.add_argument('--max-shape', default='1024x2048', help='largest input of a dynamic TensorRT engine')
    parser.add_argument('--compute-capability', nargs='+', default=['8.6', '8.9'], dest='compute_capabilities',
                        help='GPUs that a tensorrt-rtx engine is built for')
    parser.add_argument('--calibration', help='INT8: folder of images, dataset config, train, val, test or synthetic')
    parser.add_argument('--calibration-images', type=whole(1), default=32)
    parser.add_argument('--calibration-method', choices=['auto', 'minmax', 'entropy', 'percentile'], default='auto',
                        help='INT8: how ranges come from what was seen (default: %(default)s)')
    parser.add_argument('--ranges', metavar='DIR', help='INT8: folder that keeps measured ranges for the next time')
    parser.add_argument('--max-drop', type=number(0, 100), default=0.5,
                        help='INT8: points of mIoU that may be lost before sensitive layers stay in higher precision')
    parser.add_argument('--no-search', action='store_const', const='off', default='auto', dest='search',
                        help='INT8: quantise every layer')
    parser.add_argument('--images', default='synthetic',
                        help='what to compare on: folder, dataset config, train, val, test or synthetic')
    parser.add_argument('--image-count', type=whole(1), default=8)
    parser.add_argument('--no-verify', action='store_false', dest='verify', help='do not compare with PyTorch')
    parser.add_argument('--dump-info', action=BooleanOptionalAction, default=True, help="mmdeploy's SDK files")
    parser.add_argument('--overwrite', action='store_true', help='replace an artifact that is already there')
    parser.add_argument('--triton', metavar='REPO',
                        help='also write a model repository for Triton; needs --self-contained')
    parser.add_argument('--threads', type=whole(0), default=0, help='threads on the CPU; 0 leaves it to the runtimes')


def check(args: Namespace) -> None:
    """Find what is named."""
    if args.network not in pretrained_names():
        args.network = str(find_config(args.network))


def run(args: Namespace) -> None:
    """Export, and print what was checked."""
    from ..deploy import DeployOptions, deploy, parse_shape
    from ..deploy.triton import check_triton, write_repository

    args.backend = FORMATS[args.format]
    options = {name: value for name, value in vars(args).items() if name in DeployOptions.__dataclass_fields__}
    for name in ('shape', 'network_size', 'max_shape'):
        options[name] = parse_shape(options[name]) if options[name] else None
    options['max_shape'] = options['max_shape'] or (1024, 2048)
    made = DeployOptions(**options)
    if args.triton:
        check_triton(args.triton, args.out, made)
    with contextlib.redirect_stdout(sys.stderr):  # where packages say what they do
        artifact = deploy(args.network, args.checkpoint, args.out, made)
    quantized = dict(quantization=artifact.quantization) if artifact.quantization else {}
    print(json.dumps(dict(quantized, artifact=artifact.path, checks=artifact.checks), indent=2))
    for sentence in artifact.checks.get('warnings', ()):
        print(f'warning: {sentence}', file=sys.stderr)
    if args.triton:
        print(f'{write_repository(artifact, args.triton)}: checked against the graph, not run on a Triton server',
              file=sys.stderr)
