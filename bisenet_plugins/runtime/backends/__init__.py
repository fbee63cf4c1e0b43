"""What computes a network: a backend is a function from inputs ``(N, C, h, w)`` to logits, safe to share by threads.

Read ``torch.py`` first: it shows the contract. The others run the same graph, or a file that a deployment wrote.
"""

from __future__ import annotations

import importlib.util
import os
from typing import Any, Protocol

import numpy as np

from ...errors import InputError

__all__ = ['BACKENDS', 'SUFFIXES', 'Backend', 'best_backend', 'open_backend', 'runtime_module']

BACKENDS = ('torch', 'openvino', 'onnxruntime')
"""Backends that a loaded network can be brought to."""
SUFFIXES = {'onnxruntime': '.onnx', 'openvino': '.xml', 'tensorrt': '.engine', 'tensorrt-rtx': '.engine'}
"""Backends of deployed files."""


class Backend(Protocol):
    """A function from inputs to outputs."""

    def __call__(self, inputs: np.ndarray) -> Any:
        """Return the output, an array or a tensor."""

    def scores(self, inputs: np.ndarray) -> Any:
        """Return the scores that classes are taken from, or None where the backend cannot show them."""


def best_backend(device: str) -> str:
    """Return the backend that ``'auto'`` stands for: the fastest of those installed.

    Args:
        device: Where the network runs.

    Note:
        On CPUs OpenVINO was the fastest and ONNX Runtime the second on every network of this package; both take
        seconds to convert a network.
    """
    if device == 'cpu':
        for name in ('openvino', 'onnxruntime'):
            if importlib.util.find_spec(name) is not None:
                return name
    return 'torch'


def runtime_module(backend: str) -> str:
    """Return the import name of the package that runs a deployed file.

    Args:
        backend: One of :data:`SUFFIXES`.

    Raises:
        InputError: If the backend is unknown.

    Example:
        >>> runtime_module('tensorrt-rtx')
        'tensorrt_rtx'
    """
    if backend not in SUFFIXES:
        raise InputError(f'backend: expected one of {tuple(SUFFIXES)}, got {backend!r}')
    return backend.replace('-', '_')


def open_backend(backend: str, path: str | os.PathLike[str], threads: int = 0) -> Backend:
    """Load a deployed file.

    Args:
        backend: Backend that it was built for.
        path: The file.
        threads: Threads on the CPU; 0 leaves it to the runtime.

    Raises:
        InputError: If the backend is unknown.
        MissingPackageError: If its package is not installed.
        NoGpuError: If it needs a GPU and there is none.
        DeployError: If the file cannot be loaded.
    """
    module = runtime_module(backend)
    if backend == 'onnxruntime':
        from .onnxruntime import OnnxRuntimeBackend
        return OnnxRuntimeBackend(str(path), threads)
    if backend == 'openvino':
        from .openvino import OpenVINOBackend
        return OpenVINOBackend(str(path), threads)
    from .tensorrt import TensorRTBackend
    return TensorRTBackend(str(path), module)
