"""Build engines with TensorRT 10, 11 and TensorRT-RTX: explicit batch, types from the graph."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..errors import DeployError, InputError, MissingPackageError, NoGpuError, UnsupportedOperatorError, expect, require
from ..runtime.backends import runtime_module
from ..runtime.backends.tensorrt import has_gpu
from .graph import module_of

__all__ = ['build_engine', 'check_backend']

WORKSPACE_BYTES = 1 << 30
JETSON = '/etc/nv_tegra_release'
"""A file that JetPack puts on a Jetson."""
OLDEST = 10
"""First version of TensorRT that takes its types from the graph; 11 knows no other way."""


def check_backend(backend: str) -> None:
    """Refuse at once what this machine cannot build.

    Args:
        backend: One of :data:`~bisenet_plugins.runtime.backends.SUFFIXES`.

    Raises:
        InputError: If the backend is unknown.
        NoGpuError: If TensorRT is asked for and there is no GPU.
        MissingPackageError: If a package is not installed.
    """
    module = runtime_module(backend)
    if backend == 'tensorrt' and not has_gpu():
        raise NoGpuError(
            'backend tensorrt: expected an NVIDIA GPU, because the engine is tuned on the one that will run it, got '
            'none; take --format tensorrt-rtx, which builds ahead of time without a GPU, or --format onnx and '
            'give the ONNX file to trtexec on the target')
    if backend == 'tensorrt' and os.path.exists(JETSON) and importlib.util.find_spec(module) is None:
        raise MissingPackageError('tensorrt: expected the one that comes with JetPack (apt install '
                                  'python3-libnvinfer), because this is a Jetson, got none', name=module)
    needed = {'torch-export': (), 'ncnn': ('pnnx', module), 'executorch': (module,)}
    require(*needed.get(backend, ('mmdeploy', 'onnx', module)))


def _parse(trt: Any, parser: Any, path: str) -> None:
    if parser.parse(Path(path).read_bytes()):
        return
    errors = [parser.get_error(i) for i in range(parser.num_errors)]
    lines = [f'node {error.node_name() or error.node()} ({error.node_operator()}) of module '
             f'{module_of(error.node_name())}: {error.desc()}' for error in errors]
    raise UnsupportedOperatorError(f'{trt.__name__} {trt.__version__} cannot take {os.path.basename(path)}: '
                                   + '; '.join(lines))


def build_engine(onnx_path: str, engine_path: str, backend: str = 'tensorrt-rtx',
                 shapes: Mapping[str, Sequence[int]] | None = None, compute_capabilities: Sequence[str] = (),
                 workspace_bytes: int = 0) -> None:
    """Parse an ONNX file and write an engine.

    Args:
        onnx_path: Graph whose own types (single, half, QDQ) are the engine's.
        engine_path: File to write.
        backend: ``tensorrt`` or ``tensorrt-rtx``.
        shapes: ``min_shape``, ``opt_shape`` and ``max_shape`` of the input; needed where the graph is dynamic.
        compute_capabilities: GPUs that a TensorRT-RTX engine is for, such as ``('8.6', '8.9')``; empty leaves it to
            the builder.
        workspace_bytes: Most scratch memory; 0 for 1 GiB.

    Raises:
        InputError: If a compute capability is unknown to the package.
        UnsupportedOperatorError: If the parser refuses a node.
        InputError: If shapes of a dynamic graph are missing.
        DeployError: If the build fails.
    """
    module = runtime_module(backend)
    require(module)
    if backend == 'tensorrt':
        check_backend(backend)
    trt = importlib.import_module(module)
    if backend == 'tensorrt' and int(trt.__version__.partition('.')[0]) < OLDEST:
        raise DeployError(f'tensorrt: expected version {OLDEST} or later (JetPack 6.1 on a Jetson), got '
                          f'{trt.__version__}; give end2end.onnx to its own trtexec --fp16 instead')
    logger = trt.Logger(trt.Logger.ERROR)
    builder = trt.Builder(logger)
    creation = trt.NetworkDefinitionCreationFlag
    # explicit batch is the only kind since TensorRT 10; strong typing became the default, and the flag went, later
    flags = 1 << int(creation.STRONGLY_TYPED) if hasattr(creation, 'STRONGLY_TYPED') else 0
    network = builder.create_network(flags)
    parser = trt.OnnxParser(network, logger)
    _parse(trt, parser, onnx_path)
    config = builder.create_builder_config()
    config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, workspace_bytes or WORKSPACE_BYTES)
    entry = network.get_input(0)
    if -1 in tuple(entry.shape):
        if not shapes:
            raise InputError(f'shapes: expected min_shape, opt_shape and max_shape of input {entry.name}, because the '
                             'graph is dynamic (backend_config.model_inputs[0].input_shapes), got none')
        profile = builder.create_optimization_profile()
        profile.set_shape(entry.name, *(tuple(shapes[key]) for key in ('min_shape', 'opt_shape', 'max_shape')))
        config.add_optimization_profile(profile)
    if compute_capabilities:
        _set_capabilities(trt, config, compute_capabilities)
    engine = builder.build_serialized_network(network, config)
    if engine is None:
        raise DeployError(f'{module} {trt.__version__} could not build an engine from {os.path.basename(onnx_path)}')
    Path(engine_path).write_bytes(engine)


def _set_capabilities(trt: Any, config: Any, capabilities: Sequence[str]) -> None:
    known = getattr(trt, 'ComputeCapability', None)
    names = ['SM' + capability.replace('.', '') for capability in capabilities]
    choices = sorted(name for name in dir(known) if name.startswith('SM'))
    expect(set(names) <= set(choices), 'compute_capabilities',
           f'some of {choices} of {trt.__name__} {trt.__version__}', tuple(capabilities))
    config.num_compute_capabilities = len(names)
    for i, name in enumerate(names):
        config.set_compute_capability(getattr(known, name), i)
