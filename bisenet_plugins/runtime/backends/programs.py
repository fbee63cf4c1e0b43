"""Programs made of a PyTorch network without ONNX: torch.export, ncnn and ExecuTorch, on a CPU."""

from __future__ import annotations

import json
import os
import re
import threading
import zipfile
from collections.abc import Callable
from typing import Any
from unittest import mock

import numpy as np

from ...errors import DeployError, raised_as, require

__all__ = ['ProgramBackend']

UNREAD = ('custom', 'from_node', 'nn_module_stack', 'source_fn_stack', 'stack_trace', 'torch_fn')
"""What the JSON of a torch.export program says of a node's origin; PyTorch may run every other string in it."""
SIZE = re.compile(r"\b(?:Float|Symbol)\('[\w.+-]+'|L\['\w+'\]\.size\(\)\[\d+\]|\b(?:and|not|or|min|max)(?=\s*\()", re.A)
OPERATOR = re.compile(r'torch\.ops(?:\.(?:__(?:and|x?or)__|_?[^\W_]+(?:_[^\W_]+)*_?)){2,3}|(?:math\.|torch\.sym_)[a-z]+'
                      r'|_operator\.(?:add|and_|eq|floordiv|[gl][et]|getitem|mod|mul|ne|neg|or_|pow|sub|truediv)')
# without any call, or without text and with calls that are named like Max(
HARMLESS = re.compile(r'(?!.*(?:__enum__|defaultdict|_obj_))[\w\s.,:+/<>="{}[\]-]*|'
                      r'(?!.*(?:__|\b[^A-Z\W]\w*\s*\(|\)\s*\(|\.\s*[^\W\d]))[\w\s+*/%(),<>=!.-]*', re.ASCII | re.DOTALL)


class ProgramBackend:
    """A program; calls run one after the other.

    Args:
        path: ``.pt2``, ``.param`` beside its ``.bin``, or ``.pte``.
        backend: ``torch-export``, ``ncnn`` or ``executorch``.
        threads: Threads for inference, which only ncnn takes; 0 leaves it to the runtime.

    Raises:
        MissingPackageError: If the runtime is not installed.
        DeployError: If the program cannot be loaded.
    """

    def __init__(self, path: str, backend: str, threads: int = 0) -> None:
        require('torch' if backend == 'torch-export' else backend)
        self._lock = threading.Lock()
        opened = {'torch-export': _exported, 'ncnn': _ncnn, 'executorch': _executorch}
        with raised_as(DeployError, f'{path} cannot be loaded by {backend}'):
            self._run = opened[backend](path, threads)

    def __call__(self, inputs: np.ndarray) -> np.ndarray:
        """Return the program's output."""
        with self._lock:
            return self._run(np.ascontiguousarray(inputs))

    def scores(self, inputs: np.ndarray) -> np.ndarray | None:
        """Return the output where it is scores, else nothing: a program does not show what its argmax reads."""
        output = self(inputs)
        return output if output.dtype.kind == 'f' else None


def _exported(path: str, threads: int) -> Callable[[np.ndarray], np.ndarray]:
    import torch
    # its example inputs are a pickle
    with zipfile.ZipFile(path) as file, mock.patch.dict(os.environ, TORCH_FORCE_WEIGHTS_ONLY_LOAD='1'):
        for entry in file.infolist():
            if entry.filename.endswith('.json'):
                json.loads(file.read(entry), object_pairs_hook=_harmless)
            elif 'aotinductor' in entry.filename:
                raise DeployError(f'expected a program, got the machine code {entry.filename}')
        module = torch.export.load(path).module()
    return torch.inference_mode()(lambda inputs: module(torch.from_numpy(inputs)).numpy())


def _harmless(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Refuse what a program's JSON makes PyTorch run, but for the operators of networks and arithmetic of sizes."""
    for key, value in pairs:
        for text in value if isinstance(value, list) else [value]:
            if isinstance(text, str) and key not in UNREAD and not (
                    OPERATOR if key == 'target' else HARMLESS).fullmatch(SIZE.sub('+', text)):
                raise DeployError(f'{key}: expected the name of an operator or arithmetic of sizes, got {text!r}')
    return dict(pairs)


def _executorch(path: str, threads: int) -> Callable[[np.ndarray], np.ndarray]:
    import torch
    from executorch.runtime import Runtime
    method = Runtime.get().load_program(path).load_method('forward')

    return lambda inputs: method.execute([torch.from_numpy(inputs)])[0].clone().numpy()


def _ncnn(path: str, threads: int) -> Callable[[np.ndarray], np.ndarray]:
    import ncnn
    net = ncnn.Net()
    net.opt.num_threads = threads or net.opt.num_threads
    net.opt.use_fp16_packed = net.opt.use_fp16_storage = net.opt.use_fp16_arithmetic = False
    if net.load_param(path) or net.load_model(f'{path.removesuffix(".param")}.bin'):
        raise DeployError('damaged')

    def run(inputs: np.ndarray) -> np.ndarray:
        outputs = []
        for image in inputs:  # ncnn knows no batches
            extractor = net.create_extractor()
            extractor.input('in0', ncnn.Mat(image).clone())
            outputs.append(np.array(extractor.extract('out0')[1]))
        return np.stack(outputs)

    return run
