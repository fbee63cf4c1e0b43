"""The graphs that ship beside a network's weights, single precision and INT8: ONNX files that are enough alone."""

from __future__ import annotations

import hashlib
import os
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from bisenet_plugins.datasets.samples import load_samples
from bisenet_plugins.deploy import DeployOptions, deploy
from bisenet_plugins.deploy.graph import describe_graph, load_graph, save_graph
from bisenet_plugins.deploy.verify import compare, loaded_network, require_agreement
from bisenet_plugins.files import write_atomically

__all__ = ['export_graphs', 'graph_table', 'halve_weights']

EVERY = 1 << 30


def halve_weights(path: str) -> None:
    """Store what has more than one axis in half precision; the runtime widens it once, when it loads the file.

    Args:
        path: ONNX file in single precision; it is changed in place.
    """
    from onnx import TensorProto, helper, numpy_helper
    model = load_graph(path)
    casts = []
    for tensor in model.graph.initializer:
        if tensor.data_type == TensorProto.FLOAT and len(tensor.dims) > 1:
            name, half = tensor.name, numpy_helper.to_array(tensor).astype(np.float16)
            tensor.CopyFrom(numpy_helper.from_array(half, f'{name}.half'))
            casts.append(helper.make_node('Cast', [f'{name}.half'], [name], f'{name}/Cast', to=TensorProto.FLOAT))
    nodes = [*casts, *model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    save_graph(model, path)


def export_graphs(config: Any, weights: str | os.PathLike[str], name: str, folder: Path, evaluate: bool = True,
                  calibration: str = 'train') -> dict[str, dict[str, Any]]:
    """Write both graphs of a network.

    Args:
        config: Config of the training, with its train and validation images.
        weights: The shipped weights.
        name: Name of the network.
        folder: Where ``index.json`` lies.
        evaluate: Whether to score both on all validation images; otherwise they are compared on generated ones.
        calibration: Where the images come from that INT8's ranges are measured on.

    Returns:
        For ``fp32`` and ``int8`` what the index says: ``file``, ``sha256``, ``bytes``, ``mIoU``, and the share of
        pixels that are PyTorch's.

    Raises:
        AgreementError: If a graph differs from the network by more than its precision allows, for INT8 by more than
            half a point of mIoU on the validation images.
    """
    predictor = loaded_network(config, str(weights))
    images = 'val' if evaluate else 'synthetic'
    entries = {}
    with tempfile.TemporaryDirectory() as work:
        for precision, suffix in (('fp32', ''), ('int8', '.int8')):
            out = os.path.join(work, precision)
            artifact = deploy(config, str(weights), out, DeployOptions(
                precision=precision, output='logits_s8', images=images, image_count=EVERY if evaluate else 4,
                calibration=calibration if precision == 'int8' else None, dump_info=False, verify=False))
            halve_weights(artifact.path)  # of INT8 those of the layers that stay in floating point
            artifact.save()
            samples = load_samples(images, EVERY if evaluate else 4, predictor.cfg, (96, 128))
            artifact.checks = compare(out, predictor, samples)
            require_agreement(dict(artifact.checks, precision=precision.replace('fp32', 'fp16')))
            describe_graph(artifact.path, artifact.metadata(artifact.file))
            content = Path(artifact.path).read_bytes()
            file = f'{name}{suffix}.onnx'
            write_atomically(folder / file, content)
            entries[precision] = dict(
                file=file, sha256=hashlib.sha256(content).hexdigest(), bytes=len(content),
                mIoU=None if not evaluate else round(artifact.checks['miou_artifact'], 2),
                agreement=round(artifact.checks['agreement'], 3))
    return entries


def graph_table(graphs: dict[str, dict[str, Any]]) -> str:
    """Set out the graphs for the model card.

    Args:
        graphs: What :func:`export_graphs` returned.

    Example:
        >>> entry = dict(file='a.onnx', sha256='ff', bytes=5, mIoU=None, agreement=99.5)
        >>> print(graph_table(dict(int8=entry)).splitlines()[-1])
        | `a.onnx` | int8 | 5 | not measured | 99.500 | `ff` |
    """
    rows = [f'| `{Path(entry["file"]).name}` | {precision} | {entry["bytes"]} | '
            f'{"not measured" if entry["mIoU"] is None else entry["mIoU"]} | {entry["agreement"]:.3f} | '
            f'`{entry["sha256"]}` |' for precision, entry in graphs.items()]
    return '\n'.join(['| graph | precision | bytes | val mIoU | pixels equal to PyTorch, % | SHA-256 |',
                      '|---|---|---|---|---|---|', *rows])
