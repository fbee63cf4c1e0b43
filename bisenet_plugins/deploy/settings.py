"""Deploy configs in mmdeploy's form, from a backend, a precision and a shape."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from ..runtime.backends import SUFFIXES
from .forms import OUTPUTS

__all__ = ['config_name', 'deploy_config', 'parse_shape', 'parse_config_name']

PRECISIONS = ('fp32', 'fp16', 'int8')
COMPUTE_CAPABILITIES = ('8.6', '8.9')
MIN_SIDE = 64
OPT_SHAPE = (512, 1024)
MAX_SHAPE = (1024, 2048)


def parse_shape(text: str) -> tuple[int, int] | None:
    """Read ``HxW`` or ``dynamic``.

    Args:
        text: Shape as on the command line.

    Returns:
        Height and width in pixels, None for dynamic.

    Raises:
        ValueError: If it is neither.

    Example:
        >>> parse_shape('512x1024'), parse_shape('dynamic')
        ((512, 1024), None)
    """
    if text == 'dynamic':
        return None
    found = re.fullmatch(r'([1-9]\d*)x([1-9]\d*)', text)
    if found is None:
        raise ValueError(f"shape is {text!r}; it must be HEIGHTxWIDTH, such as 512x1024, or 'dynamic'")
    return int(found[1]), int(found[2])


def deploy_config(
        backend: str,
        precision: str = 'fp32',
        shape: tuple[int, int] | None = None,
        *,
        output: str = 'mask',
        channel_order: str | None = None,
        network_size: tuple[int, int] | None = None,
        opset: int = 17,
        max_shape: tuple[int, int] = MAX_SHAPE,
        max_batch: int = 1,
        compute_capabilities: Sequence[str] = COMPUTE_CAPABILITIES) -> dict[str, Any]:
    """Write a deploy config.

    Args:
        backend: ``onnxruntime``, ``openvino``, ``tensorrt`` or ``tensorrt-rtx``.
        precision: ``fp32``, ``fp16`` or ``int8``.
        shape: Height and width of the input; None for dynamic sizes and a dynamic batch.
        output: ``mask`` for the argmax inside; ``logits`` at the input's size, ``logits_s8`` at stride 8.
        channel_order: ``bgr`` or ``rgb`` for the self-contained form that takes bytes.
        network_size: Height and width at which the network runs in the self-contained form.
        opset: ONNX opset, 13 to 17.
        max_shape: Largest height and width of a dynamic TensorRT engine.
        max_batch: Largest batch of a dynamic TensorRT engine.
        compute_capabilities: GPUs that a TensorRT-RTX engine is built for.

    Returns:
        The config's top-level keys, in mmdeploy's words.

    Raises:
        ValueError: If a word is unknown.

    Example:
        >>> deploy_config('openvino', shape=(512, 1024))['onnx_config']['input_shape']
        [1024, 512]
    """
    for name, value, known in (('backend', backend, tuple(SUFFIXES)), ('precision', precision, PRECISIONS),
                               ('output', output, OUTPUTS)):
        if value not in known:
            raise ValueError(f'{name} is {value!r}; it must be one of {known}')
    if opset not in range(13, 18):
        raise ValueError(f'opset is {opset}; it must be 13 to 17')
    height_axis = 1 if channel_order else 2
    in_axes = {0: 'batch', height_axis: 'height', height_axis + 1: 'width'}
    out_axis = 1 if channel_order and output == 'mask' else 2
    names = ('height', 'width') if output == 'mask' else ('out_height', 'out_width')
    out_axes = {0: 'batch', out_axis: names[0], out_axis + 1: names[1]}
    codebase: dict[str, Any] = dict(type='mmseg', task='Segmentation', model_type='end2end',
                                    with_argmax=output == 'mask', module=['bisenet_plugins.deploy'])
    if output == 'logits_s8':
        codebase['stride8_logits'] = True
    if channel_order:
        codebase['self_contained'] = dict(channel_order=channel_order,
                                          network_size=list(network_size) if network_size else None)
    return dict(
        custom_imports=dict(imports=['bisenet_plugins.deploy'], allow_failed_imports=False),
        onnx_config=dict(
            type='onnx', export_params=True, keep_initializers_as_inputs=False, opset_version=opset,
            save_file='end2end.onnx', input_names=['input'], output_names=['output'],
            input_shape=[shape[1], shape[0]] if shape else None, optimize=False,
            dynamic_axes=None if shape else dict(input=in_axes, output=out_axes)),
        codebase_config=codebase,
        backend_config=_backend_config(backend, precision, shape, bool(channel_order), max_shape, max_batch,
                                       compute_capabilities))


def _backend_config(backend: str, precision: str, shape: tuple[int, int] | None, bytes_in: bool,
                    max_shape: tuple[int, int], max_batch: int, capabilities: Sequence[str]) -> dict[str, Any]:

    def layout(batch: int, size: tuple[int, int]) -> list[int]:
        return [batch, *size, 3] if bytes_in else [batch, 3, *size]

    config: dict[str, Any] = dict(type=backend.replace('-', '_'))
    if backend.startswith('tensorrt'):
        config['common_config'] = dict(fp16_mode=precision == 'fp16', int8_mode=precision == 'int8',
                                       max_workspace_size=1 << 30)
        if backend == 'tensorrt-rtx':
            config['common_config']['compute_capabilities'] = list(capabilities)
        opt = tuple(min(side, most) for side, most in zip(OPT_SHAPE, max_shape, strict=True))
        least = tuple(min(MIN_SIDE, side) for side in opt)
        profile = dict(min_shape=layout(1, shape or least), opt_shape=layout(1, shape or opt),  # type: ignore[arg-type]
                       max_shape=layout(max_batch, shape or max_shape))
        config['model_inputs'] = [dict(input_shapes=dict(input=profile))]
    else:
        if precision != 'fp32':
            config['precision'] = precision
        if backend == 'openvino':
            config['model_inputs'] = [dict(opt_shapes=dict(input=layout(1, shape or OPT_SHAPE)))]
    return config


def config_name(backend: str, precision: str, shape: tuple[int, int] | None, contained: bool = False) -> str:
    """Name a deploy config file as mmdeploy does.

    Args:
        backend: Backend.
        precision: Precision; single precision is not written.
        shape: Height and width, None for dynamic.
        contained: Whether it is the self-contained form.

    Example:
        >>> config_name('openvino', 'int8', (512, 1024))
        'segmentation_openvino-int8_static-512x1024.py'
    """
    runtime = backend if precision == 'fp32' else f'{backend}-{precision}'
    size = f'static-{shape[0]}x{shape[1]}' if shape else 'dynamic'
    if backend.startswith('tensorrt') and not shape:
        size += f'-{MIN_SIDE}x{MIN_SIDE}-{MAX_SHAPE[0]}x{MAX_SHAPE[1]}'
    return f'segmentation_{"self-contained_" if contained else ""}{runtime}_{size}.py'


def parse_config_name(name: str) -> dict[str, Any]:
    """Read a deploy config's name back into the arguments of :func:`deploy_config`.

    Args:
        name: File name.

    Raises:
        ValueError: If it does not follow the rule.

    Example:
        >>> parse_config_name('segmentation_tensorrt-rtx-fp16_static-512x1024.py')
        {'backend': 'tensorrt-rtx', 'precision': 'fp16', 'shape': (512, 1024)}
    """
    found = re.fullmatch(r'segmentation_(self-contained_)?(onnxruntime|openvino|tensorrt-rtx|tensorrt)(?:-(fp16|int8))?'
                         r'_(?:static-(\d+x\d+)|dynamic(?:-\d+x\d+)*)\.py', name)
    if found is None:
        raise ValueError(f'{name} is no name of a deploy config, such as segmentation_openvino_dynamic.py')
    arguments: dict[str, Any] = dict(backend=found[2], precision=found[3] or 'fp32',
                                     shape=parse_shape(found[4]) if found[4] else None)
    if found[1]:
        arguments.update(channel_order='bgr', network_size=OPT_SHAPE)
    return arguments
