"""ONNX Runtime: a deployed graph, or a network converted in memory."""

from __future__ import annotations

import functools
import io
import warnings
from typing import Any

import numpy as np

from ...errors import DeployError, raised_as, require
from ...timing import told_by_cores

__all__ = ['OnnxRuntimeBackend', 'to_onnxruntime']

OPSET = 17


class OnnxRuntimeBackend:
    """An ONNX graph on ONNX Runtime, whose sessions may be shared by threads.

    Args:
        model: ONNX file, or its bytes.
        threads: Threads inside an operator; 0 leaves it to the runtime.

    Raises:
        MissingPackageError: If onnxruntime is not installed.
        DeployError: If the graph cannot be loaded.
    """

    def __init__(self, model: str | bytes, threads: int = 0) -> None:
        require('onnxruntime')
        self.model, self.threads = model, threads
        self.session = self._open(model)

    def _open(self, model: str | bytes) -> Any:
        import onnxruntime
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = self.threads
        options.log_severity_level = 3
        options.enable_mem_pattern = False  # with free sides it takes twice the memory, for nothing
        # without it, products of INT8 saturate on CPUs with AVX2 but no VNNI: one point of mIoU of the default network;
        # with VNNI they do not, and it takes all that INT8 gains
        vnni = any('vnni' in flags for flags in told_by_cores('flags')[:1])
        options.add_session_config_entry('session.x64quantprecision', '0' if vnni else '1')
        # without it, its threads spin on after each run and take a third of the next computation's time, whosever it is
        options.add_session_config_entry('session.force_spinning_stop', '1')
        name = model if isinstance(model, str) else 'the converted network'
        with raised_as(DeployError, f'{name} cannot be loaded by ONNX Runtime'):
            return onnxruntime.InferenceSession(model, options, providers=['CPUExecutionProvider'])

    def __call__(self, inputs: np.ndarray) -> np.ndarray:
        """Return the graph's output."""
        return self.session.run(None, {self.session.get_inputs()[0].name: np.ascontiguousarray(inputs)})[0]

    def scores(self, inputs: np.ndarray) -> np.ndarray:
        """Return what the argmax reads, or the output itself in a graph without argmax."""
        return self._scores.run(None, {self._scores.get_inputs()[0].name: np.ascontiguousarray(inputs)})[-1]

    @functools.cached_property
    def _scores(self) -> Any:
        """Session of the graph with what the argmax reads as its last output."""
        import onnx
        model = onnx.load(self.model) if isinstance(self.model, str) else onnx.load_from_string(self.model)
        argmax = [node for node in model.graph.node if node.op_type == 'ArgMax']
        if not argmax:
            return self.session
        scores = onnx.helper.make_tensor_value_info(argmax[-1].input[0], onnx.TensorProto.FLOAT, None)
        model.graph.output.append(scores)
        return self._open(model.SerializeToString())


def to_onnxruntime(network: Any, example: np.ndarray, threads: int = 0) -> OnnxRuntimeBackend:
    """Convert a network in memory.

    Args:
        network: Module from inputs to logits, in evaluation mode on the CPU.
        example: Inputs to trace with; other sizes and batches are taken all the same.
        threads: Threads inside an operator; 0 leaves it to the runtime.

    Raises:
        MissingPackageError: If onnxruntime or onnx is not installed.
        DeployError: If the network cannot be converted; the cause hangs on the error.
    """
    import torch

    require('onnxruntime', 'onnx')
    network.eval()  # what the exporter finds in training it leaves in training, all submodules included
    file: Any = io.BytesIO()
    free = {0: 'batch', 2: 'height', 3: 'width'}
    failed = raised_as(DeployError, 'ONNX Runtime: the network cannot be converted')
    with failed, torch.inference_mode(), warnings.catch_warnings():
        warnings.simplefilter('ignore')  # the exporter's own deprecation, and sides that it takes for constants
        torch.onnx.export(network, (torch.from_numpy(example),), file, input_names=['input'], dynamo=False,
                          output_names=['output'], opset_version=OPSET, dynamic_axes=dict(input=free, output=free))
    return OnnxRuntimeBackend(file.getvalue(), threads)
