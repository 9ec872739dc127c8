"""The gate tells the truth about engines: good ones, bad ones, and one that only this processor ruins."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from conftest import Models
from edgecam_calibration.gate import Bounds, Reference, Verdict, judge, refer, time_engines
from edgecam_calibration.run import Run
from edgecam_engines.engine import Features, Frame, Frames
from edgecam_engines.errors import EngineError
from edgecam_engines.fixed import FixedEngine
from edgecam_engines.head import Head
from edgecam_engines.onnxruntime import OnnxRuntimeEngine

HEAD = Head(np.eye(3, dtype=np.float32) * 20, np.zeros(3, np.float32), ("blue", "green", "red"))
KEYS = [
    "precision", "backend", "passed", "reasons", "n", "top1", "top1_ci95", "agreement", "agreement_ci95",
    "macro_f1", "ece", "cam_iou", "cam_iou_ci95", "cam_iou_p10", "latency_ms",
]  # fmt: skip


class Changed(FixedEngine):
    """The fixed engine, with its features passed through a function of (features, frames)."""

    def __init__(self, change: Callable[[Features, Frames], Features]) -> None:
        super().__init__()
        self._change = change

    def infer(self, frames: Frames, /) -> Features:
        return self._change(super().infer(frames), frames)


def scenes(n: int) -> list[Frame]:
    """Frames whose class is the colour of a bright square somewhere on grey."""
    rng = np.random.default_rng(0)
    frames = []
    for i in range(n):
        frame = np.full((64, 64, 3), 40, dtype=np.uint8)
        top, left = rng.integers(0, 32, 2)
        frame[top : top + 32, left : left + 32, i % 3] = 250
        frames.append(frame)
    return frames


@pytest.fixture(scope="module")
def reference() -> Reference:
    frames = scenes(30)
    return refer(FixedEngine(), HEAD, frames, np.arange(30) % 3)


def verdict(engine: Any, reference: Reference, bounds: Bounds | None = None) -> Verdict:
    return judge(engine, HEAD, reference, bounds or Bounds(), precision="int8", backend="onnxruntime")


def wrong_on(count: int) -> Changed:
    """Names the next class on `count` of the thirty frames; blue and green change places in their maps."""
    left = [count]

    def change(features: Features, frames: Frames) -> Features:
        k = min(left[0], len(frames))
        left[0] -= k
        features[:k] = np.roll(features[:k], 1, axis=1)
        return features

    return Changed(change)


def test_an_engine_that_answers_as_fp32_does_passes_with_full_marks(reference: Reference) -> None:
    judged = verdict(FixedEngine(), reference)
    assert judged.passed
    assert judged.reasons == []
    assert judged.ran
    assert (judged.n, judged.top1.value, judged.agreement.value) == (30, 1.0, 1.0)
    assert (judged.cam_iou.mean, judged.cam_iou.p10, judged.macro_f1) == (1.0, 1.0, 1.0)


def test_scale_and_shift_of_features_are_no_loss_of_maps(reference: Reference) -> None:
    judged = verdict(Changed(lambda features, _: features * 3), reference)
    assert judged.passed
    assert judged.cam_iou.mean > 0.99


def test_labels_alone_do_not_pass_when_the_maps_have_moved(reference: Reference) -> None:
    judged = verdict(Changed(lambda features, _: np.roll(features, 2, axis=3)), reference)
    assert judged.agreement.value == 1
    assert not judged.passed
    assert len(judged.reasons) == 1
    assert "maps agree with FP32's at IoU" in judged.reasons[0]


@pytest.mark.parametrize(("wrong", "passed"), [(0, True), (3, True), (4, False)])
def test_the_bound_on_top1_is_kept_exactly(reference: Reference, wrong: int, passed: bool) -> None:
    """Of thirty photos, three are ten points."""
    judged = verdict(wrong_on(wrong), reference, Bounds(max_drop=10.0, min_cam_iou=0.0))
    assert judged.top1.value == pytest.approx(1 - wrong / 30)
    assert judged.passed is passed
    assert (judged.reasons == []) is passed
    if not passed:
        assert judged.reasons == ["top-1 falls by 13.3 points, more than 10"]


def test_the_bound_on_maps_is_kept_exactly(reference: Reference) -> None:
    moved = Changed(lambda features, _: np.roll(features, 1, axis=3))
    iou = verdict(moved, reference, Bounds(100, 0)).cam_iou.mean
    assert 0 < iou < 1
    assert verdict(moved, reference, Bounds(100, iou)).passed
    assert not verdict(moved, reference, Bounds(100, float(np.nextafter(iou, 1)))).passed


def test_a_candidate_better_than_fp32_loses_nothing() -> None:
    frames = scenes(30)
    worse = refer(wrong_on(9), HEAD, frames, np.arange(30) % 3)
    judged = verdict(FixedEngine(), worse, Bounds(0.0, 0.0))
    assert judged.passed
    assert judged.top1.value > worse.top1.value


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_an_engine_that_gives_no_numbers_is_refused_and_not_a_crash(
    reference: Reference, value: float
) -> None:
    judged = verdict(Changed(lambda features, _: np.full_like(features, value)), reference)
    assert not judged.passed
    assert not judged.ran
    assert judged.reasons == ["The engine fixed-fp32 gave values that are not numbers for picture 1."]
    assert judged.document()["top1"] == 0


def test_an_engine_that_fails_is_refused_with_its_own_words(reference: Reference) -> None:
    def fail(features: Features, frames: Frames) -> Features:
        raise EngineError("The device is gone.\nRestart it.")

    judged = verdict(Changed(fail), reference)
    assert (judged.passed, judged.ran, judged.reasons) == (False, False, ["The device is gone."])


def test_flat_maps_are_refused_even_though_they_are_maps(reference: Reference) -> None:
    def flatten(features: Features, frames: Frames) -> Features:
        return np.broadcast_to(features.mean(axis=(2, 3), keepdims=True), features.shape).copy()

    judged = verdict(Changed(flatten), reference)
    assert judged.agreement.value == 1
    assert judged.cam_iou.mean == 0
    assert not judged.passed


def test_the_document_of_a_verdict_has_the_keys_that_scripts_rely_on(reference: Reference) -> None:
    document = verdict(FixedEngine(), reference).document()
    assert list(document) == KEYS
    assert document["latency_ms"] is None
    assert document["top1_ci95"][0] < document["top1"] == 1


# -- the INT8 trap


@pytest.fixture(scope="module")
def whole(finished_run: Run, models: Models, val_frames: Frames) -> Reference:
    engine = OnnxRuntimeEngine(models.path("fp32"), name="onnxruntime-fp32")
    labels = np.array([photo.label for photo in finished_run.val])
    return refer(engine, finished_run.head, list(val_frames), labels)


def trap(models: Models, run: Run, reference: Reference, *, fuse: bool) -> Verdict:
    engine = OnnxRuntimeEngine(models.path("int8-tensorrt"), name="tensorrt-int8", fuse=fuse)
    return judge(engine, run.head, reference, Bounds(), precision="int8", backend="tensorrt")


def test_the_exported_graph_is_right_on_photos_labelled_by_the_network(whole: Reference) -> None:
    assert whole.top1.value == 1


def test_saturating_kernels_are_refused_and_the_same_file_in_float_is_judged_far_better(
    models: Models, finished_run: Run, whole: Reference
) -> None:
    """S8 weights of full range on x86 without VNNI: 16-bit sums saturate, though the model is sound."""
    info = Path("/proc/cpuinfo")
    flags = info.read_text() if info.exists() else ""
    if "sse2" not in flags or "vnni" in flags:
        pytest.skip("this processor's INT8 kernels do not saturate (no x86, or one with VNNI)")
    fused = trap(models, finished_run, whole, fuse=True)
    in_float = trap(models, finished_run, whole, fuse=False)
    assert not fused.passed
    assert len(fused.reasons) == 2
    assert fused.top1.value < 0.9
    assert in_float.top1.value > 0.97
    assert in_float.agreement.value > fused.agreement.value + 0.05
    assert in_float.cam_iou.mean > fused.cam_iou.mean + 0.15


def test_fp16_passes_the_gate_on_a_real_network(models: Models, finished_run: Run, whole: Reference) -> None:
    engine = OnnxRuntimeEngine(models.path("fp16"), name="onnxruntime-fp16")
    judged = judge(
        engine, finished_run.head, whole, Bounds(0.0, 0.95), precision="fp16", backend="onnxruntime"
    )
    assert judged.passed, judged.reasons


# -- timing


def test_times_come_from_the_clock_that_is_passed_in() -> None:
    """A clock that only an engine's work moves: 2 ms for one, 5 ms for the other, more while they warm up."""
    now = [0.0]

    class Working(FixedEngine):
        def __init__(self, ms: float) -> None:
            super().__init__()
            self.ms, self.calls = ms, 0

        def infer(self, frames: Frames, /) -> Features:
            self.calls += 1
            now[0] += (self.ms if self.calls > 5 else 1000) / 1000
            return super().infer(frames)

    fast, slow = Working(2), Working(5)
    times = time_engines([fast, slow], scenes(1)[0], clock=lambda: now[0], runs=7)
    assert times == pytest.approx([2, 5])
    assert (fast.calls, slow.calls) == (12, 12)


def test_engines_take_turns_so_that_a_slow_spell_hits_all_alike() -> None:
    order: list[str] = []

    class Noted(FixedEngine):
        def infer(self, frames: Frames, /) -> Features:
            order.append(self.name)
            return super().infer(frames)

    first, second = Noted(), Noted()
    first.name, second.name = "a", "b"
    ticks: Iterator[float] = iter(range(1000))
    time_engines([first, second], scenes(1)[0], clock=lambda: float(next(ticks)), runs=3)
    assert order == ["a", "b"] * 8


def test_nothing_to_time_is_no_time() -> None:
    assert time_engines([], scenes(1)[0], clock=lambda: 0.0) == []
