"""Passes that must not change what a network computes, on random graphs and on the default network."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from edgecam_calibration.quantization.centre import centre
from edgecam_calibration.quantization.equalize import LARGEST, equalize, shared_channels
from edgecam_calibration.quantization.graph import constants
from edgecam_calibration.quantization.observe import observe
from edgecam_calibration.quantization.pairs import quantized_tensors
from edgecam_calibration.run import Run
from edgecam_engines.engine import Frames

HW = 12


def random_net(seed: int, *, blocks: int, bound: float | None = 6.0) -> onnx.ModelProto:
    """Inverted residuals whose channels have very unlike ranges."""
    rng = np.random.default_rng(seed)
    arrays: dict[str, NDArray[Any]] = {"mean": np.float32(127), "low": np.float32(0)}
    if bound is not None:
        arrays["high"] = np.float32(bound)
    nodes = [
        helper.make_node("Transpose", ["image"], ["planes"], "planes", perm=[0, 3, 1, 2]),
        helper.make_node("Cast", ["planes"], ["numbers"], "numbers", to=TensorProto.FLOAT),
        helper.make_node("Sub", ["numbers", "mean"], ["centred"], "centred"),
    ]

    def conv(given: str, name: str, o: int, i: int, *, kernel: int = 1, group: int = 1) -> str:
        unlike = np.exp(rng.normal(0, 1.2, (o, 1, 1, 1)))
        size = i // group * kernel**2
        weight = rng.normal(size=(o, i // group, kernel, kernel)) * unlike / np.sqrt(size)
        arrays[f"{name}.w"] = (weight / (40 if given == "centred" else 1)).astype(np.float32)
        arrays[f"{name}.b"] = (0.3 * rng.normal(size=o)).astype(np.float32)
        pads = [kernel // 2] * 4
        nodes.append(
            helper.make_node("Conv", [given, f"{name}.w", f"{name}.b"], [name], name, group=group, pads=pads)
        )
        return name

    def rectified(given: str) -> str:
        kind, more = ("Relu", []) if bound is None else ("Clip", ["low", "high"])
        nodes.append(helper.make_node(kind, [given, *more], [f"{given}.r"], f"{given}.r"))
        return f"{given}.r"

    trunk = conv("centred", "stem", 6, 3, kernel=3)
    for block in range(blocks):
        wide = rectified(conv(trunk, f"expand{block}", 10, 6))
        deep = rectified(conv(wide, f"deep{block}", 10, 10, kernel=3, group=10))
        narrow = conv(deep, f"project{block}", 6, 10)
        nodes.append(helper.make_node("Add", [narrow, trunk], [f"sum{block}"], f"sum{block}"))
        trunk = f"sum{block}"
    nodes.append(helper.make_node("Mul", [conv(trunk, "last", 4, 6), "two"], ["features"], "double"))
    arrays["two"] = np.float32(2)
    graph = helper.make_graph(
        nodes,
        "random",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, ["n", HW, HW, 3])],
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, ["n", 4, HW, HW])],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in arrays.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def frames(n: int = 6, seed: int = 0) -> Frames:
    return np.random.default_rng(seed).integers(0, 256, (n, HW, HW, 3)).astype(np.uint8)


def run(model: onnx.ModelProto, given: Frames) -> NDArray[np.float32]:
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, {session.get_inputs()[0].name: given})[0])


def ranges_of(model: onnx.ModelProto, folder: Path, given: Frames) -> Any:
    onnx.save(model, folder / "model.onnx")
    names = quantized_tensors(model)
    return observe(folder / "model.onnx", names, [given], rng=np.random.default_rng(0)).tensors


def close(got: NDArray[np.float32], wanted: NDArray[np.float32]) -> bool:
    return bool(np.abs(got - wanted).max() <= 1e-4 * np.abs(wanted).max() + 1e-5)


@settings(max_examples=12, deadline=None)
@given(seed=st.integers(0, 10_000), blocks=st.integers(0, 3), bound=st.sampled_from([None, 1.0, 6.0]))
def test_equalizing_changes_no_answer_to_anything(
    tmp_path_factory: pytest.TempPathFactory, seed: int, blocks: int, bound: float | None
) -> None:
    """Neither to what was observed nor to what was not."""
    model, other = random_net(seed, blocks=blocks, bound=bound), frames(4, seed=9)
    wanted = run(model, other)
    scales = equalize(model, ranges_of(model, tmp_path_factory.mktemp("net"), frames(1)))
    assert any((scale > 1).any() for scale in scales.values())
    assert close(run(model, other), wanted)


@pytest.mark.parametrize("bound", [None, 6.0])
def test_channels_are_more_alike_afterwards(tmp_path: Path, bound: float | None) -> None:
    model, given = random_net(3, blocks=2, bound=bound), frames()
    before = ranges_of(model, tmp_path, given)
    scales = equalize(model, before)
    after = ranges_of(model, tmp_path, given)

    def unlikeness(seen: Any, name: str) -> float:
        return float(np.std(np.log(np.maximum(seen[name].high, -seen[name].low) + 1e-6)))

    named = scales.keys() & before.keys()
    assert np.median([unlikeness(after, n) - unlikeness(before, n) for n in named]) < -0.2
    for scale in scales.values():
        assert (scale >= 1).all()
        assert (scale <= LARGEST).all()


def test_terms_of_a_sum_share_their_scales(tmp_path: Path) -> None:
    model = random_net(3, blocks=2)
    scales = equalize(model, ranges_of(model, tmp_path, frames()))
    for name in ("project0", "sum0", "project1", "sum1"):
        np.testing.assert_array_equal(scales[name], scales["stem"])


def test_what_leaves_the_graph_or_meets_another_operator_keeps_its_scale() -> None:
    named = {name for shared in shared_channels(random_net(0, blocks=1)) for name in shared.tensors}
    assert "stem" in named
    assert not named & {"image", "centred", "last", "features"}


def test_what_touches_a_relu6_keeps_its_scale() -> None:
    for bound, scaled in ((6.0, False), (None, True)):
        model = random_net(0, blocks=1, bound=bound)
        named = {name for shared in shared_channels(model) for name in shared.tensors}
        assert ({"expand0", "expand0.r", "deep0", "deep0.r"} <= named) is scaled
        assert "sum0" in named


def test_the_default_network_answers_as_before(finished_run: Run, val_frames: Frames) -> None:
    """On photos that were not observed."""
    names = quantized_tensors(onnx.load(finished_run.model))
    seen = observe(finished_run.model, names, [val_frames[:8]], rng=np.random.default_rng(0)).tensors
    model = onnx.load(finished_run.model)
    wanted = run(model, val_frames[8:16])
    assert len(equalize(model, seen)) > 20
    got = run(model, val_frames[8:16])
    assert np.abs(got - wanted).max() < 1e-3 * np.abs(wanted).max()


# -- the eighth bit


@settings(max_examples=6, deadline=None)
@given(seed=st.integers(0, 10_000), blocks=st.integers(1, 3))
def test_centring_changes_no_answer_to_anything(seed: int, blocks: int) -> None:
    model, given = random_net(seed, blocks=blocks), frames()
    wanted = run(model, given)
    clips = [node.output[0] for node in model.graph.node if node.op_type == "Clip"]
    lowered = centre(model, dict.fromkeys(clips, (0.0, 5.0)))
    assert sorted(lowered) == sorted(f"deep{block}{r}" for block in range(blocks) for r in ("", ".r"))
    assert set(lowered.values()) == {2.5}
    assert close(run(model, given), wanted)


def test_a_reader_that_pads_with_zeros_is_left_alone() -> None:
    """Zero would no longer be what the padding stands for."""
    model = random_net(0, blocks=1)
    before = constants(model)
    lowered = centre(model, {"expand0.r": (0.0, 5.0), "deep0.r": (0.0, 0.0)})
    assert lowered == {}
    assert all(np.array_equal(before[name], array) for name, array in constants(model).items())
