"""Deploy a model: ``python tools/deploy.py CONFIG CHECKPOINT --backend openvino --shape 512x1024 --out DIR``."""

import argparse
import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bisenet_plugins.deploy import DeployOptions, deploy, parse_shape  # noqa: E402
from bisenet_plugins.errors import BisenetError  # noqa: E402


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description='Make a fast, self-contained, verified artefact of a trained model.')
    parser.add_argument('config', help='config file of the model')
    parser.add_argument('checkpoint', help='weights of the model')
    parser.add_argument('--out', required=True, help='folder of the artefact')
    parser.add_argument('--backend', default='onnxruntime',
                        choices=['onnxruntime', 'openvino', 'tensorrt', 'tensorrt-rtx'])
    parser.add_argument('--precision', default='fp32', choices=['fp32', 'fp16', 'int8'])
    parser.add_argument('--shape', default='dynamic', help='HEIGHTxWIDTH of the input, or dynamic (default)')
    parser.add_argument('--batch', type=int, default=1, help='images at a time of a static artefact')
    parser.add_argument('--output', default='mask', choices=['mask', 'logits', 'logits_s8'],
                        help='argmax inside, scores at the input size, or scores at stride 8')
    parser.add_argument('--self-contained', choices=['bgr', 'rgb'], metavar='ORDER',
                        help='bytes in, class map out, normalisation inside; bgr or rgb')
    parser.add_argument('--network-size', help='HEIGHTxWIDTH at which the network runs in the self-contained form')
    parser.add_argument('--opset', type=int, default=17, help='ONNX opset, 13 to 17')
    parser.add_argument('--max-shape', default='1024x2048', help='largest input of a dynamic TensorRT engine')
    parser.add_argument('--compute-capability', nargs='+', default=['8.6', '8.9'],
                        help='GPUs that a tensorrt-rtx engine is built for')
    parser.add_argument('--calibration', help='INT8: folder of images, dataset config, train, val or synthetic')
    parser.add_argument('--calibration-images', type=int, default=32)
    parser.add_argument('--max-drop', type=float, default=0.5,
                        help='INT8: points of mIoU that may be lost before sensitive layers stay in higher precision')
    parser.add_argument('--no-search', action='store_true', help='INT8: quantise every layer')
    parser.add_argument('--images', default='synthetic',
                        help='what to compare on: folder, dataset config, train, val or synthetic')
    parser.add_argument('--image-count', type=int, default=8)
    parser.add_argument('--no-verify', action='store_true', help='do not compare with the PyTorch model')
    parser.add_argument('--dump-info', action=argparse.BooleanOptionalAction, default=True,
                        help="mmdeploy's SDK files")
    parser.add_argument('--overwrite', action='store_true', help='replace an artefact that is already there')
    parser.add_argument('--threads', type=int, default=0, help='threads on the CPU; 0 leaves it to the runtimes')
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    try:
        options = DeployOptions(
            backend=args.backend, precision=args.precision, shape=parse_shape(args.shape), batch=args.batch,
            output=args.output, channel_order=args.self_contained,
            network_size=parse_shape(args.network_size) if args.network_size else None, opset=args.opset,
            max_shape=parse_shape(args.max_shape) or (1024, 2048), compute_capabilities=args.compute_capability,
            calibration=args.calibration, calibration_images=args.calibration_images, max_drop=args.max_drop,
            search='off' if args.no_search else 'auto', images=args.images, image_count=args.image_count,
            verify=not args.no_verify, dump_info=args.dump_info, overwrite=args.overwrite, threads=args.threads)
        artifact = deploy(args.config, args.checkpoint, args.out, options)
    except (BisenetError, ValueError, FileNotFoundError) as error:
        sys.exit(f'error: {error}')
    if artifact.quantization:
        print(json.dumps(dict(quantization=artifact.quantization), indent=2))
    print(json.dumps(dict(artifact=artifact.path, checks=artifact.checks), indent=2))


if __name__ == '__main__':
    main()
