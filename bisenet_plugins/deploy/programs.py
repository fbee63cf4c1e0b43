"""From a PyTorch network to a program without ONNX: torch.export's, ncnn's and ExecuTorch's."""

from __future__ import annotations

import contextlib
import copy
import os
import tempfile
import warnings
from pathlib import Path
from typing import Any

import torch

from ..errors import UnsupportedOperatorError, raised_as, require
from ..models.fuse import switch_to_deploy
from ..runtime.backends import SUFFIXES
from .deploy_model import DeployModel
from .options import TRACE_SIZE, DeployOptions

__all__ = ['export_program', 'program_to_onnx', 'write_program']


def export_program(segmentor: Any, options: DeployOptions) -> Any:
    """Export a network by ``torch.export``.

    Args:
        segmentor: The network in evaluation mode.
        options: Its output, layout and shape; without a shape height, width and batch stay free.

    Returns:
        The ``torch.export.ExportedProgram``.

    Raises:
        UnsupportedOperatorError: If it cannot be exported.
    """
    model = _model(segmentor, options)
    dynamic = None
    if options.shape is None:
        dynamic = (dict.fromkeys((0, 1, 2) if options.channel_order else (0, 2, 3), torch.export.Dim.DYNAMIC),)
    with raised_as(UnsupportedOperatorError, 'torch.export cannot take the network'):
        return torch.export.export(model, (_example(options),), dynamic_shapes=dynamic)


def program_to_onnx(program: Any, path: str, options: DeployOptions) -> None:
    """Write an exported program as ONNX, by torch's exporter after TorchScript.

    Args:
        program: What :func:`export_program` returned.
        path: File to write.
        options: Its opset.

    Raises:
        MissingPackageError: If onnxscript is not installed.
        UnsupportedOperatorError: If an operator has no ONNX counterpart.
    """
    require('onnxscript')
    with raised_as(UnsupportedOperatorError, 'torch.onnx cannot take the network', torch.onnx.errors.OnnxExporterError):
        with open(os.devnull, 'w') as nowhere, contextlib.redirect_stdout(nowhere), warnings.catch_warnings():
            warnings.simplefilter('ignore')
            torch.onnx.export(program, f=path, dynamo=True, opset_version=options.opset, input_names=['input'],
                              output_names=['output'], external_data=False, verbose=False)


def write_program(segmentor: Any, folder: str, options: DeployOptions) -> str:
    """Write the file that one of the backends ``PROGRAMS`` loads.

    Args:
        segmentor: The network in evaluation mode.
        folder: Folder to write to.
        options: What to make.

    Returns:
        Name of the file.

    Raises:
        MissingPackageError: If a package is not installed.
        UnsupportedOperatorError: If the network cannot be exported.
    """
    name = f'end2end{SUFFIXES[options.backend]}'
    path = os.path.join(folder, name)
    if options.backend == 'ncnn':
        import pnnx
        with tempfile.TemporaryDirectory() as work:
            pnnx.export(_model(segmentor, options), os.path.join(work, 'network.pt'), _example(options), fp16=False)
            for suffix in ('param', 'bin'):
                Path(folder, f'end2end.{suffix}').write_bytes(Path(work, f'network.ncnn.{suffix}').read_bytes())
    elif options.backend == 'torch-export':
        torch.export.save(export_program(segmentor, options), path)
    else:
        from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
        from executorch.exir import to_edge_transform_and_lower
        lowered = to_edge_transform_and_lower(export_program(segmentor, options), partitioner=[XnnpackPartitioner()])
        Path(path).write_bytes(lowered.to_executorch().buffer)
    return name


def _model(segmentor: Any, options: DeployOptions) -> DeployModel:
    model = DeployModel(switch_to_deploy(copy.deepcopy(segmentor)), options.output, options.channel_order,
                        options.network_size, options.shape is not None, options.pipeline)
    model = model.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]  # ExecuTorch takes no other
    return model.eval().requires_grad_(False)


def _example(options: DeployOptions) -> torch.Tensor:
    """Return an input to export with; two images where the batch stays free, since torch takes one for a constant."""
    shape = options.layout(options.batch if options.shape else 2, options.shape or TRACE_SIZE)
    return torch.zeros(shape, dtype=torch.uint8) if options.channel_order else torch.rand(shape)
