"""From an ONNX file to the file that a backend loads, at a precision."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence

from ..errors import expect, require
from ..runtime.backends import import_runtime, runtime_module
from ..runtime.backends.openvino import openvino_core, quick_argmax
from .graph import load_graph
from .half import to_float16
from .quantize import Calibration, quantize_onnx, quantize_openvino
from .tensorrt_build import build_engine

__all__ = ['build_backend_file']


def build_backend_file(onnx_path: str, folder: str, backend: str, precision: str = 'fp32',
                       calibration: Calibration | None = None, shapes: Mapping[str, Sequence[int]] | None = None,
                       compute_capabilities: Sequence[str] = (), workspace_bytes: int = 0) -> str:
    """Write what a backend loads.

    Between the export and :func:`~bisenet_plugins.runtime.backends.open_backend`.

    Args:
        onnx_path: ONNX file in single precision.
        folder: Folder to write to.
        backend: ``onnxruntime``, ``openvino``, ``tensorrt`` or ``tensorrt-rtx``.
        precision: ``fp32``, ``fp16`` or ``int8``.
        calibration: Images for INT8; its report is filled in.
        shapes: ``min_shape``, ``opt_shape`` and ``max_shape`` of a dynamic TensorRT engine's input.
        compute_capabilities: GPUs that a TensorRT-RTX engine is for.
        workspace_bytes: Most scratch memory of a TensorRT build; 0 for 1 GiB.

    Returns:
        Path of the file. The ONNX file of a half-precision or INT8 graph lies beside an engine made of it.

    Raises:
        InputError: If INT8 is asked for without calibration images.
        MissingPackageError: If a package is missing.
        NoGpuError: If TensorRT is asked for and there is no GPU.
        DeployError: If the graph does not fit the precision or the backend.
    """
    require(runtime_module(backend))
    expect(precision != 'int8' or bool(calibration), 'calibration', 'images, as the precision is int8', calibration)
    stem = os.path.join(folder, os.path.splitext(os.path.basename(onnx_path))[0])
    if backend == 'openvino':
        load_graph(onnx_path)  # refuses a damaged file in one sentence
        model = quick_argmax(openvino_core().read_model(onnx_path))
        if calibration is not None and precision == 'int8':
            model = quantize_openvino(model, calibration)
        import_runtime('openvino').save_model(model, f'{stem}.xml', compress_to_fp16=precision == 'fp16')
        return f'{stem}.xml'
    graph = f'{stem}.onnx' if precision == 'fp32' else f'{stem}_{precision}.onnx'
    if calibration is not None and precision == 'int8':
        quantize_onnx(onnx_path, graph, calibration, backend != 'onnxruntime', backend != 'tensorrt-rtx')
    elif precision == 'fp16':
        to_float16(onnx_path, graph)
    elif os.path.abspath(onnx_path) != os.path.abspath(graph):
        shutil.copyfile(onnx_path, graph)
    if backend == 'onnxruntime':
        return graph
    build_engine(graph, f'{stem}.engine', backend, shapes, compute_capabilities, workspace_bytes)
    return f'{stem}.engine'
