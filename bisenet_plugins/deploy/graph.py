"""Passes over an exported ONNX graph: fold what can be folded, and refuse what must not be in it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..errors import DeployError, UnsupportedOperatorError, require

if TYPE_CHECKING:
    import onnx

__all__ = ['check_graph', 'finish_graph', 'fold_batch_norms', 'module_of']

STANDARD_DOMAINS = ('', 'ai.onnx')
OPSETS = range(13, 18)


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
    path = ''
    for part in node_name.strip('/').split('/')[:-1]:
        # inside an nn.Sequential the exporter repeats the parent's name: stem/stem.0
        last = path.rsplit('.', 1)[-1]
        if last and part.startswith(last + '.'):
            path = path[:len(path) - len(last)] + part
        else:
            path = f'{path}.{part}' if path else part
    return path or 'the segmentor itself'


def _initializers(graph: onnx.GraphProto) -> dict[str, np.ndarray]:
    from onnx import numpy_helper
    return {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}


def _consumers(graph: onnx.GraphProto) -> dict[str, list[onnx.NodeProto]]:
    found: dict[str, list[onnx.NodeProto]] = {}
    for node in graph.node:
        for name in node.input:
            found.setdefault(name, []).append(node)
    return found


def _attribute(node: onnx.NodeProto, name: str, default: object) -> object:
    from onnx import helper
    for attribute in node.attribute:
        if attribute.name == name:
            return helper.get_attribute_value(attribute)
    return default


def _inline_shared_initializers(graph: onnx.GraphProto) -> None:
    """Give every reader of an ``Identity`` over an initializer the initializer itself."""
    names = {tensor.name for tensor in graph.initializer}
    outputs = {output.name for output in graph.output}
    renamed: dict[str, str] = {}
    kept = []
    for node in graph.node:
        source = renamed.get(node.input[0], node.input[0]) if node.input else ''
        if node.op_type == 'Identity' and source in names and node.output[0] not in outputs:
            renamed[node.output[0]] = source
        else:
            kept.append(node)
    for node in kept:
        for i, name in enumerate(node.input):
            node.input[i] = renamed.get(name, name)
    del graph.node[:]
    graph.node.extend(kept)


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
    arrays = _initializers(graph)
    readers = _consumers(graph)
    folded = 0
    for node in [node for node in graph.node if node.op_type == 'BatchNormalization']:
        gamma, beta, mean, var = (arrays[name].astype(np.float64) for name in node.input[1:5])
        scale = gamma / np.sqrt(var + float(_attribute(node, 'epsilon', 1e-5)))  # type: ignore[arg-type]
        shift = beta - mean * scale
        place = list(graph.node).index(node)
        following = readers.get(node.output[0], [])
        conv = following[0] if len(following) == 1 and following[0].op_type == 'Conv' else None
        if conv is not None and conv.input[1] in arrays and _attribute(conv, 'group', 1) == 1 \
                and not any(_attribute(conv, 'pads', [0])):  # type: ignore[arg-type]
            weight = arrays[conv.input[1]].astype(np.float64)
            bias = arrays[conv.input[2]].astype(np.float64) if len(conv.input) > 2 else np.zeros(len(weight))
            bias = bias + np.einsum('oihw,i->o', weight, shift)
            weight = weight * scale[None, :, None, None]
            names = (f'{conv.name}.folded_weight', f'{conv.name}.folded_bias')
            graph.initializer.extend(numpy_helper.from_array(array.astype(np.float32), name)
                                     for name, array in zip(names, (weight, bias), strict=True))
            conv.input[0], conv.input[1] = node.input[0], names[0]
            if len(conv.input) > 2:
                conv.input[2] = names[1]
            else:
                conv.input.append(names[1])
            graph.node.remove(node)
        else:
            names = (f'{node.name}.scale', f'{node.name}.shift')
            graph.initializer.extend(numpy_helper.from_array(array.astype(np.float32).reshape(1, -1, 1, 1), name)
                                     for name, array in zip(names, (scale, shift), strict=True))
            product = helper.make_node('Mul', [node.input[0], names[0]], [f'{node.name}.product'], f'{node.name}/Mul')
            total = helper.make_node('Add', [product.output[0], names[1]], [node.output[0]], f'{node.name}/Add')
            graph.node.remove(node)
            graph.node.insert(place, total)
            graph.node.insert(place, product)
        folded += 1
    return folded


def _drop_unused(graph: onnx.GraphProto) -> None:
    used = {output.name for output in graph.output}
    kept = []
    for node in reversed(graph.node):
        if any(name in used for name in node.output):
            used.update(node.input)
            kept.append(node)
    del graph.node[:]
    graph.node.extend(reversed(kept))
    tensors = [tensor for tensor in graph.initializer if tensor.name in used]
    del graph.initializer[:]
    graph.initializer.extend(tensors)


def finish_graph(path: str) -> None:
    """Clean an exported ONNX file in place, and check it.

    Args:
        path: ONNX file as the exporter wrote it.

    Raises:
        UnsupportedOperatorError: If an operator is not a standard one.
        DeployError: If a batch norm, or a head that is used in training only, is left.
    """
    require('onnx')
    import onnx
    model = onnx.load(path)
    _inline_shared_initializers(model.graph)
    fold_batch_norms(model.graph)
    _drop_unused(model.graph)
    del model.graph.value_info[:]
    check_graph(model)
    onnx.save(model, path)


def check_graph(model: onnx.ModelProto) -> None:
    """Refuse a graph that no other runtime would take, or that carries dead weight.

    Args:
        model: Graph to look at.

    Raises:
        UnsupportedOperatorError: If an operator is not a standard one.
        DeployError: If the opset is not one of 13 to 17, or a batch norm or an auxiliary head is left.
    """
    import onnx
    opset = next(entry.version for entry in model.opset_import if entry.domain in STANDARD_DOMAINS)
    if opset not in OPSETS:
        raise DeployError(f'opset_version is {opset}; the backends take {OPSETS.start} to {OPSETS.stop - 1}')
    for node in model.graph.node:
        if node.domain not in STANDARD_DOMAINS:
            raise UnsupportedOperatorError(f'node {node.name} ({node.domain}::{node.op_type}) of module '
                                           f'{module_of(node.name)} is no standard ONNX operator')
        if node.op_type == 'BatchNormalization':
            raise DeployError(f'node {node.name} is a batch norm that could not be folded')
    names = [node.name for node in model.graph.node] + [tensor.name for tensor in model.graph.initializer]
    left = [name for name in names if 'auxiliary_head' in name]
    if left:
        raise DeployError(f'the graph holds an auxiliary head, which training alone needs: {left[0]}')
    onnx.checker.check_model(model)
