"""All rules over one file."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

from edgecam_engines.lint import numbers, operators, quantization, shapes
from edgecam_engines.lint.finding import Finding
from edgecam_engines.lint.graph import Graph
from edgecam_engines.onnx_file import look_into_onnx, read_onnx

_MOST_OF_A_KIND: Final = 100  # findings of one rule; a hostile file has a million nodes

RULES: Final[dict[str, Callable[[Graph], Iterator[Finding]]]] = {
    "int32-bias": quantization.int32_bias,
    "zero-point": quantization.zero_point,
    "qoperator": quantization.qoperator,
    "unsupported-op": operators.unsupported,
    "dynamic-dims": shapes.dynamic_sides,
    "uint8-moved": shapes.bytes_moved,
    "cam-identity": shapes.cam_identity,
    "fp16-constant": numbers.large_constants,
    "fp16-denominator": numbers.denominators,
    "scale": numbers.large_scales,
}


def lint_model(path: Path) -> list[Finding]:
    """What the rules find in an ONNX file, in their order. Raises EngineError when it is not ONNX."""
    graph = Graph(look_into_onnx(path))
    found: list[Finding] = []
    for rule in RULES.values():
        for number, finding in enumerate(rule(graph)):
            if number == _MOST_OF_A_KIND:
                break
            found.append(finding)
    return found


def lint_with_parser(path: Path, trt: Any) -> list[Finding]:
    """What NVIDIA's own parser refuses, `trt` being a module whose parser works here (tensorrt_rtx does).

    Raises EngineError when the file is not ONNX.
    """
    from edgecam_engines.tensorrt.graph import cast_first
    from edgecam_engines.tensorrt.watch import logger_of

    logger = logger_of(trt)
    builder = trt.Builder(logger)
    network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    parser = trt.OnnxParser(network, logger)
    if parser.parse(cast_first(read_onnx(path), path.name)):
        return []
    errors = [parser.get_error(i) for i in range(parser.num_errors)]
    return [
        Finding(
            "parser",
            "error",
            f"{error.node_name() or f'node {error.node()}'} ({error.node_operator() or '?'})",
            f"NVIDIA's parser refuses it: {' '.join(error.desc().splitlines()[:1]).rstrip('.')}",
            "See the other findings for what to do; without one, export the node in another way.",
        )
        for error in errors
    ]
