"""What to make of a network, checked before any work starts, and mmdeploy's config for it."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from ..errors import InputError, expect
from ..runtime.artifact import CHOICES
from ..runtime.backends import PROGRAMS, SUFFIXES
from ..runtime.preprocess import Preprocess

__all__ = ['METHODS', 'OPSETS', 'SEARCH_MODES', 'DeployOptions', 'parse_shape']

METHODS = ('auto', 'minmax', 'entropy', 'percentile')
SEARCH_MODES = ('auto', 'off')
OPSETS = dict(trace=range(13, 18), program=range(18, 24))
"""Opsets of torch's exporter on TorchScript traces, and of the one on programs of torch.export."""
TRACE_SIZE = (64, 128)
"""Height and width of the image that a dynamic graph is traced with."""
CAPABILITIES = ['8.6', '8.9']
MIN_SIDE = 64
LEAST_SIDE = 32
"""The networks halve their input five times."""
MOST_PIXELS = 1 << 26
OPT_SHAPE = (512, 1024)
MODULE = 'bisenet_plugins.deploy.mmdeploy'
"""Module whose import registers what a deploy config needs."""


def parse_shape(text: str) -> tuple[int, int] | None:
    """Read ``HxW`` or ``dynamic``.

    Args:
        text: Shape as on the command line.

    Returns:
        Height and width in pixels, None for dynamic.

    Raises:
        InputError: If it is neither.

    Example:
        >>> parse_shape('512x1024'), parse_shape('dynamic')
        ((512, 1024), None)
    """
    if text == 'dynamic':
        return None
    found = re.fullmatch(r'([1-9]\d*)x([1-9]\d*)', text)
    if found is None:
        raise InputError(f"shape: expected HEIGHTxWIDTH, such as 512x1024, or 'dynamic', got {text!r}")
    return int(found[1]), int(found[2])


@dataclass(kw_only=True)
class DeployOptions:
    """What to make of a network.

    Args:
        backend: One of :data:`~bisenet_plugins.runtime.backends.SUFFIXES`.
        precision: ``fp32``, ``fp16`` or ``int8``.
        shape: Height and width of the input, None for dynamic.
        stretch: Resize images to a static shape without keeping their ratio; otherwise they are resized to fit
            and mirrored up to the shape.
        batch: Images at a time of a static artifact; a dynamic one takes any number, on TensorRT up to this.
        output: ``mask`` for class ids at the input's size, ``logits`` at the network's input size, ``logits_s8`` as
            the head gives them.
        channel_order: ``bgr`` or ``rgb`` for a self-contained graph, which takes bytes; None for one that takes
            normalised floats.
        network_size: Height and width at which the network runs in a self-contained graph; None for what the test
            pipeline makes of the image.
        exporter: How ONNX is made: ``trace`` by mmdeploy on a TorchScript trace, ``program`` on torch.export's.
        opset: ONNX opset, 13 to 17, or 18 to 23 of a program; None is 17, or 18.
        max_shape: Largest height and width of a dynamic TensorRT engine.
        compute_capabilities: GPUs that a TensorRT-RTX engine is built for.
        calibration: Where INT8's images come from: a folder, a dataset config, ``train``, ``val``, or ``synthetic``.
        calibration_method: How INT8's ranges come from what was seen: ``minmax``, ``entropy``, ``percentile``, or
            ``auto``, which is percentile where minmax loses more than ``max_drop``.
        ranges: Folder that keeps the measured ranges for the next time; None keeps none.
        calibration_images: Most images to calibrate on.
        max_drop: Points of mIoU that INT8 may lose before sensitive layers stay in higher precision.
        search: Whether INT8 looks for sensitive layers: ``auto`` or ``off``.
        images: Where the images to compare on come from, in the words of ``calibration``.
        image_count: Most images to compare on.
        verify: Compare with the PyTorch model.
        dump_info: Write mmdeploy's SDK files.
        overwrite: Replace an artifact that is already there.
        threads: Threads on the CPU; 0 leaves it to the runtimes.
        channels: Channels of the network's input; :func:`~bisenet_plugins.deploy.deploy` takes them from its config.
        pipeline: How a self-contained graph resizes and pads; from there, too.

    Raises:
        InputError: If a value is unknown or out of range, or two of them do not go together.

    Example:
        >>> DeployOptions(backend='openvino', shape=(512, 1024)).deploy_config()['onnx_config']['input_shape']
        [1024, 512]
    """

    backend: str = 'onnxruntime'
    precision: str = 'fp32'
    shape: tuple[int, int] | None = None
    stretch: bool = False
    batch: int = 1
    output: str = 'mask'
    channel_order: str | None = None
    network_size: tuple[int, int] | None = None
    exporter: str = 'trace'
    opset: int | None = None
    max_shape: tuple[int, int] = (1024, 2048)
    compute_capabilities: Sequence[str] = tuple(CAPABILITIES)
    calibration: str | None = None
    calibration_method: str = 'auto'
    ranges: str | None = None
    calibration_images: int = 32
    max_drop: float = 0.5
    search: str = 'auto'
    images: str = 'synthetic'
    image_count: int = 8
    verify: bool = True
    dump_info: bool = True
    overwrite: bool = False
    threads: int = 0
    channels: int = 3
    pipeline: Any = field(default_factory=Preprocess)

    def __post_init__(self) -> None:
        opsets = OPSETS.get(self.exporter, range(0))
        self.opset = opsets[-1 if self.exporter == 'trace' else 0] if self.opset is None and opsets else self.opset
        for name, known in dict(CHOICES, backend=tuple(SUFFIXES), exporter=tuple(OPSETS), search=SEARCH_MODES,
                                calibration_method=METHODS).items():
            expect(getattr(self, name) in known, name, f'one of {known}', getattr(self, name))
        expect(self.opset in opsets, 'opset', f'{opsets.start} to {opsets.stop - 1} of exporter {self.exporter}',
               self.opset)
        for name, least in dict(batch=1, calibration_images=1, image_count=1, max_drop=0, threads=0).items():
            expect(getattr(self, name) >= least, name, f'at least {least}', getattr(self, name))
        for name in ('shape', 'network_size', 'max_shape'):
            size = getattr(self, name)
            expect(size is None or len(size) == 2 and min(size) >= LEAST_SIDE and math.prod(size) <= MOST_PIXELS, name,
                   f'height and width of at least {LEAST_SIDE} and at most {MOST_PIXELS} pixels in all', size)
        plain, scaled = self.precision == 'fp32', bool(self.channel_order) and self.pipeline.scale_factor != 1
        portable = self.shape is not None and (self.backend != 'ncnn' or self.output == 'logits_s8')
        engine = self.backend.startswith('tensorrt')
        usual = self.calibration_method == 'auto' and self.ranges is None
        for name, holds, expected in (
                ('network_size', self.channel_order or not self.network_size,
                 'a self-contained graph (--self-contained), because only that resizes by itself'),
                ('stretch', self.shape or not self.stretch, 'a static shape, because a dynamic one keeps every ratio'),
                ('max_shape', engine and not self.shape or self.max_shape == (1024, 2048),
                 'the default, because only a dynamic TensorRT engine has a largest input'),
                ('compute_capabilities', self.backend == 'tensorrt-rtx' or [*self.compute_capabilities] == CAPABILITIES,
                 'the default, because only a tensorrt-rtx engine is built for named GPUs'),
                ('calibration', self.precision == 'int8' or not self.calibration, 'none, because only INT8 has ranges'),
                ('batch', self.batch == 1 or self.shape or engine, '1 of a dynamic shape'),
                ('precision', plain or self.backend not in PROGRAMS, f'fp32, because the format is {self.backend}'),
                ('precision', self.precision != 'int8' or self.exporter == 'trace',
                 'exporter trace, whose names of layers the search needs'),
                ('exporter', self.exporter == 'trace' or self.backend not in PROGRAMS,
                 f'none, because the format {self.backend} needs no ONNX'),
                ('channel_order', not self.channel_order or self.backend != 'ncnn', 'none, as ncnn takes floats'),
                ('shape', self.shape or self.backend != 'torch-export' or not scaled,
                 'a static one for torch-export, as the test pipeline resizes by a factor'),
                ('channel_order and channels', not self.channel_order or self.channels == 3,
                 'none, because a self-contained graph takes images of three channels'),
                ('shape and output', portable or self.backend not in ('ncnn', 'executorch'),
                 'a static shape (--shape HEIGHTxWIDTH), for ncnn with --output logits_s8'),
                ('calibration_method and ranges', usual or self.backend != 'openvino',
                 'auto and no ranges, because nncf calibrates for OpenVINO')):
            if not holds:
                given = ', '.join(f'{part}={getattr(self, part)!r}' for part in name.split(' and '))
                raise InputError(f'{name}: expected {expected}, got {given}')

    def layout(self, batch: int, size: tuple[int, int]) -> list[int]:
        """Return the shape of an input.

        Args:
            batch: Images.
            size: Height and width.
        """
        return [batch, *size, 3] if self.channel_order else [batch, self.channels, *size]

    def profile(self) -> dict[str, list[int]]:
        """Return the smallest, the usual and the largest input of a TensorRT engine."""
        opt = (min(OPT_SHAPE[0], self.max_shape[0]), min(OPT_SHAPE[1], self.max_shape[1]))
        least = (min(MIN_SIDE, opt[0]), min(MIN_SIDE, opt[1]))
        return dict(min_shape=self.layout(1, self.shape or least), opt_shape=self.layout(1, self.shape or opt),
                    max_shape=self.layout(self.batch, self.shape or self.max_shape))

    def deploy_config(self) -> dict[str, Any]:
        """Return mmdeploy's config for these options."""
        height, out_height = 1 if self.channel_order else 2, 1 if self.channel_order and self.output == 'mask' else 2
        sides = ('height', 'width') if self.output == 'mask' else ('out_height', 'out_width')
        axes = dict(input={0: 'batch', height: 'height', height + 1: 'width'},
                    output={0: 'batch', out_height: sides[0], out_height + 1: sides[1]})
        codebase: dict[str, Any] = dict(type='mmseg', task='Segmentation', model_type='end2end',
                                        with_argmax=self.output == 'mask', module=[MODULE])
        if self.output == 'logits_s8':
            codebase['stride8_logits'] = True
        if self.channel_order:
            codebase['self_contained'] = dict(channel_order=self.channel_order,
                                              network_size=list(self.network_size) if self.network_size else None)
            if self.pipeline != Preprocess():
                codebase['self_contained']['pipeline'] = asdict(self.pipeline)
        backend: dict[str, Any] = dict(type=self.backend.replace('-', '_'))
        if self.backend.startswith('tensorrt'):
            backend['common_config'] = dict(fp16_mode=self.precision == 'fp16', int8_mode=self.precision == 'int8',
                                            max_workspace_size=1 << 30)
            backend['model_inputs'] = [dict(input_shapes=dict(input=self.profile()))]
        elif self.precision != 'fp32':
            backend['precision'] = self.precision
        if self.backend == 'tensorrt-rtx':
            backend['common_config']['compute_capabilities'] = list(self.compute_capabilities)
        if self.backend == 'openvino':
            backend['model_inputs'] = [dict(opt_shapes=dict(input=self.layout(1, self.shape or OPT_SHAPE)))]
        return dict(
            custom_imports=dict(imports=[MODULE], allow_failed_imports=False), onnx_config=dict(
                type='onnx', export_params=True, keep_initializers_as_inputs=False, opset_version=self.opset,
                save_file='end2end.onnx', input_names=['input'], output_names=['output'],
                input_shape=[self.shape[1], self.shape[0]] if self.shape else None, optimize=False,
                dynamic_axes=None if self.shape else axes),
            codebase_config=codebase, backend_config=backend)
