"""The gate tells the truth about engines: good ones, bad ones, and one that only this processor ruins."""

import json
import platform
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from calibration.saturating import CellSums, saturating_sums, whole_sums
from conftest import Models
from edgecam_calibration.criteria import State
from edgecam_calibration.gate import (
    ANYTHING_GOES,
    Bounds,
    Latency,
    Reference,
    Verdict,
    judge,
    refer,
    time_engines,
    winner,
)
from edgecam_calibration.intervals import Estimate
from edgecam_calibration.maps import MapAgreement
from edgecam_calibration.run import Run
from edgecam_engines.engine import Features, Frame, Frames
from edgecam_engines.errors import EngineError
from edgecam_engines.fixed import FixedEngine
from edgecam_engines.head import Head
from edgecam_engines.onnxruntime import OnnxRuntimeEngine
from edgecam_engines.processor import instructions

HEAD = Head(np.eye(3, dtype=np.float32) * 20, np.zeros(3, np.float32), ("blue", "green", "red"))
# What thirty or sixty photos can prove: a loss of a tenth.
SMALL = replace(ANYTHING_GOES, max_drop=10.0, min_agreement=0.9, min_cam_iou=0.9, min_cam_iou_p10=0.75)
KEYS = [
    "precision", "backend", "passed", "state", "reasons", "needs", "n", "top1", "top1_ci95", "agreement",
    "agreement_ci95", "macro_f1", "macro_f1_ci95", "ece", "ece_ci95", "cam_iou", "cam_iou_ci95",
    "cam_iou_p10", "losses", "criteria", "latency_ms", "latency_p10_p90_ms",
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


def bright_scenes(n: int) -> list[Frame]:
    """The same on a ground so bright that pairs of bytes times 127 leave 16 bits behind everywhere."""
    return [np.where(frame == 250, 250, 180).astype(np.uint8) for frame in scenes(n)]


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
    assert (judged.cam_iou.mean, judged.cam_iou.p10, judged.macro_f1.value) == (1.0, 1.0, 1.0)


def test_scale_and_shift_of_features_are_no_loss_of_maps(reference: Reference) -> None:
    judged = verdict(Changed(lambda features, _: features * 3), reference, replace(SMALL, min_cam_iou=0.9))
    assert judged.passed, judged.reasons
    assert judged.cam_iou.mean > 0.99


def test_labels_alone_do_not_pass_when_the_maps_have_moved(reference: Reference) -> None:
    judged = verdict(Changed(lambda features, _: np.roll(features, 2, axis=3)), reference)
    assert judged.agreement.value == 1
    assert not judged.passed
    assert judged.state == "refused"
    assert [reason.partition(" is ")[0] for reason in judged.reasons] == [
        "mean CAM IoU",
        "CAM IoU, 10th percentile",
    ]


@pytest.mark.parametrize(
    ("wrong", "state"), [(0, "passed"), (1, "unproven"), (3, "unproven"), (4, "refused")]
)
def test_the_bound_on_top1_is_kept_by_the_bad_end(reference: Reference, wrong: int, state: str) -> None:
    """Of thirty photos, three are ten points: as measured that is within the bound, but it may be more."""
    judged = verdict(wrong_on(wrong), reference, replace(ANYTHING_GOES, max_drop=10.0))
    assert judged.top1.value == pytest.approx(1 - wrong / 30)
    assert judged.state == state
    assert (judged.reasons == []) is (state == "passed")
    if state == "refused":
        assert judged.reasons == ["top-1 loss is 13.33 points, more than 10.00 points"]


def test_an_unproven_candidate_says_how_many_images_would_do(reference: Reference) -> None:
    judged = verdict(wrong_on(1), reference, replace(ANYTHING_GOES, max_drop=10.0))
    assert judged.state == "unproven"
    assert not judged.passed
    assert judged.needs is not None
    assert judged.needs > judged.n
    assert judged.reasons[0].endswith(f"not enough images, need about {judged.needs}")


def test_what_is_refused_for_one_figure_is_not_told_to_bring_images_for_another(
    reference: Reference,
) -> None:
    moved = Changed(lambda features, _: np.roll(features, 2, axis=3))
    judged = verdict(moved, reference, replace(Bounds(), max_drop=0.1))
    assert {criterion.state for criterion in judged.criteria} == {"refused", "unproven"}
    assert judged.state == "refused"
    assert judged.needs is None
    assert "not enough images" not in " ".join(judged.reasons)


def test_the_bound_on_maps_is_kept_by_the_bad_end(reference: Reference) -> None:
    moved = Changed(lambda features, _: np.roll(features, 1, axis=3))
    first = verdict(moved, reference, ANYTHING_GOES)
    mean, end = first.cam_iou.mean, next(c.bad_end for c in first.criteria if c.name == "mean CAM IoU")
    assert 0 < end < mean < 1
    states = [
        verdict(moved, reference, replace(ANYTHING_GOES, min_cam_iou=bound)).state
        for bound in (end, (end + mean) / 2, mean + 1e-6)
    ]
    assert states == ["passed", "unproven", "refused"]


def test_a_candidate_better_than_fp32_loses_nothing() -> None:
    frames = scenes(30)
    worse = refer(wrong_on(9), HEAD, frames, np.arange(30) % 3)
    judged = verdict(FixedEngine(), worse, replace(ANYTHING_GOES, max_drop=0.0))
    assert judged.passed
    assert judged.top1.value > worse.top1.value
    assert judged.losses["top1"].value == pytest.approx(-9 / 30)


def test_small_sets_prove_little_even_where_nothing_was_seen_to_be_lost(reference: Reference) -> None:
    """A hair more on every feature: the same labels, all but the same maps, and thirty photos."""
    judged = verdict(Changed(lambda features, _: features + np.float32(1e-6)), reference, Bounds())
    assert judged.agreement.value == 1
    assert judged.state == "unproven"
    assert judged.needs == 300  # 1 - 0.05 ** (1 / 299) is one point of top-1


def test_macro_f1_and_calibration_have_bounds_where_they_are_given(reference: Reference) -> None:
    bounds = replace(ANYTHING_GOES, max_f1_drop=10.0, max_ece_rise=0.5)
    judged = verdict(wrong_on(6), reference, bounds)
    states = {criterion.name: criterion.state for criterion in judged.criteria}
    assert states["macro F1 loss"] == "refused"
    assert states["rise of the calibration error"] != "passed"
    assert judged.losses["macro_f1"].value == pytest.approx(1 - judged.macro_f1.value, abs=1e-6)
    assert verdict(wrong_on(6), reference, ANYTHING_GOES).passed


@pytest.mark.parametrize("n", [1, 2, 5])
def test_a_handful_of_photos_passes_nobody_but_fp32_itself(n: int) -> None:
    few = refer(FixedEngine(), HEAD, scenes(n), np.arange(n) % 3)
    assert verdict(FixedEngine(), few).passed
    other = verdict(Changed(lambda features, _: features + np.float32(1e-6)), few)
    assert other.state == "unproven"


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
    assert json.loads(json.dumps(document, allow_nan=False)) == document
    assert document["latency_ms"] is None
    assert document["top1_ci95"][0] < document["top1"] == 1


# -- the INT8 trap


@pytest.fixture(scope="module")
def whole(finished_run: Run, models: Models, val_frames: Frames) -> Reference:
    engine = OnnxRuntimeEngine(models.path("fp32"), name="onnxruntime-fp32")
    labels = np.array([photo.label for photo in finished_run.val])
    return refer(engine, finished_run.head, list(val_frames), labels)


@pytest.mark.parametrize("largest", [127, 63])
def test_the_saturating_combination_is_refused_on_every_processor(largest: int) -> None:
    """S8 by S8 as x86 without VNNI computes it, in exact integers: see `saturating`.

    Weights of full range are sound in 32 bits and ruined by sums of 16; weights of 7 bits fit into those.
    """
    frames = bright_scenes(200)
    labels = np.arange(200) % 3
    float_sums = CellSums(largest, lambda a, w: a.astype(np.float64) @ w)
    truth = refer(float_sums, HEAD, frames, labels)
    assert truth.top1.value == 1
    bounds = replace(Bounds(), max_drop=2.0, min_agreement=0.95)
    exact = verdict(CellSums(largest, whole_sums), truth, bounds)
    assert exact.passed, exact.reasons
    fused = verdict(CellSums(largest, saturating_sums), truth, bounds)
    if largest == 63:
        assert fused.passed, fused.reasons
    else:
        assert fused.state == "refused"
        assert len(fused.reasons) == 4  # labels and maps alike
        assert fused.top1.value < 0.6


def test_one_pair_of_products_saturates_at_sixteen_bits() -> None:
    """By hand: 255 * 127 twice is 64770, of which 32767 are left; -255 * 128 twice is -65280, or -32768."""
    activations = np.array([[255, 255, 10, 10], [255, 255, 255, 255]], dtype=np.uint8)
    weights = np.array([[127], [127], [1], [2]], dtype=np.int8)
    assert saturating_sums(activations, weights).tolist() == [[32767 + 30], [32767 + 765]]
    assert whole_sums(activations, weights).tolist() == [[64770 + 30], [64770 + 765]]
    lowest = np.array([[-128], [-128], [0], [0]], dtype=np.int8)
    assert saturating_sums(activations, lowest).tolist() == [[-32768], [-32768]]


def trap(models: Models, run: Run, reference: Reference, *, fuse: bool) -> Verdict:
    engine = OnnxRuntimeEngine(models.path("int8-tensorrt"), name="tensorrt-int8", fuse=fuse)
    return judge(engine, run.head, reference, Bounds(), precision="int8", backend="tensorrt")


def test_the_exported_graph_is_right_on_photos_labelled_by_the_network(whole: Reference) -> None:
    assert whole.top1.value == 1


def test_this_processors_own_kernels_are_refused_where_they_saturate_and_else_are_as_good_as_float(
    models: Models, finished_run: Run, whole: Reference
) -> None:
    """S8 weights of full range on x86 without VNNI: 16-bit sums saturate, though the model is sound."""
    flags = instructions()
    saturates = platform.machine() in {"x86_64", "AMD64"} and not any("vnni" in flag for flag in flags)
    fused = trap(models, finished_run, whole, fuse=True)
    in_float = trap(models, finished_run, whole, fuse=False)
    assert in_float.top1.value > 0.97
    if saturates:
        assert fused.state == "refused"
        assert fused.top1.value < 0.9
        assert in_float.agreement.value > fused.agreement.value + 0.05
        assert in_float.cam_iou.mean > fused.cam_iou.mean + 0.15
    else:
        assert fused.agreement.value == pytest.approx(in_float.agreement.value, abs=0.05)
        assert fused.cam_iou.mean == pytest.approx(in_float.cam_iou.mean, abs=0.1)


def test_fp16_passes_the_gate_on_a_real_network(models: Models, finished_run: Run, whole: Reference) -> None:
    engine = OnnxRuntimeEngine(models.path("fp16"), name="onnxruntime-fp16")
    judged = judge(engine, finished_run.head, whole, SMALL, precision="fp16", backend="onnxruntime")
    assert judged.passed, judged.reasons
    assert judged.losses["top1"].value == 0


# -- which one ships


def candidate(precision: str, state: State, ms: float) -> Verdict:
    nothing, maps = Estimate(1.0, 1.0, 1.0, 9), MapAgreement(1.0, [1.0, 1.0], 1.0, 9)
    return Verdict(
        precision, "onnxruntime", state, [], [], 9, nothing, nothing, nothing, nothing, maps, {},
        latency=Latency(ms, ms, ms),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("states", "accept", "fall_back", "ships"),
    [
        (("passed", "passed", "passed"), False, True, "int8"),
        (("passed", "passed", "unproven"), False, True, "fp16"),
        (("passed", "passed", "unproven"), True, True, "int8"),
        (("passed", "unproven", "refused"), False, True, "fp32"),
        (("passed", "refused", "refused"), True, True, "fp32"),
        (("unproven", "unproven", "unproven"), False, True, "fp32"),
        (("unproven", "unproven", "unproven"), False, False, None),
        (("unproven", "unproven", "unproven"), True, False, "int8"),
        (("refused", "unproven", "unproven"), False, True, None),
        (("refused", "refused", "refused"), True, True, None),
    ],
)
def test_the_fastest_that_may_ship_ships(
    states: tuple[State, ...], accept: bool, fall_back: bool, ships: str | None
) -> None:
    given = [
        candidate(p, s, ms) for p, s, ms in zip(("fp32", "fp16", "int8"), states, (3, 2, 1), strict=True)
    ]
    best = winner(given, accept_unproven=accept, fall_back=fall_back)
    assert (best.precision if best else None) == ships


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
    assert [time.median for time in times] == pytest.approx([2, 5])
    assert [(time.p10, time.p90) for time in times] == [pytest.approx((2, 2)), pytest.approx((5, 5))]
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
