"""Half precision in the graph itself, as strongly typed runtimes (TensorRT 10 and later, TensorRT-RTX) want it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..errors import DeployError, require

if TYPE_CHECKING:
    import onnx

__all__ = ['to_float16']

# inputs that stay in single precision whatever the node computes in: roi and scales
SINGLE_INPUTS = {'Resize': (1, 2)}
# readers that look at the shape alone
SHAPE_READERS = ('Shape', 'Size')


def _float_values(model: onnx.ModelProto) -> set[str]:
    """Names of all single-precision tensors of a graph."""
    import onnx
    graph = onnx.shape_inference.infer_shapes(model).graph
    single = onnx.TensorProto.FLOAT
    names = {value.name for value in [*graph.input, *graph.output, *graph.value_info]
             if value.type.tensor_type.elem_type == single}
    return names | {tensor.name for tensor in graph.initializer if tensor.data_type == single}


def to_float16(path: str, save_path: str) -> None:
    """Write a copy of an ONNX file whose network computes in half precision.

    What lies before the first convolution (normalisation) and behind the last one (resizing, argmax) stays in single
    precision, as do inputs and outputs: the argmax then sees no ties that rounding made.

    Args:
        path: ONNX file in single precision.
        save_path: File to write.

    Raises:
        DeployError: If the graph has no convolution, or a weight that half precision cannot hold.

    Source:
        ONNX operator list, opset 13 to 17: every operator between the convolutions takes ``float16``.
    """
    require('onnx')
    import onnx
    from onnx import TensorProto, helper, numpy_helper
    model = onnx.load(path)
    graph = model.graph
    floats = _float_values(model)
    nodes = list(graph.node)
    convs = [i for i, node in enumerate(nodes) if node.op_type == 'Conv']
    if not convs:
        raise DeployError(f'{path} holds no convolution; half precision is for the part between convolutions')
    weights = {tensor.name: tensor for tensor in graph.initializer}
    constants = {node.output[0]: node for node in nodes if node.op_type == 'Constant'}
    half_values: set[str] = set()
    made: dict[tuple[str, int], str] = {}
    rebuilt: list[onnx.NodeProto] = []

    def half_array(name: str, array: np.ndarray) -> str:
        if np.abs(array).max(initial=0.) > np.finfo(np.float16).max:
            raise DeployError(f'weight {name} holds {np.abs(array).max():g}, more than half precision can hold')
        if (name, TensorProto.FLOAT16) not in made:
            made[name, TensorProto.FLOAT16] = f'{name}.half'
            graph.initializer.append(numpy_helper.from_array(array.astype(np.float16), f'{name}.half'))
        return made[name, TensorProto.FLOAT16]

    def cast(name: str, to: int) -> str:
        if (name, to) not in made:
            made[name, to] = f'{name}.{"half" if to == TensorProto.FLOAT16 else "single"}'
            rebuilt.append(helper.make_node('Cast', [name], [made[name, to]], f'{made[name, to]}/Cast', to=to))
        return made[name, to]

    for i, node in enumerate(nodes):
        inside = convs[0] <= i <= convs[-1] and node.op_type != 'Constant'
        for place, name in enumerate(node.input):
            if name in half_values:
                if not inside and node.op_type not in SHAPE_READERS:
                    node.input[place] = cast(name, TensorProto.FLOAT)
            elif inside and name in floats and place not in SINGLE_INPUTS.get(node.op_type, ()):
                if name in weights:
                    node.input[place] = half_array(name, numpy_helper.to_array(weights[name]))
                elif name in constants:
                    value = helper.get_attribute_value(constants[name].attribute[0])
                    node.input[place] = half_array(name, numpy_helper.to_array(value))
                elif node.op_type not in SHAPE_READERS:
                    node.input[place] = cast(name, TensorProto.FLOAT16)
        if inside:
            half_values.update(name for name in node.output if name in floats)
            for attribute in node.attribute:
                if node.op_type == 'Cast' and attribute.name == 'to' and attribute.i == TensorProto.FLOAT:
                    attribute.i = TensorProto.FLOAT16
        rebuilt.append(node)
    for output in graph.output:
        if output.name in half_values:
            inner = f'{output.name}.inner'
            for node in rebuilt:
                for names in (node.input, node.output):
                    names[:] = [inner if name == output.name else name for name in names]
            rebuilt.append(helper.make_node('Cast', [inner], [output.name], f'{output.name}/Cast',
                                            to=TensorProto.FLOAT))
    del graph.node[:]
    graph.node.extend(rebuilt)
    used = {name for node in rebuilt for name in node.input}
    kept = [tensor for tensor in graph.initializer if tensor.name in used]
    del graph.initializer[:]
    graph.initializer.extend(kept)
    del graph.value_info[:]
    onnx.checker.check_model(model)
    onnx.save(model, save_path)
