"""The model as TensorRT wants it read: bytes are cast before anything else is done with them."""

from typing import Any, Final

from edgecam_engines.onnx_file import parse_onnx

# Operators that only move data, with the data as their first input.
MOVES: Final = frozenset({"Transpose", "Reshape", "Slice", "Gather", "Squeeze", "Unsqueeze", "Identity"})


def cast_first(content: bytes, name: str) -> bytes:
    """The model with its uint8 image cast before it is moved, since TensorRT moves no uint8.

    Our export transposes bytes and casts then, which is the fastest order for a processor. TensorRT
    takes uint8 only straight into a Cast (NVIDIA/TensorRT#3985); the values are the same either way.
    Raises EngineError when the bytes are not ONNX.
    """
    from onnx import TensorProto

    model = parse_onnx(content, name)
    for given in model.graph.input:
        if given.type.tensor_type.elem_type == TensorProto.UINT8:
            _cast_before_moves(model.graph, given.name)
    changed: bytes = model.SerializeToString()
    return changed


def chain_to_cast(graph: Any, image: str) -> list[Any] | None:
    """The nodes from an input to its Cast and with it, where all before it only move; else None."""
    chain: list[Any] = []
    name = image
    while len(chain) <= len(graph.node):  # a hostile graph may go round
        readers = [node for node in graph.node if name in node.input]
        if len(readers) != 1:
            return None
        reader = readers[0]
        chain.append(reader)
        if reader.op_type == "Cast":
            return chain
        if reader.op_type not in MOVES or reader.input[0] != name or not reader.output:
            return None
        name = reader.output[0]
    return None


def _cast_before_moves(graph: Any, image: str) -> None:
    """Turn image -> moves -> Cast into image -> Cast -> moves, where it is one chain."""
    chain = chain_to_cast(graph, image)
    if chain is None or len(chain) < 2:
        return
    *moves, reader = chain
    name = reader.input[0]
    result, early = reader.output[0], f"{image}_cast"
    reader.input[0], reader.output[0] = image, early
    moves[0].input[0], moves[-1].output[0] = early, result
    changed = {move.output[0] for move in moves} | {name}
    outdated = [info for info in graph.value_info if info.name in changed - {result}]
    for info in outdated:
        graph.value_info.remove(info)
    cast = type(reader)()
    cast.CopyFrom(reader)
    graph.node.remove(reader)
    graph.node.insert(0, cast)
