"""Questions to an ONNX graph that several passes ask."""

from typing import Any


def tensor_kinds(model: Any) -> dict[str, int]:
    """The element type (onnx.TensorProto's number) of every tensor that is given to or made by a node."""
    from onnx import shape_inference

    graph = shape_inference.infer_shapes(model).graph
    known = {info.name: info.type.tensor_type.elem_type for info in (*graph.value_info, *graph.output)}
    return known | {info.name: info.type.tensor_type.elem_type for info in graph.input}


def float_tensors(model: Any) -> set[str]:
    """Names of the float32 tensors that nodes make."""
    from onnx import TensorProto

    kinds = tensor_kinds(model)
    made = {name for node in model.graph.node for name in node.output}
    return {name for name in made if kinds.get(name) == TensorProto.FLOAT}
