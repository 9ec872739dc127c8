"""Numbers that FP16 does not hold: 65504 is its largest."""

from collections.abc import Iterator
from typing import Final

import numpy as np

from edgecam_engines.lint.finding import Finding, Severity
from edgecam_engines.lint.graph import Graph, attribute, named

LARGEST: Final = 65504.0
_INT8_MOST: Final = 127
_SUMS: Final = frozenset({"ReduceSum", "MatMul", "Einsum", "ReduceL1", "Gemm"})
_POSITIVE: Final = frozenset({"Relu", "Elu", "Exp", "Softplus"})
_KEEP: Final = (
    "Keep this part in FP32, as edgecam's fp16 file does (`edgecam build-engine`), or do not use FP16."
)


def large_constants(graph: Graph) -> Iterator[Finding]:
    """Weights and other constants that become infinite, or are no numbers already."""
    for name in graph.constants:
        values = graph.array(name)
        if values is None or values.dtype.kind != "f" or not values.size:
            continue
        readers = graph.readers.get(name, [])
        node = named(readers[0]) if readers else "the model"
        if not np.isfinite(values).all():
            what = f"{name} holds values that are not finite"
            yield Finding("not-finite", "error", node, what, "Train or export again; no engine mends this.")
        elif (most := float(np.abs(values.astype(np.float64)).max())) > LARGEST:
            what = f"{name} reaches {most:.3g}, and FP16 ends at 65504"
            yield Finding("fp16-constant", "warning", node, what, _KEEP)


def denominators(graph: Graph) -> Iterator[Finding]:
    """Divisions by a sum over positive features, as in ReLU linear attention: the sum overflows in FP16.

    Source: mit-han-lab/efficientvit#15, #110 and #142.
    """
    from onnx import TensorProto

    halved = any(tensor.data_type == TensorProto.FLOAT16 for tensor in graph.constants.values())
    for node in graph.nodes:
        if node.op_type != "Div" or len(node.input) < 2 or node.input[1] in graph.constants:
            continue
        leading = list(graph.upstream(node.input[1], frozenset({"Conv", "Cast", "DequantizeLinear"})))
        kinds = {above.op_type for above in leading}
        if not (kinds & _SUMS and kinds & _POSITIVE):
            continue
        casts = [attribute(above, "to") for above in leading if above.op_type == "Cast"]
        if halved and TensorProto.FLOAT in casts and TensorProto.FLOAT16 not in casts:
            continue  # in an island of FP32
        severity: Severity = "warning" if halved else "note"
        told = (
            "is summed in FP16 and" if halved else "would overflow if the whole graph became FP16, since it"
        )
        yield Finding(
            "fp16-denominator",
            severity,
            named(node),
            f"its denominator {node.input[1]} {told} is a sum over all places, which may pass 65504",
            _KEEP,
        )


def large_scales(graph: Graph) -> Iterator[Finding]:
    """A scale whose INT8 range FP16 does not hold: dequantized to FP16 it is infinite."""
    for node in graph.nodes:
        if node.op_type not in {"QuantizeLinear", "DequantizeLinear"} or len(node.input) < 2:
            continue
        scale = graph.array(node.input[1])
        if scale is None or not scale.size or scale.dtype.kind != "f":
            continue
        reach = float(np.abs(scale.astype(np.float64)).max()) * _INT8_MOST
        if reach > LARGEST:
            what = f"its scale {node.input[1]} covers values to {reach:.3g}, and FP16 ends at 65504"
            todo = "Calibrate with a percentile, or keep what reads it in FP32."
            yield Finding("fp16-scale", "warning", named(node), what, todo)
        elif not (scale.astype(np.float64) > 0).all():
            what = f"its scale {node.input[1]} is not above 0"
            yield Finding("scale", "error", named(node), what, "Calibrate again, with photos that differ.")
