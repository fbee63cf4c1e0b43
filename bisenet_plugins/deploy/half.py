"""Half precision in the graph itself, as strongly typed runtimes (TensorRT 10 and later, TensorRT-RTX) need it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..errors import DeployError
from .graph import cast_output, convolution_span, load_graph, save_graph

if TYPE_CHECKING:
    import onnx

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
    _Halver(model, path).run()
    save_graph(model, save_path)


class _Halver:
    """The pass over one graph: what is half already, and the casts and weights made so far."""

    def __init__(self, model: onnx.ModelProto, path: str) -> None:
        import onnx
        self.graph = model.graph
        self.first, self.last = convolution_span(self.graph, path)
        inferred = onnx.shape_inference.infer_shapes(model).graph
        single = onnx.TensorProto.FLOAT
        self.weights = {tensor.name: tensor for tensor in self.graph.initializer}
        self.weights |= {node.output[0]: entry.t for node in self.graph.node if node.op_type == 'Constant'
                         for entry in node.attribute if entry.name == 'value'}
        self.floats = {value.name for value in [*inferred.input, *inferred.output, *inferred.value_info]
                       if value.type.tensor_type.elem_type == single}
        self.floats |= {name for name, tensor in self.weights.items() if tensor.data_type == single}
        self.halves: set[str] = set()
        self.made: set[str] = set()
        self.nodes: list[onnx.NodeProto] = []

    def run(self) -> None:
        """Change the graph in place."""
        from onnx import TensorProto
        for i, node in enumerate(list(self.graph.node)):
            inside = self.first <= i <= self.last and node.op_type != 'Constant'
            for place, name in enumerate(() if node.op_type in SHAPE_READERS else node.input):
                if name in self.halves:
                    node.input[place] = name if inside else self.cast(name, TensorProto.FLOAT)
                elif inside and name in self.floats and place not in SINGLE_INPUTS.get(node.op_type, ()):
                    node.input[place] = self.cast(name, TensorProto.FLOAT16)
            if inside:
                self.halves.update(name for name in node.output if name in self.floats)
                for attribute in node.attribute:
                    if node.op_type == 'Cast' and attribute.name == 'to' and attribute.i == TensorProto.FLOAT:
                        attribute.i = TensorProto.FLOAT16
            self.nodes.append(node)
        del self.graph.node[:]
        self.graph.node.extend(self.nodes)
        for name in (output.name for output in self.graph.output if output.name in self.halves):
            cast_output(self.graph, name, f'{name}.inner', f'{name}/Cast', TensorProto.FLOAT)

    def cast(self, name: str, to: int) -> str:
        """Return the name of a value in another precision; a weight or a node makes it where it is the first time."""
        from onnx import TensorProto, helper, numpy_helper
        target = f'{name}.half' if to == TensorProto.FLOAT16 else f'{name}.single'
        if target in self.made:
            return target
        self.made.add(target)
        if name in self.weights:
            array = numpy_helper.to_array(self.weights[name])
            if np.abs(array).max(initial=0.) > np.finfo(np.float16).max:
                raise DeployError(f'weight {name}: expected at most {np.finfo(np.float16).max:g} in half precision, '
                                  f'got {np.abs(array).max():g}')
            self.graph.initializer.append(numpy_helper.from_array(array.astype(np.float16), target))
        else:
            self.nodes.append(helper.make_node('Cast', [name], [target], f'{target}/Cast', to=to))
        return target
