"""Passes over an exported ONNX graph: fold what can be folded, and refuse what must not be in it."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from ..errors import DeployError, UnsupportedOperatorError, raised_as, require
from .options import OPSETS

if TYPE_CHECKING:
    import onnx

__all__ = ['attribute', 'cast_output', 'check_graph', 'convolution_span', 'describe_graph', 'finish_graph',
           'fold_batch_norms', 'load_graph', 'module_of', 'save_graph']

STANDARD_DOMAINS = ('', 'ai.onnx')


def load_graph(path: str) -> onnx.ModelProto:
    """Read an ONNX file.

    Args:
        path: The file.

    Raises:
        DeployError: If it is damaged, or not an ONNX file.
    """
    require('onnx')
    import onnx
    with raised_as(DeployError, f'{path}: expected an ONNX file, got one that cannot be read'):
        model = onnx.load(path)
    if not model.graph.node:
        raise DeployError(f'{path}: expected an ONNX file, got one without a graph')
    return model


def save_graph(model: onnx.ModelProto, path: str) -> None:
    """Drop what nothing reads, check the graph and write it.

    Args:
        model: Graph; it is changed in place.
        path: File to write.
    """
    import onnx
    _drop_unused(model.graph)
    del model.graph.value_info[:]
    domains = {node.domain for node in model.graph.node}
    for entry in [entry for entry in model.opset_import if entry.domain not in domains]:
        model.opset_import.remove(entry)
    onnx.checker.check_model(model)
    onnx.save(model, path)


def convolution_span(graph: onnx.GraphProto, path: str) -> tuple[int, int]:
    """Return the places of the first and the last convolution, between which the network lies.

    Args:
        graph: Graph.
        path: Its file, for the message.

    Raises:
        DeployError: If there is none.
    """
    places = [i for i, node in enumerate(graph.node) if node.op_type == 'Conv']
    if not places:
        raise DeployError(f'{path}: expected a graph with convolutions, got one without')
    return places[0], places[-1]


def module_of(node_name: str) -> str:
    """Read the module's path from an exported node's name.

    Args:
        node_name: Name that the exporter gave, such as ``/backbone/stem/conv/Conv``.

    Example:
        >>> module_of('/backbone/stem/stem.0/conv/Conv')
        'backbone.stem.0.conv'
        >>> module_of('/Resize')
        'the segmentor itself'
    """
    modules = node_name.strip('/').rpartition('/')[0]
    # inside an nn.Sequential the exporter repeats the parent's name: stem/stem.0
    return re.sub(r'(?<![^/])([^/]+)/(?=\1\.)', '', modules).replace('/', '.') or 'the segmentor itself'


def attribute(node: onnx.NodeProto, name: str, default: object) -> object:
    """Return an attribute of a node.

    Args:
        node: The node.
        name: Name of the attribute.
        default: What is returned where the node has none.
    """
    from onnx import helper
    return next((helper.get_attribute_value(entry) for entry in node.attribute if entry.name == name), default)


def _inline_shared_initializers(graph: onnx.GraphProto) -> None:
    """Let every reader of an ``Identity`` over an initializer read the initializer itself."""
    sources = {tensor.name: tensor.name for tensor in graph.initializer}
    for node in graph.node:  # in the order in which they run
        node.input[:] = [sources.get(name, name) for name in node.input]
        if node.op_type == 'Identity' and node.input[0] in sources:
            sources[node.output[0]] = node.input[0]


def fold_batch_norms(graph: onnx.GraphProto) -> int:
    """Fold every batch norm that the exporter left over.

    The exporter folds a batch norm into the convolution before it. One that stands after a pooling goes into the
    pointwise convolution behind it, or becomes a product and a sum.

    Args:
        graph: Graph to change in place.

    Returns:
        How many were folded.
    """
    from onnx import helper, numpy_helper
    arrays = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    norms = [node for node in graph.node if node.op_type == 'BatchNormalization']
    for node in norms:
        gamma, beta, mean, var = (arrays[name].astype(np.float64) for name in node.input[1:5])
        scale = gamma / np.sqrt(var + float(attribute(node, 'epsilon', 1e-5)))  # type: ignore[arg-type]
        shift = beta - mean * scale
        place = list(graph.node).index(node)
        following = [other for other in graph.node if node.output[0] in other.input]
        conv = following[0] if len(following) == 1 and following[0].op_type == 'Conv' else None
        if conv is not None and conv.input[1] in arrays and attribute(conv, 'group', 1) == 1 \
                and not any(attribute(conv, 'pads', [0])):  # type: ignore[arg-type]
            weight = arrays[conv.input[1]].astype(np.float64)
            bias = arrays[conv.input[2]].astype(np.float64) if len(conv.input) > 2 else 0.0
            names = (f'{conv.name}.folded_weight', f'{conv.name}.folded_bias')
            added = (weight * scale[None, :, None, None], bias + np.einsum('oihw,i->o', weight, shift))
            conv.input[:] = [node.input[0], *names]
        else:
            names = (f'{node.name}.scale', f'{node.name}.shift')
            added = (scale.reshape(1, -1, 1, 1), shift.reshape(1, -1, 1, 1))
            product = helper.make_node('Mul', [node.input[0], names[0]], [f'{node.name}.product'], f'{node.name}/Mul')
            total = helper.make_node('Add', [product.output[0], names[1]], [node.output[0]], f'{node.name}/Add')
            graph.node.insert(place, total)
            graph.node.insert(place, product)
        graph.node.remove(node)
        graph.initializer.extend(numpy_helper.from_array(array.astype(np.float32), name)
                                 for name, array in zip(names, added, strict=True))
    return len(norms)


def _drop_unused(graph: onnx.GraphProto) -> None:
    used = {output.name for output in graph.output}
    for place, node in reversed([*enumerate(graph.node)]):
        if used.isdisjoint(node.output):
            del graph.node[place]
        else:
            used.update(node.input)
    for place in [place for place, tensor in enumerate(graph.initializer) if tensor.name not in used][::-1]:
        del graph.initializer[place]


def _fold_constants(model: onnx.ModelProto) -> onnx.ModelProto:
    """Compute what depends on no input, such as the sizes in a static graph, by ONNX Runtime's standard passes."""
    import onnx
    import onnxruntime
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.log_severity_level = 3
    with tempfile.TemporaryDirectory() as folder:
        options.optimized_model_filepath = os.path.join(folder, 'folded.onnx')
        onnxruntime.InferenceSession(model.SerializeToString(), options, providers=['CPUExecutionProvider'])
        return onnx.load(options.optimized_model_filepath)


def finish_graph(path: str) -> None:
    """Clean an exported ONNX file in place, and check it.

    Args:
        path: ONNX file as the exporter wrote it.

    Raises:
        MissingPackageError: If onnxruntime, which folds constants, is not installed.
        UnsupportedOperatorError: If an operator is not a standard one.
        DeployError: If a batch norm, or a head that is used in training only, is left.
    """
    model = load_graph(path)
    _inline_shared_initializers(model.graph)
    fold_batch_norms(model.graph)
    _drop_unused(model.graph)
    check_graph(model)
    require('onnxruntime')
    save_graph(_fold_constants(model), path)


def cast_output(graph: onnx.GraphProto, output: str, inner: str, name: str, to: int) -> None:
    """Let a cast make an output of a graph.

    Args:
        graph: Graph to change in place.
        output: The output.
        inner: What is called so from now on where it was the output, and is cast.
        name: Name of the cast's node.
        to: Its type, one of ``onnx.TensorProto``.
    """
    from onnx import helper
    for node in graph.node:
        for names in (node.input, node.output):
            names[:] = [inner if each == output else each for each in names]
    graph.node.append(helper.make_node('Cast', [inner], [output], name, to=to))


def describe_graph(path: str, metadata: Mapping[str, str]) -> None:
    """Write into an ONNX file what it is, and let class ids that a byte holds leave it as bytes.

    Args:
        path: ONNX file; it is changed in place.
        metadata: Texts by key.
    """
    from onnx import TensorProto, helper
    model = load_graph(path)
    output = model.graph.output[0]
    if output.type.tensor_type.elem_type == TensorProto.INT64:
        cast_output(model.graph, output.name, 'classes', 'Cast', TensorProto.UINT8)
        output.type.tensor_type.elem_type = TensorProto.UINT8
    helper.set_model_props(model, dict(metadata))
    save_graph(model, path)


def check_graph(model: onnx.ModelProto) -> None:
    """Refuse a graph that no other runtime would take, or that carries dead weight.

    Args:
        model: Graph.

    Raises:
        UnsupportedOperatorError: If an operator is not a standard one.
        DeployError: If the opset is not one of 13 to 23, or a batch norm or an auxiliary head is left.
    """
    opset = next(entry.version for entry in model.opset_import if entry.domain in STANDARD_DOMAINS)
    first, last = OPSETS['trace'].start, OPSETS['program'].stop - 1
    if not first <= opset <= last:
        raise DeployError(f'opset_version: expected {first} to {last}, got {opset}')
    for node in model.graph.node:
        if node.domain not in STANDARD_DOMAINS:
            raise UnsupportedOperatorError(f'node {node.name} ({node.domain}::{node.op_type}) of module '
                                           f'{module_of(node.name)} has no standard ONNX counterpart')
        if node.op_type == 'BatchNormalization':
            raise DeployError(f'node {node.name} is a batch norm that could not be folded')
    names = [node.name for node in model.graph.node] + [tensor.name for tensor in model.graph.initializer]
    if left := [name for name in names if 'auxiliary_head' in name]:
        raise DeployError(f'the graph holds an auxiliary head, which training alone needs: {left[0]}')
