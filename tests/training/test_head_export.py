"""Every head as a file: the network's numbers and maps in every precision, and NVIDIA's builder takes it."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, numpy_helper, shape_inference

from edgecam_calibration.fp16 import write_fp16
from edgecam_calibration.islands import before_divisions, fp32_islands
from edgecam_calibration.quantize import TENSORRT, Calibration, cpu_profile
from edgecam_engines.engine import Features, Frames
from edgecam_engines.head import Head, load_head, save_head
from edgecam_engines.onnxruntime import OnnxRuntimeEngine
from edgecam_engines.tensorrt.build import CPU_TARGET, build_plan
from edgecam_training.backbone import BACKBONES
from edgecam_training.export import export_onnx
from edgecam_training.heads import HEADS
from edgecam_training.model import Model
from training.head_kit import settled, tiny_body

HW = (64, 96)
FAST = {"Conv", "Clip", "Add", "Mul", "MatMul", "Softmax", "Reshape", "Transpose", "Cast", "Sub"}
MORE = {
    "linear-elu": {"Elu", "ReduceSum", "Div"},
    "linear-relu": {"Relu", "ReduceSum", "Div"},
    "moe": {"TopK", "Slice", "Less", "Where", "Unsqueeze"},
}


def frames_of(n: int) -> Frames:
    """Patches of colour, coarse over fine."""
    rng = np.random.default_rng(n)
    fine, coarse = (
        rng.integers(0, 128, (n, HW[0] // cell, HW[1] // cell, 3), dtype=np.uint8)
        .repeat(cell, 1)
        .repeat(cell, 2)
        for cell in (1, 32)
    )
    return fine + coarse


class Files(NamedTuple):
    """One head's network, and its files in every precision."""

    model: Model
    folder: Path

    def path(self, precision: str) -> Path:
        return self.folder / f"{precision}.onnx"

    def run(self, precision: str, frames: Frames) -> Features:
        """By ONNX Runtime; the TensorRT profile in float, as it is meant to be judged here."""
        fuse = precision != "int8-tensorrt"
        return OnnxRuntimeEngine(self.path(precision), name=precision, fuse=fuse).infer(frames)

    def by_torch(self, frames: Frames) -> Features:
        return self.model(torch.from_numpy(frames)).numpy()


@pytest.fixture(scope="module")
def files_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Files]:
    """files_of(head); each is made once."""
    made: dict[str, Files] = {}

    def make(head: str) -> Files:
        with pytest.MonkeyPatch.context() as patch:
            patch.setitem(BACKBONES, "tiny", tiny_body)
            files = Files(settled("tiny", head, frames_of(16)), tmp_path_factory.mktemp(head))
        export_onnx(files.model, HW, files.path("fp32"))
        write_fp16(files.path("fp32"), files.path("fp16"))
        calibration = Calibration(files.path("fp32"), [frames_of(16)])
        calibration.write(cpu_profile(), files.path("int8-cpu"))
        calibration.write(TENSORRT, files.path("int8-tensorrt"))
        return files

    return lambda head: made[head] if head in made else made.setdefault(head, make(head))


@pytest.fixture(params=HEADS)
def files(request: pytest.FixtureRequest, files_of: Callable[[str], Files]) -> Files:
    return files_of(request.param)


@pytest.fixture(params=["linear-elu", "linear-relu"])
def dividing(request: pytest.FixtureRequest, files_of: Callable[[str], Files]) -> Files:
    """Heads whose attention divides."""
    return files_of(request.param)


@pytest.mark.parametrize("n", [1, 3])
def test_the_graph_gives_the_networks_features(files: Files, n: int) -> None:
    frames = frames_of(n)
    expected = files.by_torch(frames)
    assert expected.std(axis=(0, 2, 3)).mean() > 0.2  # they depend on the frame and the place
    np.testing.assert_allclose(files.run("fp32", frames), expected, atol=1e-4, rtol=0)


@pytest.mark.parametrize("head", HEADS)
def test_the_graph_holds_few_and_static_operators(files_of: Callable[[str], Files], head: str) -> None:
    graph = onnx.load(files_of(head).path("fp32")).graph
    assert {node.op_type for node in graph.node} <= FAST | MORE.get(head, set())


def test_how_many_experts_are_kept_is_a_constant_of_the_graph(files_of: Callable[[str], Files]) -> None:
    graph = onnx.load(files_of("moe").path("fp32")).graph
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    (topk,) = [node for node in graph.node if node.op_type == "TopK"]
    assert constants[topk.input[1]].tolist() == [2]


@pytest.mark.parametrize(
    ("precision", "most"), [("fp32", 1e-4), ("fp16", 0.1), ("int8-cpu", 0.5), ("int8-tensorrt", 0.5)]
)
def test_features_stay_near_the_networks_in_every_precision(
    files: Files, precision: str, most: float
) -> None:
    """Relative L2. A net this narrow, untrained, is a hard one for INT8."""
    frames = frames_of(5)
    expected = files.by_torch(frames)
    off = np.linalg.norm(files.run(precision, frames) - expected)
    assert off / np.linalg.norm(expected - expected.mean(axis=(0, 2, 3), keepdims=True)) < most


@pytest.mark.parametrize("precision", ["fp32", "fp16", "int8-cpu", "int8-tensorrt"])
def test_the_mean_of_a_map_and_the_bias_are_the_logit(files: Files, precision: str, tmp_path: Path) -> None:
    """In torch, and with the class head read back from its file and the features from any graph."""
    frames = frames_of(3)
    weight, bias = (part.numpy() for part in files.model.classify.effective())
    save_head(Head(weight, bias, tuple("abcd")), tmp_path / "head.safetensors")
    head = load_head(tmp_path / "head.safetensors")
    features = torch.from_numpy(files.by_torch(frames))
    logits = files.model.logits(features).numpy()
    maps = files.model.cams(features).numpy()
    np.testing.assert_allclose(maps.mean(axis=(2, 3)) + bias, logits, atol=1e-5)
    given = files.run(precision, frames)
    for k in range(4):
        means = head.cam(given, [k] * 3).mean(axis=(1, 2)) + bias[k]
        np.testing.assert_allclose(means, head.logits(given)[:, k], atol=1e-5)
        if precision == "fp32":
            np.testing.assert_allclose(means, logits[:, k], atol=1e-4)
            np.testing.assert_allclose(head.cam(given, [k] * 3), maps[:, k], atol=1e-4)


@pytest.mark.parametrize("precision", ["fp32", "fp16", "int8-tensorrt"])
def test_nvidias_builder_compiles_every_head(files: Files, precision: str, tmp_path: Path) -> None:
    trt = pytest.importorskip(
        "tensorrt_rtx", reason="needs the package tensorrt-rtx-cu12, whose builder runs without a GPU"
    )
    plan = tmp_path / "model.plan"
    build_plan(files.path(precision), plan, trt=trt, target=CPU_TARGET, precision=precision[:4])
    assert plan.stat().st_size > 10_000


# -- FP32 islands


def test_the_fp16_file_is_sound_onnx(files: Files) -> None:
    onnx.checker.check_model(onnx.load(files.path("fp16")), full_check=True)


def kinds_of(path: Path) -> dict[str, int]:
    """The element type of every tensor that a node makes."""
    graph = shape_inference.infer_shapes(onnx.load(path), strict_mode=True).graph
    return {info.name: info.type.tensor_type.elem_type for info in (*graph.value_info, *graph.output)}


def test_all_that_leads_to_a_division_is_fp32_in_the_fp16_file(dividing: Files) -> None:
    island = set(before_divisions(onnx.load(dividing.path("fp32"))))
    graph = onnx.load(dividing.path("fp16")).graph
    kinds, inside = kinds_of(dividing.path("fp16")), [node for node in graph.node if node.name in island]
    assert {"MatMul", "ReduceSum", "Add", "Div"} <= {node.op_type for node in inside}
    made = {output for node in inside for output in node.output}
    assert {kinds[name] for name in made} == {TensorProto.FLOAT}
    readers = {name: node for node in graph.node for name in node.input if node.op_type == "Cast"}
    rounded = {readers[name].output[0] for name in made if name in readers}
    assert not rounded & {name for node in inside for name in node.input}  # not even in passing
    convolutions = {kinds[node.output[0]] for node in graph.node if node.op_type == "Conv"}
    assert convolutions == {TensorProto.FLOAT16}


def test_nothing_that_leads_to_a_division_is_quantized(dividing: Files) -> None:
    island = set(before_divisions(onnx.load(dividing.path("fp32"))))
    for precision in ("int8-cpu", "int8-tensorrt"):
        graph = onnx.load(dividing.path(precision)).graph
        made = {name for node in graph.node if node.name in island for name in node.output}
        assert made
        assert not [n for n in graph.node if n.op_type == "QuantizeLinear" and n.input[0] in made]


def test_experts_are_chosen_in_fp32_in_the_fp16_file(files_of: Callable[[str], Files]) -> None:
    kinds = kinds_of(files_of("moe").path("fp16"))
    graph = onnx.load(files_of("moe").path("fp16")).graph
    for kind in ("TopK", "Where", "Softmax"):
        assert {kinds[node.output[0]] for node in graph.node if node.op_type == kind} == {TensorProto.FLOAT}


def test_heads_that_do_not_divide_have_no_island_but_their_softmax(files_of: Callable[[str], Files]) -> None:
    graph = onnx.load(files_of("linear").path("fp32"))
    assert before_divisions(graph) == []
    assert {name.split("_")[0] for name in fp32_islands(graph)} == {"Softmax"}


def test_a_division_by_a_constant_is_no_normaliser() -> None:
    """Else one hard-swish would keep half a backbone in FP32."""
    info, node = onnx.helper.make_tensor_value_info, onnx.helper.make_node
    shape = [1, 2, 4, 4]
    nodes = [
        node("Mul", ["x", "x"], ["square"], "square"),
        node("Div", ["square", "six"], ["sixth"], "by_six"),
        node("Add", ["x", "six"], ["more"], "more"),
        node("Div", ["sixth", "more"], ["y"], "by_more"),
        node("Mul", ["y", "y"], ["z"], "after"),
    ]
    six = [numpy_helper.from_array(np.float32(6), "six")]
    ends = [info("x", TensorProto.FLOAT, shape)], [info("z", TensorProto.FLOAT, shape)]
    graph = onnx.helper.make_graph(nodes, "g", *ends, six)
    assert before_divisions(onnx.helper.make_model(graph)) == ["square", "by_six", "more", "by_more"]
    del nodes[2:4]
    nodes[-1].input[:] = ["sixth", "sixth"]
    graph = onnx.helper.make_graph(nodes, "g", *ends, six)
    assert before_divisions(onnx.helper.make_model(graph)) == []


def test_fp16_files_stay_finite_where_denominators_pass_what_fp16_holds(
    dividing: Files, tmp_path: Path
) -> None:
    """Queries and keys a thousand times as large: their products end above 65504, and the answer does not."""
    model = onnx.load(dividing.path("fp32"))
    makers = {output: node for node in model.graph.node for output in node.output}
    kind = "Elu" if any(node.op_type == "Elu" for node in model.graph.node) else "Relu"
    phis = [node for node in model.graph.node if node.op_type == kind]
    weights = {tensor.name: tensor for tensor in model.graph.initializer}
    for phi in phis:
        conv = makers[makers[phi.input[0]].input[0]]
        for name in conv.input[1:]:
            weights[name].CopyFrom(numpy_helper.from_array(300 * numpy_helper.to_array(weights[name]), name))
    model.graph.output.append(
        onnx.helper.make_tensor_value_info(
            next(n for n in model.graph.node if n.op_type == "Div").input[1], TensorProto.FLOAT, None
        )
    )
    onnx.save(model, tmp_path / "probe.onnx")
    import onnxruntime as ort

    probe = ort.InferenceSession(tmp_path / "probe.onnx", providers=["CPUExecutionProvider"])
    expected, denominator = probe.run(None, {"frames": frames_of(2)})
    assert denominator.max() > 65504
    del model.graph.output[1:]
    onnx.save(model, tmp_path / "large.onnx")
    write_fp16(tmp_path / "large.onnx", tmp_path / "half.onnx")
    got = OnnxRuntimeEngine(tmp_path / "half.onnx", name="half", fuse=False).infer(frames_of(2))
    assert np.isfinite(got).all()
    assert np.linalg.norm(got - expected) / np.linalg.norm(expected) < 0.05
