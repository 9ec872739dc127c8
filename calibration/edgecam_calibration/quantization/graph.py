"""An ONNX graph's convolutions and constants, by name."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray


class Conv(NamedTuple):
    """One convolution with constant weights and bias."""

    name: str
    given: str  # the tensor it reads
    made: str  # the tensor it writes
    weight: str
    bias: str
    group: int  # 1, or the number of channels
    strides: tuple[int, int]
    pads: tuple[int, int, int, int]  # top, left, bottom, right


def constants(model: Any) -> dict[str, NDArray[Any]]:
    """Every initializer as an array of its own, by name."""
    from onnx import numpy_helper

    return {tensor.name: numpy_helper.to_array(tensor).copy() for tensor in model.graph.initializer}


def replace_constants(model: Any, new: dict[str, NDArray[Any]]) -> None:
    """Write float arrays over the float32 initializers of the same names, in place."""
    from onnx import TensorProto, numpy_helper

    for tensor in model.graph.initializer:
        if tensor.name in new and tensor.data_type == TensorProto.FLOAT:
            tensor.CopyFrom(numpy_helper.from_array(new[tensor.name].astype(np.float32), tensor.name))


def convolutions(model: Any) -> list[Conv]:
    """In the graph's order: two-dimensional, undilated, dense or depthwise, with constants of their own.

    What is none of these is quantized too, but its weights are taken as they are.
    """
    import onnx

    arrays = constants(model)
    uses: dict[str, int] = {}
    for node in model.graph.node:
        for name in node.input:
            uses[name] = uses.get(name, 0) + 1
    found = []
    for node in model.graph.node:
        if node.op_type != "Conv" or len(node.input) != 3 or not {*node.input[1:]} <= arrays.keys():
            continue
        weight = arrays[node.input[1]]
        given = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
        group = given.get("group", 1)
        plain = weight.ndim == 4 and all(step == 1 for step in given.get("dilations", [1, 1]))
        plain = plain and given.get("auto_pad", b"NOTSET") == b"NOTSET"
        depthwise = group == weight.shape[0] and weight.shape[1] == 1
        if plain and (group == 1 or depthwise) and all(uses[name] == 1 for name in node.input[1:]):
            down, along = given.get("strides", (1, 1))
            top, left, bottom, right = given.get("pads", (0, 0, 0, 0))
            tensors = (node.input[0], node.output[0], node.input[1], node.input[2])
            found.append(Conv(node.name, *tensors, group, (down, along), (top, left, bottom, right)))
    return found


def run_between(model: Any, given: dict[str, NDArray[Any]], names: list[str]) -> list[NDArray[Any]]:
    """Tensors of a graph by name, computed from others that are given, as written and without fusing.

    Only the nodes between them run. The given tensors must be enough.
    """
    import onnxruntime as ort
    from onnx import helper

    makers = {output: place for place, node in enumerate(model.graph.node) for output in node.output}
    wanted: set[int] = set()
    left = [name for name in names if name not in given]
    while left:
        place = makers.get(left.pop())
        if place is not None and place not in wanted:
            wanted.add(place)
            left += [name for name in model.graph.node[place].input if name and name not in given]
    nodes = [model.graph.node[place] for place in sorted(wanted)]
    read = {name for node in nodes for name in node.input}
    kinds = {np.dtype(kind): helper.np_dtype_to_tensor_dtype(np.dtype(kind)) for kind in ("f4", "u1")}
    graph = helper.make_graph(
        nodes,
        "between",
        [
            helper.make_tensor_value_info(name, kinds[array.dtype], [None] * array.ndim)
            for name, array in given.items()
            if name in read
        ],
        [helper.make_empty_tensor_value_info(name) for name in names],
        [tensor for tensor in model.graph.initializer if tensor.name in read],
    )
    part = helper.make_model(graph, opset_imports=model.opset_import, ir_version=model.ir_version)
    options = ort.SessionOptions()
    options.log_severity_level = 3
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = ort.InferenceSession(part.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return list(session.run(names, {i.name: given[i.name] for i in session.get_inputs()}))
