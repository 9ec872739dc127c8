"""A graph's segments as models of their own, so that float and INT8 ones can be strung together at will."""

from typing import Any, NamedTuple

from edgecam_calibration.mixed.units import Segment


class Slice(NamedTuple):
    """One segment: what it takes from the segments before it, and what later ones take from it."""

    segment: Segment
    reads: tuple[str, ...]  # tensors of the float graph
    makes: tuple[str, ...]
    plain: bytes  # the ONNX model in float
    rounded: bytes | None  # with Q/DQ pairs on what it reads, its weights and what it makes; None: never


def slices_of(plain: Any, rounded: Any, segments: list[Segment]) -> list[Slice]:
    """Cut the float graph and its Q/DQ form at the same places.

    Each rounded slice holds the pairs on both of its sides. A second rounding by the same scale changes
    nothing, so any mixture of slices answers as the whole graph with that mixture of kept nodes.
    """
    nodes = {node.name: node for node in plain.graph.node}
    constants = {tensor.name for tensor in plain.graph.initializer}
    ends = {output.name for output in plain.graph.output}
    float_cutter, rounded_cutter = _Cutter(plain, plain), _Cutter(rounded, plain)
    asked = [_reads([nodes[name] for name in s.nodes], constants) for s in segments]
    found = []
    for k, segment in enumerate(segments):
        later = ends.union(*asked[k + 1 :])
        made = [name for node in segment.nodes for name in nodes[node].output]
        makes = tuple(name for name in made if name in later)
        reads = tuple(asked[k])
        found.append(
            Slice(
                segment,
                reads,
                makes,
                float_cutter.cut(reads, makes),
                rounded_cutter.cut(reads, makes) if segment.unit else None,
            )
        )
    return found


class _Cutter:
    """Takes parts out of one graph; the types of tensors come from the float graph."""

    def __init__(self, model: Any, plain: Any) -> None:
        self._opsets = list(model.opset_import)
        self._ir_version = model.ir_version
        self._constants = {tensor.name: tensor for tensor in model.graph.initializer}
        self._order = {node.output[0]: k for k, node in enumerate(model.graph.node)}
        self._makers = {out: node for node in model.graph.node for out in node.output}
        pairs = {n.input[0]: n.output[0] for n in model.graph.node if n.op_type == "QuantizeLinear"}
        undone = {n.input[0]: n.output[0] for n in model.graph.node if n.op_type == "DequantizeLinear"}
        self._rounded = {tensor: undone[pairs[tensor]] for tensor in pairs if pairs[tensor] in undone}
        infos = [*plain.graph.value_info, *plain.graph.input, *plain.graph.output]
        self._types = {info.name: info for info in infos}

    def cut(self, reads: tuple[str, ...], makes: tuple[str, ...]) -> bytes:
        """The part that makes `makes` from `reads`; outputs in that order, rounded where there is a pair."""
        import onnx

        outputs = [self._rounded.get(name, name) for name in makes]
        nodes, used, left = {}, {}, list(outputs)
        while left:
            name = left.pop()
            if name in self._constants:
                used[name] = self._constants[name]
            elif name and name not in reads and (node := self._makers[name]).output[0] not in nodes:
                nodes[node.output[0]] = node
                left += node.input
        graph = onnx.helper.make_graph(
            sorted(nodes.values(), key=lambda node: self._order[node.output[0]]),
            "segment",
            [self._types[name] for name in reads],
            [self._output(name, raw) for name, raw in zip(outputs, makes, strict=True)],
            list(used.values()),
        )
        model = onnx.helper.make_model(graph, opset_imports=self._opsets, ir_version=self._ir_version)
        return bytes(model.SerializeToString())

    def _output(self, name: str, raw: str) -> Any:
        import onnx

        info = onnx.ValueInfoProto()
        info.CopyFrom(self._types[raw])
        info.name = name
        return info


def _reads(nodes: list[Any], constants: set[str]) -> list[str]:
    """What these nodes take from others, once each, in order."""
    made = {out for node in nodes for out in node.output}
    names = [name for node in nodes for name in node.input if name and name not in constants | made]
    return list(dict.fromkeys(names))
