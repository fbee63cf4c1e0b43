"""What computes a network: a backend is a function from inputs ``(N, C, h, w)`` to logits, safe to share by threads.

Read ``torch.py`` first: it shows the contract. The others run the same graph, or a file that a deployment wrote.
"""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np

from ...errors import expect, require

__all__ = ['BACKENDS', 'GRAPH_BACKENDS', 'PROGRAMS', 'SUFFIXES', 'Backend', 'import_runtime', 'installed',
           'open_backend', 'runtime_module']

BACKENDS = ('torch', 'openvino', 'onnxruntime')
"""Backends that a loaded network can be brought to."""
GRAPH_BACKENDS = ('openvino', 'onnxruntime')
"""Those of them that run an ONNX graph on a CPU, the fastest on every network of this package first."""
SUFFIXES = {'onnxruntime': '.onnx', 'openvino': '.xml', 'tensorrt': '.engine', 'tensorrt-rtx': '.engine',
            'torch-export': '.pt2', 'ncnn': '.param', 'executorch': '.pte'}
"""Backends of exported files, and how those end."""
PROGRAMS = ('torch-export', 'ncnn', 'executorch')
"""Those of them that are made of the PyTorch network, not of an ONNX graph."""


class Backend(Protocol):
    """A function from inputs to outputs."""

    def __call__(self, inputs: np.ndarray) -> Any:
        """Return the output, an array or a tensor."""

    def scores(self, inputs: np.ndarray) -> Any:
        """Return the scores that classes are taken from, or None where the backend cannot show them."""


def installed(names: Sequence[str]) -> list[str]:
    """Return those of some packages that are installed, in the order given.

    Args:
        names: Import names, such as the backends of :data:`BACKENDS` are.

    Example:
        >>> installed(['torch', 'no_such_backend'])
        ['torch']
    """
    return [name for name in names if importlib.util.find_spec(name) is not None]


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
    expect(backend in SUFFIXES, 'backend', f'one of {tuple(SUFFIXES)}', backend)
    return 'torch' if backend == 'torch-export' else backend.replace('-', '_')


def import_runtime(module: str) -> Any:
    """Import a package that runs deployed files; OpenVINO without what reports its use to a server.

    Args:
        module: Import name, from :func:`runtime_module`.

    Raises:
        MissingPackageError: If it is not installed.

    Example:
        >>> import_runtime('torch').__name__
        'torch'
    """
    require(module)
    if module == 'openvino':
        sys.modules.setdefault('openvino_telemetry', None)  # type: ignore[arg-type]  # it then takes its own stub
    return importlib.import_module(module)


def open_backend(backend: str, path: str | os.PathLike[str], threads: int = 0, at_once: int = 1) -> Backend:
    """Load a deployed file.

    Args:
        backend: Backend that it was built for.
        path: The file.
        threads: Threads on the CPU for each call; 0 leaves it to the runtime.
        at_once: Calls that run at the same time, where a backend must be told.

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
        return OpenVINOBackend(str(path), threads, at_once)
    if backend in PROGRAMS:
        from .programs import ProgramBackend
        return ProgramBackend(str(path), backend, threads)
    from .tensorrt import TensorRTBackend
    return TensorRTBackend(str(path), module)
