"""Each rule on a model that breaks it and on one that does not, NVIDIA's parser as the second opinion."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from edgecam_engines.errors import EngineError
from edgecam_engines.lint import Finding, lint_model, lint_with_parser, told
from edgecam_engines.lint.operators import UNSUPPORTED
from edgecam_engines.tensorrt.build import CPU_TARGET, build_plan
from engines.trt_models import PRECISIONS, small_model, write_model, write_quantized


@pytest.fixture(scope="module")
def rtx() -> Any:
    """NVIDIA's parser, which needs no GPU."""
    return pytest.importorskip(
        "tensorrt_rtx", reason="needs the package tensorrt-rtx-cu12, whose builder runs without a GPU"
    )


def saved(model: onnx.ModelProto, folder: Path) -> Path:
    path = folder / "model.onnx"
    onnx.save(model, path)
    return path


def found(model: onnx.ModelProto, folder: Path) -> list[Finding]:
    return lint_model(saved(model, folder))


def rules(findings: list[Finding]) -> set[tuple[str, str]]:
    return {(finding.rule, finding.severity) for finding in findings}


def model_of(
    nodes: list[onnx.NodeProto], constants: dict[str, Any], *, out: list[Any] | None = None
) -> onnx.ModelProto:
    """image (uint8) -> ... -> features (float) by these nodes."""
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, ["n", 16, 16, 3])],
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, out or ["n", 3, 16, 16])],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)


def to_float() -> list[onnx.NodeProto]:
    return [
        helper.make_node("Cast", ["image"], ["numbers"], "to_numbers", to=TensorProto.FLOAT),
        helper.make_node("Transpose", ["numbers"], ["x"], "to_planes", perm=[0, 3, 1, 2]),
    ]


@pytest.mark.parametrize("precision", PRECISIONS)
def test_what_edgecam_makes_has_no_error_in_any_precision(tmp_path: Path, precision: str, rtx: Any) -> None:
    path = write_model(tmp_path, precision)
    assert rules(lint_model(path)) == {("uint8-moved", "note")}
    assert lint_with_parser(path, rtx) == []


def test_an_int32_bias_is_named_as_the_parser_names_it(tmp_path: Path, rtx: Any) -> None:
    path = write_quantized(tmp_path, tmp_path / "int8.onnx", bias=True)
    (finding,) = [finding for finding in lint_model(path) if finding.rule == "int32-bias"]
    assert finding.severity == "error"
    assert "QuantizeBias=False" in finding.todo
    assert finding.node in {theirs.node for theirs in lint_with_parser(path, rtx)}


def quantized(zero_point: Any, scale: float = 0.1) -> onnx.ModelProto:
    nodes = [
        *to_float(),
        helper.make_node("QuantizeLinear", ["x", "scale", "zero"], ["q"], "quantize"),
        helper.make_node("DequantizeLinear", ["q", "scale", "zero"], ["features"], "dequantize"),
    ]
    return model_of(nodes, {"scale": np.float32(scale), "zero": zero_point})


@pytest.mark.parametrize("zero_point", [np.int8(3), np.uint8(128)])
def test_zero_points_that_the_parser_refuses_are_errors(tmp_path: Path, zero_point: Any, rtx: Any) -> None:
    model = quantized(zero_point)
    assert ("zero-point", "error") in rules(found(model, tmp_path))
    assert lint_with_parser(tmp_path / "model.onnx", rtx) != []


def test_an_unsigned_zero_is_a_warning_since_parsers_differ(tmp_path: Path) -> None:
    assert rules(found(quantized(np.uint8(0)), tmp_path)) == {("zero-point", "warning")}


def test_a_symmetric_zero_point_is_none_of_its_business(tmp_path: Path, rtx: Any) -> None:
    assert found(quantized(np.int8(0)), tmp_path) == []
    assert lint_with_parser(tmp_path / "model.onnx", rtx) == []


def test_a_zero_point_that_is_computed_is_an_error(tmp_path: Path) -> None:
    model = quantized(np.int8(0))
    node = helper.make_node("Identity", ["zero"], ["computed"])
    model.graph.node.insert(0, node)
    model.graph.node[3].input[2] = "computed"
    (finding,) = found(model, tmp_path)
    assert "computed" in finding.what


def test_nodes_of_the_qoperator_format_are_named(tmp_path: Path) -> None:
    node = helper.make_node("QLinearConv", list("abcdefgh"), ["features"], "look")
    (finding,) = found(model_of([*to_float(), node], {}), tmp_path)
    assert (finding.rule, finding.severity, finding.node) == ("qoperator", "error", "look (QLinearConv)")


def test_operators_that_nvidia_has_nothing_for_are_those_of_its_own_parser(rtx: Any) -> None:
    logger = rtx.Logger(rtx.Logger.ERROR)
    network = rtx.Builder(logger).create_network(0)
    parser = rtx.OnnxParser(network, logger)
    known = {schema.name for schema in onnx.defs.get_all_schemas() if schema.domain == ""}
    assert {name for name in known if not parser.supports_operator(name)} <= UNSUPPORTED
    assert not any(parser.supports_operator(name) for name in UNSUPPORTED)


@pytest.mark.parametrize(("op", "domain"), [("Det", ""), ("Anything", "my.company")])
def test_unsupported_operators_are_named(tmp_path: Path, op: str, domain: str) -> None:
    node = helper.make_node(op, ["x"], ["features"], "odd", domain=domain)
    (finding,) = found(model_of([*to_float(), node], {}), tmp_path)
    assert (finding.rule, finding.severity, finding.node) == ("unsupported-op", "error", f"odd ({op})")


def test_operators_inside_a_branch_are_seen(tmp_path: Path) -> None:
    branch = helper.make_graph([helper.make_node("Det", ["x"], ["y"], "deep")], "b", [], [])
    node = helper.make_node("If", ["c"], ["features"], "choose", then_branch=branch, else_branch=branch)
    assert {finding.node for finding in found(model_of([*to_float(), node], {}), tmp_path)} == {"deep (Det)"}


@pytest.mark.parametrize(
    ("sides", "fine"),
    [
        (["n", 16, 16, 3], True),
        ([2, 16, 16, 3], True),
        (["n", "h", "w", 3], False),
        (["n", None, 16, 3], False),
    ],
)
def test_only_the_batch_may_be_open(tmp_path: Path, sides: list[Any], fine: bool) -> None:
    model = model_of([*to_float(), helper.make_node("Relu", ["x"], ["features"], "last")], {})
    model.graph.input[0].CopyFrom(helper.make_tensor_value_info("image", TensorProto.UINT8, sides))
    assert (("dynamic-dims", "error") not in rules(found(model, tmp_path))) == fine


def moved(*, twice: bool) -> onnx.ModelProto:
    model = small_model()
    if twice:
        model.graph.node.insert(0, helper.make_node("Shape", ["image"], ["shape"], "measure"))
    return model


def test_bytes_that_are_moved_first_are_a_note_where_edgecam_turns_it_around(tmp_path: Path) -> None:
    (finding,) = found(moved(twice=False), tmp_path)
    assert (finding.rule, finding.severity, finding.node) == ("uint8-moved", "note", "to_planes (Transpose)")


def test_bytes_that_something_else_reads_too_are_an_error_for_the_parser_as_well(
    tmp_path: Path, rtx: Any
) -> None:
    findings = found(moved(twice=True), tmp_path)
    assert {(f.severity, f.node) for f in findings if f.rule == "uint8-moved"} == {
        ("error", "measure (Shape)"),
        ("error", "to_planes (Transpose)"),
    }
    assert lint_with_parser(tmp_path / "model.onnx", rtx) != []


@pytest.mark.parametrize(
    ("node", "out", "named"),
    [
        (helper.make_node("GlobalAveragePool", ["x"], ["features"], "pool"), ["n", 3, 1, 1], "pool ("),
        (helper.make_node("Flatten", ["x"], ["features"], "flat"), ["n", 768], "flat ("),
        (helper.make_node("ReduceMean", ["x", "axes"], ["features"], "mean"), ["n", 3], "mean ("),
    ],
)
def test_a_model_that_ends_in_scores_is_told_where_its_places_went(
    tmp_path: Path, node: Any, out: list[Any], named: str
) -> None:
    (finding,) = found(model_of([*to_float(), node], {"axes": np.array([2, 3])}, out=out), tmp_path)
    assert (finding.rule, finding.severity) == ("cam-identity", "error")
    assert finding.node.startswith(named)


def test_features_in_integers_have_no_maps(tmp_path: Path) -> None:
    model = model_of([*to_float(), helper.make_node("Relu", ["x"], ["features"], "last")], {})
    model.graph.output[0].type.tensor_type.elem_type = TensorProto.INT8
    assert rules(found(model, tmp_path)) == {("cam-identity", "error")}


def test_a_map_beside_scores_is_for_other_tools(tmp_path: Path) -> None:
    model = model_of([*to_float(), helper.make_node("Relu", ["x"], ["features"], "last")], {})
    model.graph.output.append(helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 3]))
    assert rules(found(model, tmp_path)) == {("cam-identity", "warning")}


def test_a_model_without_an_output_has_no_maps(tmp_path: Path) -> None:
    model = model_of([*to_float(), helper.make_node("Relu", ["x"], ["features"], "last")], {})
    del model.graph.output[:]
    assert rules(found(model, tmp_path)) == {("cam-identity", "error")}


@pytest.mark.parametrize(
    ("weight", "expected"),
    [
        (65504.0, set()),
        (65520.0, {("fp16-constant", "warning")}),
        (-1e30, {("fp16-constant", "warning")}),
        (np.inf, {("not-finite", "error")}),
        (np.nan, {("not-finite", "error")}),
    ],
)
def test_constants_that_fp16_does_not_hold_are_named(
    tmp_path: Path, weight: float, expected: set[tuple[str, str]]
) -> None:
    """65504 is the largest that is held; from 65520 on the nearest FP16 is infinite."""
    node = helper.make_node("Mul", ["x", "weight"], ["features"], "scale")
    findings = found(model_of([*to_float(), node], {"weight": np.float32(weight)}), tmp_path)
    assert rules(findings) == expected
    assert {finding.node for finding in findings} <= {"scale (Mul)"}


def attention(half: bool) -> onnx.ModelProto:
    """q (k^T v) / (q sum k) over ReLU features."""
    first = TensorProto.FLOAT16 if half else TensorProto.FLOAT
    nodes = [
        helper.make_node("Cast", ["image"], ["numbers"], "to_numbers", to=first),
        helper.make_node("Transpose", ["numbers"], ["x"], "to_planes", perm=[0, 3, 1, 2]),
        helper.make_node("Conv", ["x", "w"], ["k"], "key"),
        helper.make_node("Relu", ["k"], ["positive"], "phi"),
        helper.make_node("ReduceSum", ["positive", "axes"], ["total"], "total"),
        helper.make_node("Div", ["x", "total"], ["ratio"], "normalise"),
        helper.make_node("Cast", ["ratio"], ["features"], "back", to=TensorProto.FLOAT),
    ]
    weight = np.ones((3, 3, 1, 1), np.float16 if half else np.float32)
    return model_of(nodes, {"w": weight, "axes": np.array([2, 3])})


@pytest.mark.parametrize(("half", "severity"), [(True, "warning"), (False, "note")])
def test_a_denominator_over_all_places_is_a_risk_in_fp16(tmp_path: Path, half: bool, severity: str) -> None:
    (finding,) = found(attention(half), tmp_path)
    assert (finding.rule, finding.severity) == ("fp16-denominator", severity)
    assert finding.node == "normalise (Div)"


def test_a_denominator_in_an_island_of_fp32_is_none(tmp_path: Path) -> None:
    model = attention(half=True)
    model.graph.node.insert(3, helper.make_node("Cast", ["k"], ["wide"], "widen", to=TensorProto.FLOAT))
    model.graph.node[4].input[0] = "wide"
    assert found(model, tmp_path) == []


def test_a_scale_that_fp16_cannot_reach_and_one_that_is_none_are_named(tmp_path: Path) -> None:
    assert rules(found(quantized(np.int8(0), scale=600.0), tmp_path)) == {("fp16-scale", "warning")}
    assert rules(found(quantized(np.int8(0), scale=515.0), tmp_path)) == set()
    assert rules(found(quantized(np.int8(0), scale=0.0), tmp_path)) == {("scale", "error")}


def test_every_finding_names_a_node_and_what_to_do(tmp_path: Path) -> None:
    findings = found(moved(twice=True), tmp_path) + found(attention(half=True), tmp_path)
    assert all(finding.node and finding.what and finding.todo.endswith(".") for finding in findings)
    assert len(told(findings).splitlines()) == 2 * len(findings)


@pytest.mark.parametrize("content", [None, b"", b"\xff\xffnot onnx", b"\x08\x07"])
def test_what_is_no_model_is_an_engine_error(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "model.onnx").write_bytes(content)
    with pytest.raises(EngineError, match=r"cannot be read as ONNX"):
        lint_model(tmp_path / "model.onnx")


# -- files from anywhere

BASES: list[Callable[[], onnx.ModelProto]] = [
    small_model,
    lambda: quantized(np.int8(3)),
    lambda: attention(half=True),
    lambda: moved(twice=True),
]
spoils = st.lists(st.tuples(st.integers(0, 1 << 20), st.integers(0, 255)), min_size=1, max_size=30)


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(base=st.sampled_from(range(len(BASES))), spoil=spoils)
@example(base=0, spoil=[(0, 0)])
def test_a_spoilt_file_gives_findings_or_an_engine_error(
    tmp_path: Path, base: int, spoil: list[tuple[int, int]]
) -> None:
    content = bytearray(BASES[base]().SerializeToString())
    for place, value in spoil:
        content[place % len(content)] = value
    (tmp_path / "model.onnx").write_bytes(content)
    try:
        findings = lint_model(tmp_path / "model.onnx")
    except EngineError:
        return
    assert all(isinstance(finding, Finding) for finding in findings)


def test_a_graph_that_goes_round_and_nodes_without_anything_end(tmp_path: Path) -> None:
    model = model_of(
        [
            helper.make_node("Transpose", ["image"], ["image"]),
            helper.make_node("Div", ["x", "y"], ["y"]),
            helper.make_node("Relu", [], []),
            helper.make_node("DequantizeLinear", [], []),
            helper.make_node("QuantizeLinear", ["a", "", ""], [""]),
            helper.make_node("Constant", [], ["c"]),
        ],
        {},
    )
    huge = model.graph.initializer.add(name="huge", data_type=TensorProto.FLOAT, dims=[1 << 40, 1 << 40])
    assert huge.name == "huge"
    minus = model.graph.initializer.add(name="minus", data_type=TensorProto.FLOAT, dims=[-1])
    minus.raw_data = b"\x00" * 4
    model.graph.initializer.add(name="kind", data_type=9999, dims=[1])
    found(model, tmp_path)


def test_weights_in_another_file_are_not_followed(tmp_path: Path) -> None:
    """Wherever the model says that it is: reading would go there."""
    node = helper.make_node("Mul", ["x", "weight"], ["features"], "scale")
    model = model_of([*to_float(), node], {})
    weight = model.graph.initializer.add(name="weight", data_type=TensorProto.FLOAT, dims=[1])
    weight.data_location = TensorProto.EXTERNAL
    weight.external_data.add(key="location", value="/dev/zero")
    assert found(model, tmp_path) == []


def test_of_twenty_thousand_wrong_nodes_the_first_hundred_are_told(tmp_path: Path) -> None:
    nodes = [helper.make_node("Det", ["x"], [f"y{i}"], f"odd {i}") for i in range(20_000)]
    findings = found(model_of([*to_float(), *nodes], {}), tmp_path)
    assert [finding.node for finding in findings] == [f"odd {i} (Det)" for i in range(100)]


def test_what_the_rules_call_an_error_the_builder_refuses(tmp_path: Path, rtx: Any) -> None:
    """And what they take, it builds: on every model of this file that is whole."""
    for number, make in enumerate(BASES):
        path = tmp_path / f"{number}.onnx"
        onnx.save(make(), path)
        errors = [finding for finding in lint_model(path) if finding.severity == "error"]
        try:
            build_plan(path, path.with_suffix(".plan"), trt=rtx, target=CPU_TARGET, precision="fp32")
            refused = False
        except EngineError:
            refused = True
        assert refused == bool(errors), path
