"""What goes in and what comes out: bytes of one size in, one float feature map out."""

from collections.abc import Iterator
from typing import Any, Final

from edgecam_engines.lint.finding import Finding, Severity
from edgecam_engines.lint.graph import Graph, attribute, named, shape_of
from edgecam_engines.tensorrt.graph import MOVES, chain_to_cast

_POOLS: Final = frozenset({"GlobalAveragePool", "GlobalMaxPool", "ReduceMean", "ReduceMax", "Flatten"})
_EXPORT: Final = (
    "Export the model with edgecam, or end it before its pooling and leave the class head outside."
)


def dynamic_sides(graph: Graph) -> Iterator[Finding]:
    """Sides without a number. A profile of edgecam's builds covers the batch and nothing else."""
    for given in graph.images():
        shape = shape_of(given)
        if shape is None:
            what = f"the input {given.name} has no shape, so no optimization profile can be made for it"
            yield Finding("dynamic-dims", "error", "the model", what, "Export it with a shape (n, h, w, 3).")
            continue
        free = [
            f"number {i} ({side or 'no name'})" for i, side in enumerate(shape) if not isinstance(side, int)
        ]
        if free and not isinstance(shape[0], int):
            free = free[1:]  # the batch, which the profile covers
        if free:
            yield Finding(
                "dynamic-dims",
                "error",
                "the model",
                f"the input {given.name} leaves open side {', '.join(free)}, which no profile covers",
                "Export it with a fixed height and width; one plan serves one size.",
            )


def bytes_moved(graph: Graph) -> Iterator[Finding]:
    """TensorRT takes uint8 only straight into a Cast (NVIDIA/TensorRT#3985)."""
    from onnx import TensorProto

    for given in graph.images():
        if given.type.tensor_type.elem_type != TensorProto.UINT8:
            continue
        others = [node for node in graph.readers.get(given.name, []) if node.op_type != "Cast"]
        turns = chain_to_cast(graph.graph, given.name) is not None
        for node in others:
            severity: Severity = "note" if turns else "error"
            does = "moves" if node.op_type in MOVES else "reads"
            yield Finding(
                "uint8-moved",
                severity,
                named(node),
                f"it {does} the bytes of {given.name} before they are cast, which TensorRT refuses",
                "edgecam turns the two around when it builds."
                if turns
                else "Cast the input to float first, and let nothing else read it.",
            )


def cam_identity(graph: Graph) -> Iterator[Finding]:
    """Maps need features with places: (n, d, gh, gw) in float, of which the class head takes the mean."""
    outputs = list(graph.graph.output)
    faults = [fault for fault in (_no_map(graph, output) for output in outputs) if fault is not None]
    if len(faults) == len(outputs):
        yield from faults or [Finding("cam-identity", "error", "the model", "it has no output", _EXPORT)]
    elif len(outputs) > 1:
        what = f"it has {len(outputs)} outputs, and edgecam's engines have one, the feature map"
        yield Finding(
            "cam-identity",
            "warning",
            "the model",
            what,
            "Other tools may take it as it is. " + _EXPORT,
        )


def _no_map(graph: Graph, output: Any) -> Finding | None:
    """Why an output is no feature map; None where it is, or where the file does not tell."""
    from onnx import TensorProto

    shape = shape_of(output)
    if shape is not None and (len(shape) != 4 or 1 in shape[2:]):
        pool = _pooling(graph, output.name)
        where = named(pool) if pool is not None else "the model"
        why = ", since this node pools all places away" if pool is not None else ""
        what = f"the output {output.name} has shape {tuple(shape)}, not a feature map (n, d, gh, gw){why}"
        return Finding("cam-identity", "error", where, what, _EXPORT)
    if output.type.tensor_type.elem_type not in {TensorProto.FLOAT, TensorProto.FLOAT16}:
        what = f"the output {output.name} is not of float32 or float16, so its mean is no class score"
        return Finding("cam-identity", "error", "the model", what, "Dequantize the features in the graph.")
    return None


def _pooling(graph: Graph, output: str) -> Any:
    """The nearest node before an output that takes all places together, or None."""
    for node in graph.upstream(output, _POOLS | {"Conv"}):
        axes = attribute(node, "axes")
        if node.op_type.startswith("Reduce") and isinstance(axes, list) and not {2, 3, -1, -2} & set(axes):
            continue
        if node.op_type in _POOLS:
            return node
    return None
