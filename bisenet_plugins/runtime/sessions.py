"""Run an artefact's file on its runtime; the same two calls for every runtime. mmdeploy is not needed here."""

from __future__ import annotations

import functools
import os
import time
from abc import ABC, abstractmethod
from typing import Any, NamedTuple

import numpy as np

from ..errors import DeployError, NoGpuError, require

__all__ = ['ConvolutionTime', 'OnnxRuntimeSession', 'OpenVINOSession', 'Session', 'TensorRTSession', 'has_gpu',
           'open_session', 'openvino_core', 'runtime_module']

SUFFIXES = {'onnxruntime': '.onnx', 'openvino': '.xml', 'tensorrt': '.engine', 'tensorrt-rtx': '.engine'}


def has_gpu() -> bool:
    """Tell whether an NVIDIA GPU can be used from here."""
    import torch
    return torch.cuda.is_available()


def runtime_module(backend: str) -> str:
    """Name the Python package that runs a backend.

    Args:
        backend: Backend's name on the command line.

    Raises:
        ValueError: If the backend is unknown.

    Example:
        >>> runtime_module('tensorrt-rtx')
        'tensorrt_rtx'
    """
    if backend not in SUFFIXES:
        raise ValueError(f'backend is {backend!r}; it must be one of {tuple(SUFFIXES)}')
    return backend.replace('-', '_')


@functools.cache
def openvino_core() -> Any:
    """Return the process's one ``openvino.Core``, which stays until the process ends.

    A core that compiles gives its thread a stack for signals (Intel's AMX needs a larger one), and puts the one before
    back when it goes. Of two cores that go in the order they came, the second puts the freed stack of the first back:
    the next signal that Python handles, such as that of an ended worker of a data loader, ends the process.

    Raises:
        MissingBackendError: If openvino is missing.
    """
    require('openvino')
    import openvino
    return openvino.Core()


class Session(ABC):
    """One artefact's file, loaded.

    Its place: behind :class:`~bisenet_plugins.deploy.artifact.ArtifactPredictor`, the comparison and the latency table.
    """

    @abstractmethod
    def __call__(self, inputs: np.ndarray) -> np.ndarray:
        """Compute the artefact's output.

        Args:
            inputs: A batch in the artefact's layout.
        """

    def scores(self, inputs: np.ndarray) -> np.ndarray | None:
        """Compute the scores that the artefact takes its classes from, where the runtime can show them.

        Args:
            inputs: A batch in the artefact's layout.
        """
        return None


class OnnxRuntimeSession(Session):
    """An ONNX file on ONNX Runtime.

    Args:
        path: ONNX file.
        threads: Threads inside an operator; 0 leaves it to the runtime.
        device: ``cpu`` or a CUDA device, for which the GPU build of the runtime is needed.

    Raises:
        MissingBackendError: If onnxruntime is missing.
    """

    def __init__(self, path: str, threads: int = 0, device: str = 'cpu') -> None:
        require('onnxruntime')
        self.path = path
        self.threads = threads
        self.device = device
        self._session = self._open(path)
        self._scores: Any = None

    def _open(self, model: str | bytes) -> Any:
        import onnxruntime
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = self.threads
        options.log_severity_level = 3
        providers = ['CPUExecutionProvider'] if self.device == 'cpu' else ['CUDAExecutionProvider']
        return onnxruntime.InferenceSession(model, options, providers=providers)

    def __call__(self, inputs: np.ndarray) -> np.ndarray:
        """Compute the graph's output.

        Args:
            inputs: A batch in the graph's layout.
        """
        return self._session.run(None, {self._session.get_inputs()[0].name: inputs})[0]

    def scores(self, inputs: np.ndarray) -> np.ndarray | None:
        """Compute what the argmax reads, or the output itself in a graph without argmax.

        Args:
            inputs: A batch in the graph's layout.
        """
        if self._scores is None:
            import onnx
            model = onnx.load(self.path)
            argmax = [node for node in model.graph.node if node.op_type == 'ArgMax']
            if argmax:
                model.graph.output.append(onnx.helper.make_tensor_value_info(
                    argmax[-1].input[0], onnx.TensorProto.FLOAT, None))
                self._scores = self._open(model.SerializeToString())
            else:
                self._scores = self._session
        return self._scores.run(None, {self._scores.get_inputs()[0].name: inputs})[-1]


class ConvolutionTime(NamedTuple):
    """How long one convolution takes.

    Args:
        weight: ``(groups, K / groups, C / groups, height, width)``.
        output: ``(N, K, h, w)``.
        stride: Stride.
        ms: Milliseconds.
    """

    weight: tuple[int, ...]
    output: tuple[int, ...]
    stride: int
    ms: float


class OpenVINOSession(Session):
    """An OpenVINO model on the CPU.

    Args:
        path: ``.xml`` file beside its ``.bin``.
        threads: Threads for inference; 0 leaves it to the runtime.

    Raises:
        MissingBackendError: If openvino is missing.

    Note:
        Computes in single precision (INT8 where the model says so), also on a CPU that could do less: what was
        compared is what runs.
    """

    def __init__(self, path: str, threads: int = 0) -> None:
        self._start(openvino_core().read_model(path), threads)

    @classmethod
    def from_model(cls, model: Any, threads: int = 0) -> OpenVINOSession:
        """Open a model that is in memory only.

        Args:
            model: ``openvino.Model``.
            threads: Threads for inference; 0 leaves it to the runtime.
        """
        session = cls.__new__(cls)
        session._start(model, threads)
        return session

    def _start(self, model: Any, threads: int) -> None:
        self._model = model
        self._options: dict[str, Any] = {'INFERENCE_PRECISION_HINT': 'f32', 'PERFORMANCE_HINT': 'LATENCY'}
        if threads:
            self._options['INFERENCE_NUM_THREADS'] = threads
        self._request = self._compile(model)
        self._scores: Any = None

    def _compile(self, model: Any, **options: Any) -> Any:
        return openvino_core().compile_model(model, 'CPU', {**self._options, **options}).create_infer_request()

    def __call__(self, inputs: np.ndarray) -> np.ndarray:
        """Compute the model's output.

        Args:
            inputs: A batch in the model's layout.
        """
        self._request.infer([inputs])
        return self._request.get_output_tensor(0).data.copy()

    def scores(self, inputs: np.ndarray) -> np.ndarray | None:
        """Compute what the argmax reads, or the output itself in a model without argmax.

        Args:
            inputs: A batch in the model's layout.
        """
        if self._scores is None:
            import openvino
            argmax = [op for op in self._model.get_ordered_ops() if op.get_type_name() == 'TopK']
            if argmax:
                copy = self._model.clone()
                source = next(op for op in copy.get_ordered_ops()
                              if op.get_friendly_name() == argmax[-1].get_friendly_name())
                self._scores = self._compile(openvino.Model([source.input_value(0)], copy.get_parameters()))
            else:
                self._scores = self._request
        self._scores.infer([inputs])
        return self._scores.get_output_tensor(0).data.copy()

    def layer_times(self, inputs: np.ndarray, rounds: int = 5) -> tuple[list[ConvolutionTime], float]:
        """Time every convolution, in a copy of the model that measures.

        Args:
            inputs: A batch in the model's layout.
            rounds: Runs whose mean is taken, the first one included.

        Returns:
            The convolutions, and the milliseconds of the whole.
        """
        model = self._model.clone()
        model.reshape(list(inputs.shape))
        request = self._compile(model, PERF_COUNT=True)
        start = time.perf_counter()
        for _ in range(rounds):
            request.infer([inputs])
        whole = 1000 * (time.perf_counter() - start) / rounds
        spent = {entry.node_name: 1000 * entry.real_time.total_seconds() for entry in request.get_profiling_info()}
        layers = []
        for operation in model.get_ordered_ops():
            name = operation.get_friendly_name()
            if operation.get_type_name() in ('Convolution', 'GroupConvolution') and name in spent:
                weight = tuple([1, *operation.input_value(1).shape][-5:])  # one group where the shape names none
                stride = int(operation.get_attributes()['strides'][0])
                layers.append(ConvolutionTime(weight, tuple(operation.output(0).shape), stride, spent[name]))
        return layers, whole


class TensorRTSession(Session):
    """An engine of TensorRT 10 or later, or of TensorRT-RTX, on an NVIDIA GPU.

    Args:
        path: Engine file.
        module: ``tensorrt`` or ``tensorrt_rtx``.

    Raises:
        MissingBackendError: If the package is missing.
        NoGpuError: If there is no GPU.
        DeployError: If the engine was built for another version or GPU.
    """

    def __init__(self, path: str, module: str = 'tensorrt') -> None:
        require(module)
        if not has_gpu():
            raise NoGpuError(f'{os.path.basename(path)} runs on an NVIDIA GPU and none is usable here; '
                             'run the ONNX file beside it with ONNX Runtime')
        trt = __import__(module)
        self._trt = trt
        with open(path, 'rb') as file:
            self._engine = trt.Runtime(trt.Logger(trt.Logger.ERROR)).deserialize_cuda_engine(file.read())
        if self._engine is None:
            raise DeployError(f'{path} cannot be loaded by {module} {trt.__version__}; it was built for another '
                              'version or another GPU')
        self._context = self._engine.create_execution_context()
        names = [self._engine.get_tensor_name(i) for i in range(self._engine.num_io_tensors)]
        is_input = [self._engine.get_tensor_mode(name) == trt.TensorIOMode.INPUT for name in names]
        self._input = names[is_input.index(True)]
        self._output = names[is_input.index(False)]

    def run(self, inputs: Any) -> Any:
        """Compute the engine's output without leaving the GPU.

        Args:
            inputs: CUDA tensor in the engine's layout and type.
        """
        import torch
        inputs = inputs.contiguous()
        self._context.set_input_shape(self._input, tuple(inputs.shape))
        types = {self._trt.DataType.FLOAT: torch.float32, self._trt.DataType.HALF: torch.float16,
                 self._trt.DataType.UINT8: torch.uint8, self._trt.DataType.INT32: torch.int32,
                 self._trt.DataType.INT64: torch.int64}
        output = torch.empty(tuple(self._context.get_tensor_shape(self._output)), device=inputs.device,
                             dtype=types[self._engine.get_tensor_dtype(self._output)])
        self._context.set_tensor_address(self._input, inputs.data_ptr())
        self._context.set_tensor_address(self._output, output.data_ptr())
        self._context.execute_async_v3(torch.cuda.current_stream().cuda_stream)
        return output

    def __call__(self, inputs: np.ndarray) -> np.ndarray:
        """Compute the engine's output.

        Args:
            inputs: A batch in the engine's layout.
        """
        import torch
        return self.run(torch.from_numpy(inputs).cuda()).cpu().numpy()


def open_session(backend: str, path: str, threads: int = 0) -> Session:
    """Load an artefact's file.

    Args:
        backend: Backend that it was built for.
        path: The file.
        threads: Threads on the CPU; 0 leaves it to the runtime.

    Raises:
        ValueError: If the backend is unknown.
    """
    module = runtime_module(backend)
    if backend == 'onnxruntime':
        return OnnxRuntimeSession(path, threads)
    if backend == 'openvino':
        return OpenVINOSession(path, threads)
    return TensorRTSession(path, module)
