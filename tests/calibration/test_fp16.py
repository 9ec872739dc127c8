"""What FP16 would lose, found on photos and kept in FP32; numbers against numpy's own half precision."""

import json
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from conftest import Models
from edgecam_calibration.extremes import measure_extremes
from edgecam_calibration.fp16 import find_risks, write_fp16
from edgecam_calibration.lossless import as_rounded, check_fp16
from edgecam_calibration.models import _write_fp16
from edgecam_calibration.run import Run
from edgecam_engines.engine import Features, Frames
from edgecam_engines.head import Head
from edgecam_engines.onnxruntime import OnnxRuntimeEngine

HW = (4, 6)
HEAD = Head(np.eye(2, 3, dtype=np.float32), np.zeros(2, np.float32), ("blue", "green"))


def chain(*steps: tuple[str, float]) -> onnx.ModelProto:
    """Bytes cast and laid out as (n, 3, h, w), then one operator after another, each with one constant."""
    nodes = [
        helper.make_node("Transpose", ["frames"], ["planes"], "Transpose_0", perm=[0, 3, 1, 2]),
        helper.make_node("Cast", ["planes"], ["t0"], "Cast_0", to=TensorProto.FLOAT),
    ]
    constants = []
    for number, (kind, value) in enumerate(steps):
        given = [f"t{number}"]
        if np.isfinite(value):
            constants.append(numpy_helper.from_array(np.float32(value), f"c{number}"))
            given.append(f"c{number}")
        nodes.append(helper.make_node(kind, given, [f"t{number + 1}"], f"{kind}_{number}"))
    nodes.append(helper.make_node("Identity", [f"t{len(steps)}"], ["features"], "last"))
    graph = helper.make_graph(
        nodes,
        "chain",
        [helper.make_tensor_value_info("frames", TensorProto.UINT8, ["n", *HW, 3])],
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, ["n", 3, *HW])],
        constants,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)


def photos(n: int, brightest: int, seed: int = 0) -> Frames:
    frames = np.random.default_rng(seed).integers(1, brightest + 1, (n, *HW, 3)).astype(np.uint8)
    frames[0, 0, 0] = brightest
    return frames


def rounded(path: Path, frames: Frames) -> Features:
    content = as_rounded(onnx.load(path)).SerializeToString()
    with closing(OnnxRuntimeEngine(path, name="rounded", content=content, fuse=False)) as engine:
        return engine.infer(frames)


def saved(folder: Path, model: onnx.ModelProto) -> Path:
    onnx.save(model, folder / "fp32.onnx")
    return folder / "fp32.onnx"


HUGE = (("Mul", 300.0), ("Mul", 300.0), ("Mul", 1e-6))  # up to 2.3e7 on the way, 23 at the end


def test_the_extremes_are_those_of_the_photos() -> None:
    frames = photos(5, 200)
    found = measure_extremes(chain(("Mul", 2.0), ("Sub", 100.0), ("Sqrt", np.nan)), [frames[:2], frames[2:]])
    assert found["t1"].largest == 400
    assert found["t2"].largest == max(300, 100 - 2 * int(frames.min()))
    shifted = np.abs(2.0 * frames - 100)
    assert found["t2"].smallest == shifted[shifted > 0].min()
    assert np.isinf(found["t1"].smallest)  # nobody divides by it


def test_what_would_overflow_stays_in_fp32_is_named_and_keeps_its_numbers(tmp_path: Path) -> None:
    frames = photos(3, 255)
    halved = write_fp16(saved(tmp_path, chain(*HUGE)), tmp_path / "fp16.onnx", [frames])
    named = {risk.node: risk.magnitude for risk in halved.risks}
    assert named == {"Mul_0": 76500.0, "Mul_1": 76500.0 * 300, "Mul_2": 76500.0 * 300}
    wanted = frames.transpose(0, 3, 1, 2).astype(np.float32) * 300 * 300 * 1e-6
    np.testing.assert_allclose(rounded(tmp_path / "fp16.onnx", frames), wanted, rtol=2**-10)


def test_without_photos_the_same_graph_overflows(tmp_path: Path) -> None:
    write_fp16(saved(tmp_path, chain(*HUGE)), tmp_path / "fp16.onnx")
    assert np.isinf(rounded(tmp_path / "fp16.onnx", photos(1, 255))).any()


def test_photos_decide_and_not_the_graph() -> None:
    """Dark photos leave in FP16 what bright ones do not."""
    model = chain(("Mul", 300.0), ("Mul", 0.05))
    dark, bright = (measure_extremes(model, [photos(2, top)]) for top in (40, 255))
    assert find_risks(model, dark) == []
    assert {risk.node for risk in find_risks(model, bright)} == {"Mul_0", "Mul_1"}


def test_a_tensor_within_a_factor_of_four_of_the_end_counts_since_other_photos_go_further() -> None:
    model = chain(("Mul", 1.0), ("Mul", 1.0))
    for largest, risky in ((16_376.0, False), (16_377.0, True)):
        found = {name: measure._replace(largest=largest) for name, measure in _extremes(model).items()}
        assert bool(find_risks(model, found)) is risky


def _extremes(model: Any) -> Any:
    return measure_extremes(model, [photos(1, 10)])


@pytest.mark.parametrize("kind", ["Sqrt", "Reciprocal", "Log"])
def test_what_is_divided_by_next_to_nothing_stays_in_fp32_with_what_makes_it(kind: str) -> None:
    model = chain(("Mul", 1e-7), (kind, np.nan), ("Mul", 1.0))
    risks = {risk.node: risk.why for risk in find_risks(model, _extremes(model))}
    assert {"Mul_0", f"{kind}_1"} <= risks.keys()
    assert risks["Mul_0"] == "divides by next to nothing"
    ample = chain(("Mul", 1e-2), (kind, np.nan), ("Mul", 1.0))
    assert find_risks(ample, _extremes(ample)) == []


def test_weights_beyond_either_end_of_fp16_are_a_risk_of_their_own() -> None:
    model = chain(("Mul", 2.0**-20), ("Mul", 1e5), ("Mul", 1.0))
    small, large = find_risks(model, _extremes(model))
    assert small == ("Mul_0", "its weights vanish", 2.0**-20)
    assert large == ("Mul_1", "its weights pass 65504", 1e5)


def by_numpy(frames: Frames, steps: Sequence[tuple[str, float]]) -> NDArray[np.float32]:
    """The same chain in numpy, rounded to half after each step; constants are rounded first."""
    x = frames.transpose(0, 3, 1, 2).astype(np.float32)
    for kind, value in steps:
        constant = np.float32(np.float16(value))
        x = {"Mul": x * constant, "Add": x + constant, "Sub": x - constant}[kind]
        with np.errstate(over="ignore"):
            x = x.astype(np.float16).astype(np.float32)
    return x


STEP = st.tuples(st.sampled_from(["Mul", "Add", "Sub"]), st.floats(2**-10, 500, width=16))


@settings(max_examples=25, deadline=None)
@given(steps=st.lists(STEP, min_size=1, max_size=4), seed=st.integers(0, 99))
def test_rounding_is_that_of_numpys_half_precision_infinity_included(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, float]], seed: int
) -> None:
    folder = tmp_path_factory.mktemp("chain")
    write_fp16(saved(folder, chain(*steps)), folder / "fp16.onnx")
    frames = photos(2, 255, seed)
    with np.errstate(invalid="ignore"):
        np.testing.assert_array_equal(rounded(folder / "fp16.onnx", frames), by_numpy(frames, steps))


@settings(max_examples=25, deadline=None)
@given(up=st.floats(1, 1e4), steps=st.lists(STEP, max_size=3))
def test_whatever_a_graph_does_its_fp16_file_stays_finite_on_its_photos(
    tmp_path_factory: pytest.TempPathFactory, up: float, steps: list[tuple[str, float]]
) -> None:
    folder = tmp_path_factory.mktemp("chain")
    model = chain(("Mul", up), *steps, ("Mul", 1 / (up * 500.0 ** len(steps))))
    frames = photos(2, 255)
    write_fp16(saved(folder, model), folder / "fp16.onnx", [frames])
    assert np.isfinite(rounded(folder / "fp16.onnx", frames)).all()


# -- the check


def test_fp16_with_islands_is_loss_free_and_without_them_it_is_not(tmp_path: Path) -> None:
    fp32, frames = saved(tmp_path, chain(*HUGE)), photos(4, 255)
    write_fp16(fp32, tmp_path / "kept.onnx", [frames])
    write_fp16(fp32, tmp_path / "lost.onnx")
    kept, lost = (check_fp16(fp32, tmp_path / name, HEAD, [frames]) for name in ("kept.onnx", "lost.onnx"))
    assert kept.free
    assert kept.features < 1e-3
    assert not lost.finite
    assert not lost.free


def test_build_engine_notes_beside_the_file_what_fp16_loses(
    finished_run: Run, models: Models, val_frames: Frames, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _write_fp16(finished_run, tmp_path / "fp16.onnx", [val_frames[:16]])
    noted = json.loads((tmp_path / "fp16.json").read_text())
    assert noted["check"]["photos"] == 16
    assert noted["check"]["loss_free"] is True
    assert 0 < noted["check"]["features"] < 0.05
    assert all(name.startswith("Softmax") for name in noted["fp32_nodes"])
    assert noted["largest_tensors"][0]["magnitude"] >= 255
    assert (
        "nodes stay in FP32. On 16 photos, as FP16 hardware rounds: labels kept 100.0%"
        in capsys.readouterr().err
    )
