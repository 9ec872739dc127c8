"""The class head as nodes of the graph: logits, class activation maps and probabilities come out.

cam = W F (a 1 x 1 convolution, no bias); logits = W mean(F) + b, so mean(cam) + b == logits here too.
"""

from typing import Any

from edgecam_engines.errors import EngineError
from edgecam_engines.head import Head

OUTPUTS = ("logits", "cam", "probabilities")
_OURS = "edgecam_head_"  # before every name that is added


def append_head(model: Any, head: Head, *, probabilities: bool) -> Any:
    """Replace the features output by logits (n, classes), cam (n, classes, gh, gw) and, where asked,
    probabilities (n, classes), all float32. The model is changed and returned.

    Raises EngineError when the graph does not end in one float feature map (n, d, gh, gw).
    """
    import onnx
    from onnx import TensorProto, helper, numpy_helper
    from onnxruntime.transformers.onnx_model import OnnxModel

    if head.remembered is not None:
        raise EngineError(
            "This head remembers photos (method cache), which is more than a graph's one matrix can hold.\n"
            "Fit it by another method first:\n    edgecam teach BUNDLE --method auto"
        )
    graph = model.graph
    n, d, gh, gw = _feature_shape(graph)
    if isinstance(d, int) and d != head.weight.shape[1]:
        raise EngineError(
            f"The graph gives {d} features, and the head reads {head.weight.shape[1]}: they are no pair."
        )
    _rename(graph, OUTPUTS)
    features = graph.output[0].name
    classes = len(head.classes)
    constants = {
        "rows": head.weight[:, :, None, None],
        "weight": head.weight,
        "bias": head.bias,
        "temperature": head.weight.dtype.type(head.temperature),
    }
    nodes = [
        ("Conv", [features, "rows"], "cam", {}),
        ("GlobalAveragePool", [features], "mean", {}),
        ("Flatten", ["mean"], "pooled", {}),
        ("Gemm", ["pooled", "weight", "bias"], "logits", {"transB": 1}),
    ]
    shapes = {"logits": [n, classes], "cam": [n, classes, gh, gw]}
    if probabilities:
        nodes += [
            ("Div", ["logits", "temperature"], "scaled", {}),
            ("Softmax", ["scaled"], "probabilities", {"axis": 1}),
        ]
        shapes["probabilities"] = [n, classes]
    used = {name for _, names, _, _ in nodes for name in names}
    for name, values in constants.items():
        if name in used:
            graph.initializer.append(numpy_helper.from_array(values, f"{_OURS}{name}"))
    for kind, inputs, made, attributes in nodes:
        ends = [name if name in (features, *OUTPUTS) else f"{_OURS}{name}" for name in (*inputs, made)]
        graph.node.append(helper.make_node(kind, ends[:-1], ends[-1:], f"{_OURS}{kind}_{made}", **attributes))
    del graph.output[:]
    graph.output.extend(
        helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in shapes.items()
    )
    OnnxModel(model).topological_sort(is_deterministic=True)  # the quantizer leaves nodes out of order
    onnx.checker.check_model(model, full_check=True)
    return model


def _feature_shape(graph: Any) -> list[int | str | None]:
    """(n, d, gh, gw) of the one output; a free side is its name or None."""
    from onnx import TensorProto

    kinds = [output.type.tensor_type for output in graph.output]
    if len(kinds) != 1 or kinds[0].elem_type != TensorProto.FLOAT or len(kinds[0].shape.dim) != 4:
        raise EngineError("The graph does not end in one float feature map (n, d, gh, gw).")
    return [
        dim.dim_value if dim.HasField("dim_value") else dim.dim_param or None for dim in kinds[0].shape.dim
    ]


def _rename(graph: Any, taken: tuple[str, ...]) -> None:
    """Make room for our outputs where the graph has tensors of these names inside."""
    for node in graph.node:
        for names in (node.input, node.output):
            for place, name in enumerate(names):
                if name in taken:
                    names[place] = f"{name}_inside"
    for part in (*graph.initializer, *graph.value_info, *graph.input, *graph.output):
        if part.name in taken:
            part.name = f"{part.name}_inside"
