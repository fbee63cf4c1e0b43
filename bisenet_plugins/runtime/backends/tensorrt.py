"""TensorRT 10 and later, and TensorRT-RTX, on an NVIDIA GPU: a deployed engine."""

from __future__ import annotations

import importlib
import os
import threading
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import DeployError, NoGpuError, require

__all__ = ['TensorRTBackend', 'has_gpu']


def has_gpu() -> bool:
    """Return whether an NVIDIA GPU can be used."""
    import torch
    return torch.cuda.is_available()


class TensorRTBackend:
    """An engine; calls run one after the other.

    Args:
        path: Engine file.
        module: ``tensorrt`` or ``tensorrt_rtx``.

    Raises:
        MissingPackageError: If the package is not installed.
        NoGpuError: If there is no GPU.
        DeployError: If the engine was built for another version or GPU.
    """

    def __init__(self, path: str, module: str = 'tensorrt') -> None:
        require(module)
        if not has_gpu():
            raise NoGpuError(f'{os.path.basename(path)}: expected an NVIDIA GPU, found none; run the ONNX file beside '
                             'it with ONNX Runtime')
        self._trt = trt = importlib.import_module(module)
        self._engine = trt.Runtime(trt.Logger(trt.Logger.ERROR)).deserialize_cuda_engine(Path(path).read_bytes())
        if self._engine is None:
            raise DeployError(f'{path} cannot be loaded by {module} {trt.__version__}; it was built for another '
                              'version or another GPU')
        self._context = self._engine.create_execution_context()
        self._lock = threading.Lock()
        names = [self._engine.get_tensor_name(i) for i in range(self._engine.num_io_tensors)]
        is_input = [self._engine.get_tensor_mode(name) == trt.TensorIOMode.INPUT for name in names]
        self._input = names[is_input.index(True)]
        self._output = names[is_input.index(False)]

    def run(self, inputs: Any) -> Any:
        """Return the engine's output without leaving the GPU.

        Args:
            inputs: CUDA tensor in the engine's layout and type.
        """
        import torch
        kinds = dict(FLOAT='float32', HALF='float16', UINT8='uint8', INT32='int32', INT64='int64')
        types = {getattr(self._trt.DataType, name): getattr(torch, kind) for name, kind in kinds.items()}
        inputs = inputs.contiguous()
        with self._lock:
            self._context.set_input_shape(self._input, tuple(inputs.shape))
            output = torch.empty(tuple(self._context.get_tensor_shape(self._output)), device=inputs.device,
                                 dtype=types[self._engine.get_tensor_dtype(self._output)])
            self._context.set_tensor_address(self._input, inputs.data_ptr())
            self._context.set_tensor_address(self._output, output.data_ptr())
            self._context.execute_async_v3(torch.cuda.current_stream().cuda_stream)
            torch.cuda.current_stream().synchronize()
        return output

    def __call__(self, inputs: np.ndarray) -> np.ndarray:
        """Return the engine's output."""
        import torch
        return self.run(torch.from_numpy(np.ascontiguousarray(inputs)).cuda()).cpu().numpy()

    def scores(self, inputs: np.ndarray) -> None:
        """Return nothing: an engine does not show its scores."""
