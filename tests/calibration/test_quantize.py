"""The four models of one run: what is quantized how, and whether it still is the same network."""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, numpy_helper

from calibration.test_equalize import frames as random_frames
from calibration.test_equalize import random_net
from calibration.test_equalize import run as run_net
from conftest import Models
from edgecam_calibration.fp16 import write_fp16
from edgecam_calibration.quantization.ranges import METHODS
from edgecam_calibration.quantize import TENSORRT, Calibration, Profile, Recipe, cpu_profile
from edgecam_calibration.run import Run
from edgecam_engines.engine import Frames
from edgecam_engines.errors import DataError, EngineError
from edgecam_engines.onnxruntime import OnnxRuntimeEngine
from edgecam_engines.tensorrt.build import CPU_TARGET, build_plan
from engines.trt_models import small_model

X86 = "vendor_id\t: {vendor}\nflags\t\t: fpu sse sse2 avx2 {more}\n"
ARM = "processor\t: 0\nFeatures\t: fp asimd asimddp\nCPU implementer\t: 0x41\n"


class Quantizer:
    """One QuantizeLinear or DequantizeLinear, with its constants looked up."""

    def __init__(self, node: Any, constants: dict[str, Any]) -> None:
        self.node = node
        self.given, self.made = node.input[0], node.output[0]
        self.scale = constants[node.input[1]]
        self.zero_point = constants[node.input[2]]
        self.stored = constants.get(node.input[0])  # a weight or bias; None for an activation


class Graph:
    def __init__(self, path: Path) -> None:
        self.graph = onnx.load(path).graph
        self.constants = {t.name: numpy_helper.to_array(t) for t in self.graph.initializer}
        self.nodes = list(self.graph.node)
        self.quantizers = [Quantizer(n, self.constants) for n in self.of("QuantizeLinear")]
        self.dequantizers = [Quantizer(n, self.constants) for n in self.of("DequantizeLinear")]

    def of(self, kind: str) -> list[Any]:
        return [node for node in self.nodes if node.op_type == kind]

    @property
    def weights(self) -> list[Quantizer]:
        return [q for q in self.dequantizers if q.stored is not None and q.stored.ndim > 1]

    @property
    def pinned(self) -> Quantizer:
        """What quantizes the centred bytes."""
        (centred,) = self.of("Sub")
        (found,) = [q for q in self.quantizers if q.given == centred.output[0]]
        return found


@pytest.fixture(scope="module")
def for_tensorrt(models: Models) -> Graph:
    return Graph(models.path("int8-tensorrt"))


@pytest.fixture(scope="module")
def for_cpu(models: Models) -> Graph:
    return Graph(models.path("int8-cpu"))


# -- one calibration, two profiles


def test_both_profiles_come_from_one_pass_over_the_photos(models: Models) -> None:
    assert models.passes == 1
    assert models.path("int8-cpu").read_bytes() != models.path("int8-tensorrt").read_bytes()


def test_both_profiles_rest_on_the_same_ranges(tmp_path: Path, net: Calibration) -> None:
    """Unsigned: 255 steps over the range. Symmetric: 127 steps over its larger half."""
    recipe = Recipe("min-max", centred=False)
    for profile in (TENSORRT, cpu_profile()):
        net.write(profile, tmp_path / profile.name, recipe=recipe)
    unsigned = {q.given: float(q.scale) * 255 for q in Graph(tmp_path / "int8-cpu").quantizers}
    signed = {q.given: float(q.scale) * 127 for q in Graph(tmp_path / "int8-tensorrt").quantizers}
    assert len(signed) > 6
    for name, half in signed.items():
        assert half * 0.999 <= unsigned[name] <= 2 * half * 1.01


def test_the_tensorrt_profile_is_symmetric_s8_throughout(for_tensorrt: Graph) -> None:
    assert for_tensorrt.quantizers
    for q in [*for_tensorrt.quantizers, *for_tensorrt.dequantizers]:
        assert q.zero_point.dtype == np.int8
        assert not q.zero_point.any()


def test_the_tensorrt_profile_leaves_biases_in_float(for_tensorrt: Graph) -> None:
    stored = [t for t in for_tensorrt.graph.initializer if t.data_type == TensorProto.INT32]
    assert stored == []
    produced = {output for node in for_tensorrt.nodes for output in node.output}
    biases = [node.input[2] for node in for_tensorrt.of("Conv") if len(node.input) > 2]
    assert len(biases) > 40
    assert not set(biases) & produced


def test_the_cpu_profile_has_unsigned_activations_and_signed_weights(for_cpu: Graph) -> None:
    assert {q.zero_point.dtype for q in for_cpu.quantizers} == {np.dtype(np.uint8)}
    assert {q.stored.dtype for q in for_cpu.weights} == {np.dtype(np.int8)}


@pytest.mark.parametrize("profile", ["int8-cpu", "int8-tensorrt"])
def test_weights_have_one_scale_a_channel(models: Models, profile: str) -> None:
    graph = Graph(models.path(profile))
    in_float = 1 if profile == "int8-tensorrt" else 2  # the stem's
    assert len(graph.weights) == len(graph.of("Conv")) - in_float
    for weight in graph.weights:
        assert weight.scale.shape == (weight.stored.shape[0],)


@pytest.mark.parametrize(("profile", "zero_point"), [(cpu_profile(), 127), (TENSORRT, 0)], ids=["cpu", "trt"])
def test_the_cameras_bytes_are_the_quantized_tensor(
    tmp_path: Path, calibrated: Calibration, profile: Profile, zero_point: int
) -> None:
    """Scale 1, and a zero point that undoes (or leaves) the centring by 127."""
    calibrated.write(profile, tmp_path / "int8.onnx")
    pinned = Graph(tmp_path / "int8.onnx").pinned
    assert (float(pinned.scale), int(pinned.zero_point)) == (1.0, zero_point)


def test_for_tensorrt_every_quantizer_has_a_convolution_to_read_it(for_tensorrt: Graph) -> None:
    """Any other rounds for nobody, and keeps a convolution from being fused with its ReLU6 or its sum."""
    readers = {name: node for node in for_tensorrt.of("Conv") for name in node.input[:1]}
    pairs = {q.given: q.made for q in for_tensorrt.dequantizers if q.stored is None}
    made = {q.made: pairs[q.made] for q in for_tensorrt.quantizers}
    assert len(made) > 40
    assert set(made.values()) <= set(readers)
    for clip in for_tensorrt.of("Clip"):
        assert clip.input[0] not in made.values()


def test_for_tensorrt_what_leaves_a_depthwise_relu6_has_zero_in_its_middle(for_tensorrt: Graph) -> None:
    """So that symmetric integers spend no steps on what cannot be."""
    depthwise = {node.output[0] for node in for_tensorrt.of("Conv") if group_of(node) > 1}
    scales = {q.given: float(q.scale) for q in for_tensorrt.quantizers}
    clips = [node for node in for_tensorrt.of("Clip") if node.input[0] in depthwise]
    assert len(clips) > 10
    for clip in clips:
        low, high = (float(for_tensorrt.constants[name]) for name in clip.input[1:])
        assert high - low == pytest.approx(6)
        assert scales[clip.output[0]] * 127 == pytest.approx(-low, rel=1e-3)


def group_of(node: Any) -> int:
    return next((a.i for a in node.attribute if a.name == "group"), 1)


def test_in_the_cpu_profile_the_range_of_the_quantizer_is_the_relu6(for_cpu: Graph) -> None:
    # Those of the stem's two convolutions, which stay in float; all others became a range.
    assert [node.name for node in for_cpu.of("Clip")] == ["Clip_0", "Clip_1"]
    rectified = [q for q in for_cpu.quantizers if int(q.zero_point) == 0]
    assert len(rectified) > 30
    for q in rectified:
        assert float(q.scale) * 255 <= 6.01


@pytest.mark.parametrize("profile", ["int8-cpu", "int8-tensorrt"])
def test_the_features_themselves_are_not_quantized(models: Models, profile: str) -> None:
    graph = Graph(models.path(profile))
    (last,) = [node for node in graph.nodes if graph.graph.output[0].name in node.output]
    assert last.op_type == "Add"
    assert not set(last.input) & {q.made for q in graph.dequantizers}


# -- the processor decides about the range of weights


@pytest.mark.parametrize(
    ("text", "halved"),
    [
        (X86.format(vendor="GenuineIntel", more="fma"), True),
        (X86.format(vendor="AuthenticAMD", more="fma"), True),
        (X86.format(vendor="HygonGenuine", more="fma"), True),
        (X86.format(vendor="GenuineIntel", more="avx512_vnni"), False),
        (X86.format(vendor="GenuineIntel", more="avx_vnni"), False),
        (ARM, False),
        (None, False),
    ],
    ids=["Intel", "AMD", "another x86", "AVX-512 VNNI", "AVX VNNI", "ARM", "not known"],
)
def test_weights_lose_a_bit_where_sums_would_saturate(tmp_path: Path, text: str | None, halved: bool) -> None:
    path = tmp_path / "cpuinfo"
    if text is not None:
        path.write_text(text)
    profile = cpu_profile(path)
    assert profile.reduce_range is halved
    assert not profile.signed


@pytest.fixture(scope="module")
def calibrated(tmp_path_factory: pytest.TempPathFactory) -> Calibration:
    """A model of one convolution: quick to write in any profile."""
    path = tmp_path_factory.mktemp("small") / "small.onnx"
    onnx.save(small_model(), path)
    rng = np.random.default_rng(0)
    return Calibration(path, [rng.integers(0, 256, (2, 16, 16, 3)).astype(np.uint8)])


@pytest.fixture(scope="module")
def net(tmp_path_factory: pytest.TempPathFactory) -> Calibration:
    """Inverted residuals, small."""
    path = tmp_path_factory.mktemp("net") / "net.onnx"
    onnx.save(random_net(1, blocks=2), path)
    return Calibration(path, [random_frames(8)])


def test_a_kept_convolution_stays_as_it_was(tmp_path: Path, net: Calibration) -> None:
    recipe = Recipe(equalized=False, centred=False)
    for profile in (TENSORRT, cpu_profile()):
        net.write(profile, tmp_path / "kept", kept=["deep0", "project1"], recipe=recipe)
        graph = Graph(tmp_path / "kept")
        original = {t.name: numpy_helper.to_array(t) for t in random_net(1, blocks=2).graph.initializer}
        for name in ("deep0", "project1"):
            (node,) = [node for node in graph.of("Conv") if node.name == name]
            np.testing.assert_array_equal(graph.constants[node.input[1]], original[node.input[1]])
            np.testing.assert_array_equal(graph.constants[node.input[2]], original[node.input[2]])
        assert len(graph.weights) == len(graph.of("Conv")) - 2


@pytest.mark.parametrize("bias_correction", [False, True])
@pytest.mark.parametrize("ranges", METHODS)
def test_every_recipe_gives_a_network_that_answers_nearly_alike(
    tmp_path: Path, net: Calibration, ranges: str, bias_correction: bool
) -> None:
    given = random_frames(8)
    wanted = run_net(random_net(1, blocks=2), given)
    for profile in (TENSORRT, replace(cpu_profile(), reduce_range=True)):
        for equalized, rounding in ((False, "nearest"), (True, "mse-mean"), (True, "outputs")):
            recipe = Recipe(ranges, equalized, rounding, equalized, bias_correction)
            net.write(profile, tmp_path / "int8.onnx", recipe=recipe)
            with closing(OnnxRuntimeEngine(tmp_path / "int8.onnx", name="int8", fuse=False)) as engine:
                got = engine.infer(given)
            assert np.linalg.norm(got - wanted) < 0.3 * np.linalg.norm(wanted), recipe


@pytest.mark.parametrize("end", ["deep1.r", "sum1", "features"])
def test_a_graph_may_end_in_anything_that_is_rounded(tmp_path: Path, end: str) -> None:
    """In a rectifier, a sum, a product: what it gives keeps its name and nearly its numbers."""
    graph = random_net(1, blocks=2)
    done = next(i for i, node in enumerate(graph.graph.node) if end in node.output)
    del graph.graph.node[done + 1 :]
    graph.graph.output[0].name = end
    onnx.save(graph, tmp_path / "net.onnx")
    given = random_frames(8)
    wanted = run_net(graph, given)
    for profile in (TENSORRT, cpu_profile()):
        Calibration(tmp_path / "net.onnx", [given]).write(profile, tmp_path / "int8.onnx")
        with closing(OnnxRuntimeEngine(tmp_path / "int8.onnx", name="int8", fuse=False)) as engine:
            got = engine.infer(given)
        assert np.linalg.norm(got - wanted) < 0.3 * np.linalg.norm(wanted), profile


@pytest.mark.parametrize("reduce", [True, False])
def test_reduced_weights_keep_to_seven_bits(tmp_path: Path, calibrated: Calibration, reduce: bool) -> None:
    path = tmp_path / "int8.onnx"
    calibrated.write(Profile("any", signed=False, reduce_range=reduce, quantize_bias=True), path)
    largest = max(np.abs(weight.stored.astype(int)).max() for weight in Graph(path).weights)
    assert largest <= 64 if reduce else largest >= 120


def test_writing_a_profile_changes_no_later_one(tmp_path: Path, calibrated: Calibration) -> None:
    for name, profile in (("a", TENSORRT), ("b", cpu_profile()), ("c", TENSORRT)):
        calibrated.write(profile, tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "c").read_bytes()


def test_calibrating_on_nothing_is_said_and_not_a_crash(tmp_path: Path) -> None:
    onnx.save(small_model(), tmp_path / "small.onnx")
    nothing: Iterator[Frames] = iter(())
    with pytest.raises(DataError, match="No calibration photo could be read"):
        Calibration(tmp_path / "small.onnx", nothing)


def test_a_graph_that_edgecam_did_not_export_is_refused(tmp_path: Path) -> None:
    model = small_model()
    model.graph.input[0].type.tensor_type.elem_type = TensorProto.FLOAT
    onnx.save(model, tmp_path / "other.onnx")
    with pytest.raises(EngineError, match=r"other\.onnx does not take one uint8 image"):
        Calibration(tmp_path / "other.onnx", iter(()))


# -- FP16


def test_softmax_stays_in_fp32_inside_the_fp16_graph(models: Models) -> None:
    graph = Graph(models.path("fp16"))
    halves = {t.name for t in graph.graph.initializer if t.data_type == TensorProto.FLOAT16}
    assert len(halves) > 40
    makers = {output: node for node in graph.nodes for output in node.output}
    assert graph.of("Softmax")
    for softmax in graph.of("Softmax"):
        cast = makers[softmax.input[0]]
        assert cast.op_type == "Cast"
        assert [a.i for a in cast.attribute if a.name == "to"] == [TensorProto.FLOAT]


@pytest.mark.parametrize("name", ["fp32", "fp16", "int8-cpu", "int8-tensorrt"])
def test_every_model_takes_bytes_and_gives_float32(models: Models, name: str) -> None:
    graph = Graph(models.path(name)).graph
    assert [i.type.tensor_type.elem_type for i in graph.input] == [TensorProto.UINT8]
    assert [o.type.tensor_type.elem_type for o in graph.output] == [TensorProto.FLOAT]
    assert graph.input[0].type.tensor_type.shape.dim[0].dim_param  # any batch


@pytest.mark.parametrize(
    ("name", "fuse", "most"),
    [("fp16", True, 0.01), ("int8-cpu", True, 0.35), ("int8-tensorrt", False, 0.25)],
)
def test_features_stay_close_to_those_of_fp32(
    models: Models, val_frames: Frames, name: str, fuse: bool, most: float
) -> None:
    """Relative L2, with the kernels that each model is meant for."""
    wanted = OnnxRuntimeEngine(models.path("fp32"), name="fp32").infer(val_frames[::4])
    got = OnnxRuntimeEngine(models.path(name), name=name, fuse=fuse).infer(val_frames[::4])
    centred = wanted - wanted.mean(axis=(0, 2, 3), keepdims=True)
    assert np.linalg.norm(got - wanted) / np.linalg.norm(centred) < most


def test_fp16_is_written_at_once_and_again_the_same(
    models: Models, finished_run: Run, tmp_path: Path
) -> None:
    write_fp16(finished_run.model, tmp_path / "fp16.onnx")
    assert (tmp_path / "fp16.onnx").read_bytes() == models.path("fp16").read_bytes()
    assert [p.name for p in tmp_path.iterdir()] == ["fp16.onnx"]


# -- NVIDIA's own builder


@pytest.mark.parametrize("name", ["fp32", "fp16", "int8-tensorrt"])
def test_nvidias_builder_compiles_the_models_of_a_run(models: Models, tmp_path: Path, name: str) -> None:
    trt = pytest.importorskip(
        "tensorrt_rtx", reason="needs the package tensorrt-rtx-cu12, whose builder runs without a GPU"
    )
    sidecar = build_plan(
        models.path(name),
        tmp_path / "model.plan",
        trt=trt,
        target=CPU_TARGET,
        precision=name.split("-", maxsplit=1)[0],
    )
    assert (tmp_path / "model.plan").stat().st_size > 1_000_000
    assert sidecar.profile[0] == [1, 96, 128, 3]
