"""Half precision in the graph itself, as strongly typed runtimes (TensorRT 10 and later, TensorRT-RTX) need it."""

from __future__ import annotations

import numpy as np

from ..errors import DeployError
from .graph import cast_output, convolution_span, load_graph, save_graph

__all__ = ['to_float16']

# inputs that stay in single precision whatever the node computes in: roi and scales
SINGLE_INPUTS = {'Resize': (1, 2)}
# readers that use the shape alone
SHAPE_READERS = ('Shape', 'Size')


def to_float16(path: str, save_path: str) -> None:
    """Write a copy of an ONNX file whose network computes in half precision.

    What lies before the first convolution (normalisation) and behind the last one (resizing, argmax) stays in single
    precision, as do inputs and outputs: the argmax then sees no ties that rounding made.

    Args:
        path: ONNX file in single precision.
        save_path: File to write.

    Raises:
        DeployError: If the file is damaged, has no convolution, or a weight that half precision cannot hold.

    Source:
        ONNX operator list, opset 13 to 17: every operator between the convolutions takes ``float16``.
    """
    model = load_graph(path)
    import onnx
    from onnx import TensorProto, helper, numpy_helper
    graph = model.graph
    first, last = convolution_span(graph, path)
    inferred = onnx.shape_inference.infer_shapes(model).graph
    weights = {tensor.name: tensor for tensor in graph.initializer}
    weights |= {node.output[0]: entry.t for node in graph.node if node.op_type == 'Constant'
                for entry in node.attribute if entry.name == 'value'}
    floats = {value.name for value in [*inferred.input, *inferred.output, *inferred.value_info]
              if value.type.tensor_type.elem_type == TensorProto.FLOAT}
    floats |= {name for name, tensor in weights.items() if tensor.data_type == TensorProto.FLOAT}
    halves: set[str] = set()
    made: set[str] = set()
    nodes: list[onnx.NodeProto] = []

    def cast(name: str, to: int) -> str:
        """Return the name of a value in another precision; a weight or a node makes it where it is the first time."""
        target = f'{name}.half' if to == TensorProto.FLOAT16 else f'{name}.single'
        if target in made:
            return target
        made.add(target)
        if name in weights:
            array = numpy_helper.to_array(weights[name])
            if np.abs(array).max(initial=0.) > np.finfo(np.float16).max:
                raise DeployError(f'weight {name}: expected at most {np.finfo(np.float16).max:g} in half precision, '
                                  f'got {np.abs(array).max():g}')
            graph.initializer.append(numpy_helper.from_array(array.astype(np.float16), target))
        else:
            nodes.append(helper.make_node('Cast', [name], [target], f'{target}/Cast', to=to))
        return target

    for i, node in enumerate(list(graph.node)):
        inside = first <= i <= last and node.op_type != 'Constant'
        for place, name in enumerate(() if node.op_type in SHAPE_READERS else node.input):
            if name in halves:
                node.input[place] = name if inside else cast(name, TensorProto.FLOAT)
            elif inside and name in floats and place not in SINGLE_INPUTS.get(node.op_type, ()):
                node.input[place] = cast(name, TensorProto.FLOAT16)
        if inside:
            halves.update(name for name in node.output if name in floats)
            for attribute in node.attribute:
                if node.op_type == 'Cast' and attribute.name == 'to' and attribute.i == TensorProto.FLOAT:
                    attribute.i = TensorProto.FLOAT16
        nodes.append(node)
    del graph.node[:]
    graph.node.extend(nodes)
    for name in (output.name for output in graph.output if output.name in halves):
        cast_output(graph, name, f'{name}.inner', f'{name}/Cast', TensorProto.FLOAT)
    save_graph(model, save_path)
