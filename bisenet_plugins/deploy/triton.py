"""A model repository for NVIDIA Triton, from a self-contained graph: bytes in, class ids out."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

from ..errors import DeployError, InputError, expect
from ..files import write_atomically
from ..runtime.artifact import Artifact
from ..runtime.backends.onnxruntime import OnnxRuntimeBackend
from .options import DeployOptions

__all__ = ['check_triton', 'model_config', 'write_repository']

MAX_BATCH = 8
CONFIG = """\
name: "{name}"
backend: "onnxruntime"
max_batch_size: {batch}
input [ {{ name: "{input_name}", data_type: TYPE_UINT8, dims: {input_dims} }} ]
output [ {{ name: "{output_name}", data_type: TYPE_UINT8, dims: {output_dims}, label_filename: "labels.txt" }} ]
instance_group [ {{ count: 1, kind: KIND_CPU }} ]
"""


def check_triton(repository: str, out: str, options: DeployOptions) -> None:
    """Refuse early what :func:`write_repository` could not write.

    Args:
        repository: The model repository.
        out: Folder of the artifact; the model has its name.
        options: What is exported.

    Raises:
        InputError: If it is no self-contained ONNX graph with a mask, ``repository`` is a file, or it has such a model.
    """
    order = options.channel_order
    if not (options.backend == 'onnxruntime' and order and options.output == 'mask'):
        given = f'--format {options.backend.replace("onnxruntime", "onnx")} --output {options.output} '
        given += f'--self-contained {order}' if order else 'without --self-contained'
        raise InputError('triton: expected --format onnx --output mask --self-contained rgb (or bgr), whose graph '
                         f'takes bytes and gives a mask, got {given}')
    expect(not os.path.lexists(repository) or os.path.isdir(repository), 'triton', 'a folder', repository)
    model = Path(repository, model_name(out))
    expect(options.overwrite or not model.exists(), 'triton', f'no {model}, or --overwrite', 'that model')


def model_name(folder: str) -> str:
    """Return the name of an artifact's model: that of its folder."""
    return re.sub(r'[^A-Za-z0-9_.-]', '-', Path(folder).absolute().name)


def write_repository(artifact: Artifact, repository: str) -> str:
    """Write a model repository, or add a model to one.

    Args:
        artifact: Self-contained artifact for ONNX Runtime.
        repository: Folder of the repository.

    Returns:
        Folder of the model: ``config.pbtxt``, ``labels.txt`` and ``1/model.onnx``.

    Raises:
        DeployError: If what was written does not fit the graph.

    Source:
        https://github.com/triton-inference-server/server/blob/main/docs/user_guide/model_configuration.md
    """
    name = model_name(artifact.folder)
    folder = Path(repository, name)
    (folder / '1').mkdir(parents=True, exist_ok=True)
    shutil.copyfile(artifact.path, folder / '1' / 'model.onnx')
    write_atomically(folder / 'labels.txt', '\n'.join([*artifact.classes, '']).encode())
    session = OnnxRuntimeBackend(artifact.path).session
    write_atomically(folder / 'config.pbtxt', model_config(name, session).encode())
    return str(folder)


def model_config(name: str, session: object) -> str:
    """Return Triton's description of a graph.

    Args:
        name: Name of the model.
        session: The graph, opened by ONNX Runtime.

    Raises:
        DeployError: If it does not take and give bytes.

    Note:
        A graph that takes any number of images is batched by Triton, up to eight of one size; then its dimensions stand
        without the batch.
    """
    values = [*session.get_inputs(), *session.get_outputs()]  # type: ignore[attr-defined]
    if [value.type for value in values] != ['tensor(uint8)'] * 2:
        raise DeployError(f'{name}: expected a graph from bytes to bytes, got {[value.type for value in values]}')
    free = isinstance(values[0].shape[0], str)
    dims = [[side if isinstance(side, int) else -1 for side in value.shape[1 if free else 0:]] for value in values]
    config = CONFIG.format(name=name, batch=MAX_BATCH if free else 0, input_name=values[0].name,
                           output_name=values[1].name, input_dims=dims[0], output_dims=dims[1])
    return config + ('dynamic_batching { }\n' if free else '')
