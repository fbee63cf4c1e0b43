"""OpenVINO on a CPU: a deployed model, or a network converted in memory."""

from __future__ import annotations

import functools
import queue
import threading
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from ...errors import DeployError, expect, raised_as
from . import import_runtime

__all__ = ['OpenVINOBackend', 'openvino_core', 'quick_argmax', 'to_openvino']

LARGE = 3 * 1024 * 2048
"""Values of an input from which a model is compiled for its shape."""

KERNELS = 1000
"""Kernels that a model keeps, of about eight shapes; OpenVINO's own 5,000 fill memory where sizes are ever new."""


_ONE_AT_A_TIME = threading.Lock()


def openvino_core() -> Any:
    """Return the process's one ``openvino.Core``, which stays until the process ends.

    A core that compiles gives its thread a stack for signals (Intel's AMX needs a larger one), and restores the
    previous one when it is destroyed. Of two cores that are destroyed in the order they were made, the second restores
    the freed stack of the first: the next signal that Python handles then ends the process.

    Raises:
        MissingPackageError: If openvino is not installed.
    """
    with _ONE_AT_A_TIME:
        return _core()


@functools.cache
def _core() -> Any:
    openvino = import_runtime('openvino')
    # the first conversion of all: two threads that made it together would wait for each other for ever
    _ = openvino.Tensor(np.zeros(1, np.float32)).data
    return openvino.Core()


def quick_argmax(model: Any) -> Any:
    """Let every argmax of a model read from ONNX be found in a sixth of the time, with the same results.

    OpenVINO reads it as the greatest one, sorted by its value, and sorts; by its index it does not.

    Args:
        model: ``openvino.Model``; it is changed in place.
    """
    for op in model.get_ops():
        if op.get_type_name() == 'TopK' and op.get_output_partial_shape(0)[op.get_attributes()['axis']] == 1:
            op.set_attribute('sort', 'index')
    return model


class OpenVINOBackend:
    """An OpenVINO model on the CPU; every call that runs at the same time has a request of its own.

    Args:
        model: ``.xml`` file beside its ``.bin``, or an ``openvino.Model``.
        threads: Threads for each call; 0 leaves it to the runtime.
        at_once: Calls that run at the same time; each takes memory of its own.

    Raises:
        MissingPackageError: If openvino is not installed.
        DeployError: If the model cannot be loaded, has weights of NaN or infinity, or is an INT8 graph for ONNX
            Runtime.

    Note:
        Computes in single precision (INT8 where the model says so), also on a CPU that could do less: what was
        compared is what runs.
    """

    def __init__(self, model: Any, threads: int = 0, at_once: int = 1) -> None:
        core = openvino_core()
        with raised_as(DeployError, f'{model} cannot be loaded by OpenVINO'):
            self.model = quick_argmax(core.read_model(model) if isinstance(model, str) else model)
            # the kernels turn NaN into numbers; a bound alone may be infinite
            constants = (op.data for op in self.model.get_ops() if op.get_type_name() == 'Constant')
            expect(all(np.isfinite(one).all() for one in constants if one.ndim > 1), 'weights', 'finite ones', 'others')
        quantized = any(op.get_type_name() == 'FakeQuantize' for op in self.model.get_ops())
        if quantized and str(model).lower().endswith('.onnx'):
            raise DeployError(f'{model}: expected a graph in single precision, got INT8 for ONNX Runtime, which '
                              'OpenVINO computes wrongly; "export --format openvino --precision int8" makes one for it')
        self.threads, self.at_once = threads, at_once
        self._requests = _Requests(self.model, self.compile)

    def compile(self, model: Any, **options: Any) -> Any:
        """Compile a model with this backend's settings.

        Args:
            model: ``openvino.Model``.
            options: Further properties of OpenVINO's CPU plugin.
        """
        options = {'INFERENCE_PRECISION_HINT': 'f32', 'PERFORMANCE_HINT': 'LATENCY',
                   'CPU_RUNTIME_CACHE_CAPACITY': KERNELS, **options}
        if self.threads:
            options |= dict(NUM_STREAMS=self.at_once, INFERENCE_NUM_THREADS=self.threads * self.at_once)
        return openvino_core().compile_model(model, 'CPU', options)

    def __call__(self, inputs: np.ndarray) -> np.ndarray:
        """Return the model's output."""
        return self._requests(inputs)

    def scores(self, inputs: np.ndarray) -> np.ndarray:
        """Return what the argmax reads, or the output itself in a model without argmax."""
        return self._scores(inputs)

    @functools.cached_property
    def _scores(self) -> _Requests:
        """Requests of the model without its argmax."""
        copy = self.model.clone()
        argmax = [op for op in copy.get_ordered_ops() if op.get_type_name() == 'TopK']
        if not argmax:
            return self._requests
        scores = argmax[-1].input_value(0)
        return _Requests(import_runtime('openvino').Model([scores], copy.get_parameters()), self.compile)


class _Requests:
    """Hand every call an idle request of the compiled model, a new one where all are busy.

    A large input gets a model compiled for its shape, a matter of half a second: with free sides OpenVINO keeps up to
    three times the memory, for maps that it fuses or reuses where it knows their sides. The last two shapes are kept.
    """

    def __init__(self, model: Any, compile_model: Callable[[Any], Any]) -> None:
        self.model, self.compile_model, self.lock = model, compile_model, threading.Lock()
        pool = compile_model(model), queue.SimpleQueue[Any]()
        self.pools: dict[tuple[int, ...], tuple[Any, queue.SimpleQueue[Any]]] = {(): pool}

    def _pool_of(self, inputs: np.ndarray) -> tuple[Any, queue.SimpleQueue[Any]]:
        shape = inputs.shape if inputs.size >= LARGE and self.model.is_dynamic() else ()
        with self.lock:
            if shape not in self.pools:
                if len(self.pools) > 2:
                    del self.pools[next(filter(None, self.pools))]
                fixed = self.model.clone()
                fixed.reshape(list(shape))
                self.pools[shape] = self.compile_model(fixed), queue.SimpleQueue()
            return self.pools[shape]

    def __call__(self, inputs: np.ndarray) -> np.ndarray:
        compiled, idle = self._pool_of(inputs)
        try:
            request = idle.get_nowait()
        except queue.Empty:
            request = compiled.create_infer_request()
        try:
            request.infer([np.ascontiguousarray(inputs)])
            return request.get_output_tensor(0).data.copy()
        finally:
            idle.put(request)


def to_openvino(network: Any, example: np.ndarray, threads: int = 0, at_once: int = 1) -> OpenVINOBackend:
    """Convert a network in memory.

    Args:
        network: Module from inputs to logits, in evaluation mode on the CPU.
        example: Inputs to trace with; other sizes and batches are taken all the same.
        threads: As for :class:`OpenVINOBackend`.
        at_once: As for :class:`OpenVINOBackend`.

    Raises:
        MissingPackageError: If openvino is not installed.
        DeployError: If the network cannot be converted; the cause hangs on the error.
    """
    import torch

    openvino = import_runtime('openvino')
    with raised_as(DeployError, 'OpenVINO: the network cannot be converted'):
        with torch.inference_mode(), warnings.catch_warnings():
            warnings.simplefilter('ignore', torch.jit.TracerWarning)
            # traced here: OpenVINO's own call would run the network two more times to check the trace
            traced = torch.jit.trace(network, torch.from_numpy(example), check_trace=False)
            model = openvino.convert_model(traced, example_input=torch.from_numpy(example))
        model.reshape([-1, example.shape[1], -1, -1])
        return OpenVINOBackend(model, threads, at_once)
