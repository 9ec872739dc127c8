"""The bench: its percentiles, its bound, what its clock counts, and the document that scripts read."""

import json
import math
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgecam.bench import measure, order_statistic, pictures, synthetic_frame, upper_bound
from edgecam.bench.accuracy import Accuracy
from edgecam.bench.order import Order
from edgecam.bench.record import Run
from edgecam.bench.report import report
from edgecam.bench.session import Outcome
from edgecam.bench.stages import Times
from edgecam.bench.watch import Watched
from edgecam.commands import bench as command
from edgecam.result import Result
from edgecam_engines.bundle import write_manifest
from edgecam_engines.engine import Features, Frame, Frames
from edgecam_engines.errors import BundleError, OutputError
from edgecam_engines.files import sha256_of
from edgecam_engines.fixed import FixedEngine
from edgecam_engines.head import Head, save_head

HEAD = Head(np.eye(3, dtype=np.float32)[:2], np.zeros(2, dtype=np.float32), ("blue", "green"))


class FakeClock:
    """Time that passes only when somebody says so."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


class SleepyEngine(FixedEngine):
    """Takes the next of these times for each call, on a fake clock."""

    def __init__(self, clock: FakeClock, seconds: Iterator[float]) -> None:
        super().__init__()
        self.clock, self.seconds = clock, seconds

    def infer(self, frames: Frames, /) -> Features:
        self.clock.sleep(next(self.seconds))
        return super().infer(frames)


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    folder = tmp_path / "colours.edgecam"
    folder.mkdir()
    (folder / "fixed.json").write_text('{"input_hw": [64, 64], "stride": 16}')
    save_head(HEAD, folder / "head.safetensors")
    about = {
        "name": "colours",
        "created": "2024-01-01T00:00:00+00:00",
        "edgecam": "0.1.0",
        "classes": list(HEAD.classes),
        "input_hw": [64, 64],
        "feature_dhw": [3, 4, 4],
        "engine": {"backend": "fixed", "precision": "fp32", "model": "fixed.json"},
        "models": {"fp32": "fixed.json"},
        "heads": {"default": "head.safetensors"},
        "head": "default",
        "gate": {},
        "calibration": {},
        "provenance": {},
    }
    write_manifest(folder, about)
    return folder


def no_overlay(frame: Frame, result: Result) -> None:
    """Draws nothing."""


def test_measure_times_only_the_runs_after_warm_up() -> None:
    clock = FakeClock()
    engine = SleepyEngine(clock, iter([100.0] * 3 + [0.004] * 5))
    measured = measure(engine, HEAD, synthetic_frame(), no_overlay, runs=5, warm_up=3, clock=clock)
    assert measured.latency_ms == pytest.approx([4.0] * 5)


def test_each_stage_is_charged_with_its_own_time() -> None:
    clock = FakeClock()
    engine = SleepyEngine(clock, iter([0.005] * 2))

    class SlowHead(Head):
        def logits(self, features: Features) -> np.ndarray:
            clock.sleep(0.002)
            return super().logits(features)

    head = SlowHead(HEAD.weight, HEAD.bias, HEAD.classes)
    measured = measure(
        engine,
        head,
        synthetic_frame(),
        lambda frame, result: clock.sleep(0.003),
        runs=2,
        warm_up=0,
        clock=clock,
    )
    np.testing.assert_allclose(measured.seconds, [[0, 0.005, 0.002, 0.003, 0]] * 2, atol=1e-12)


def test_every_run_draws_on_the_same_untouched_picture() -> None:
    frame = synthetic_frame()
    before = frame.copy()
    seen: list[bytes] = []

    def scribble(drawn: Frame, result: Result) -> None:
        seen.append(drawn.tobytes())
        drawn[:] = 0

    measure(FixedEngine(), HEAD, frame, scribble, runs=3, warm_up=1)
    assert seen == [before.tobytes()] * 4
    assert (frame == before).all()


def test_the_map_is_always_there_to_be_drawn() -> None:
    boxes: list[object] = []
    measure(FixedEngine(), HEAD, synthetic_frame(), lambda f, result: boxes.append(result.box), runs=1)
    assert boxes
    assert all(box is not None for box in boxes)


def test_the_synthetic_frame_is_a_720p_picture_with_something_in_it() -> None:
    frame = synthetic_frame()
    assert (frame.shape, frame.dtype) == ((720, 1280, 3), np.uint8)
    assert (frame == synthetic_frame()).all()
    assert frame.std() > 30


def test_percentiles_of_a_hundred_are_the_numbers_themselves() -> None:
    values = np.random.default_rng(0).permutation(np.arange(1, 101)).astype(float)
    assert [order_statistic(values, p) for p in (50, 90, 95, 99, 100)] == [50, 90, 95, 99, 100]


@given(
    st.lists(st.floats(0, 1e6), min_size=1, max_size=60),
    st.integers(1, 100),
)
def test_a_percentile_was_measured_and_leaves_enough_at_or_below_it(
    values: list[float], percent: int
) -> None:
    at = order_statistic(values, percent)
    assert at in values
    assert sum(v <= at for v in values) * 100 >= percent * len(values)
    assert sum(v < at for v in values) * 100 < percent * len(values)


@pytest.mark.parametrize(("percent", "least"), [(90, 64), (99, 662)])
def test_the_bound_needs_as_many_runs_as_mlperf_says(percent: int, least: int) -> None:
    values = np.arange(least, dtype=float)
    assert upper_bound(values[:-1], percent) is None
    assert upper_bound(values, percent) == values[-1]


def test_the_bound_holds_about_as_often_as_it_promises() -> None:
    rng = np.random.default_rng(5)
    true_p90 = -math.log(0.1)  # of the exponential distribution
    held = [(upper_bound(rng.exponential(size=100), 90) or 0.0) >= true_p90 for _ in range(400)]
    assert np.mean(held) >= 0.98


def test_the_report_has_exactly_the_keys_that_scripts_read() -> None:
    stages = np.tile([0.001, 0.006, 0.0005, 0.0021, 0.0004], (100, 1))
    stages[-1, 1] = 0.5  # one hiccup: seen by no percentile up to 99, and by the throughput
    ended = np.cumsum(stages.sum(axis=1))
    began = ended - stages.sum(axis=1)
    run = Run("single-stream", began, began, ended, np.full(100, 0.009), 1, np.array([0.2, 0.1]))
    right = Accuracy(120, 1, 0, 0.0)
    outcome = Outcome(run, Times(stages), began, None, Watched([], None, None), ["too few samples"], right)
    told = report("fixed-fp32", outcome, Order(), {"cpu": "x"})
    assert list(told) == [
        "scenario", "engine", "runs", "latency_ms", "stages_ms", "throughput_per_s", "provenance",
        "valid", "invalid", "mlperf", "frames_per_query", "statistics", "cpu_ms", "stages",
        "stages_left_out", "bound", "accuracy", "warm_up", "open_loop_by_replay", "order",
    ]  # fmt: skip
    assert told["latency_ms"] == {"p50": 10.0, "p90": 10.0, "p95": 10.0, "p99": 10.0}
    assert told["stages_ms"] == {
        "prepare": 1.0, "infer": 6.0, "head": 0.5, "overlay": 2.1, "publish": 0.4,
    }  # fmt: skip
    assert told["throughput_per_s"] == pytest.approx(100 / (99 * 0.01 + 0.504), abs=0.01)
    assert (told["runs"], told["engine"], told["provenance"]) == (100, "fixed-fp32", {"cpu": "x"})
    assert (told["valid"], told["invalid"], told["mlperf"]) == (False, ["too few samples"], "SingleStream")
    assert told["warm_up"] == {"calls": 2, "first_ms": 200.0, "p50_ms": 100.0}
    assert told["statistics"]["upper99"] == {"p90": 10.0, "p95": None, "p99": None}
    assert told["statistics"]["least_samples"] == {"p90": 64, "p95": 130, "p99": 662}
    assert json.loads(json.dumps(told, allow_nan=False)) == told


def test_the_command_prints_one_document_that_says_where_it_was_measured(
    bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command.bench(bundle, Order(runs=64), json=True)
    (line,) = capsys.readouterr().out.splitlines()
    told = json.loads(line)
    assert (told["engine"], told["runs"], told["scenario"]) == ("fixed-fp32", 64, "single-stream")
    latency = told["latency_ms"]
    assert 0 < latency["p50"] <= latency["p90"] <= latency["p95"] <= latency["p99"]
    assert set(told["stages_ms"]) == {"prepare", "infer", "head", "overlay", "publish"}
    where = told["provenance"]
    assert where["bundle"] == "colours"
    assert where["model_sha256"] == sha256_of(bundle / "fixed.json")
    assert where["opencv"] == cv2.__version__
    assert where["cores"] >= 1
    assert {"date", "cpu", "python", "numpy", "onnxruntime", "governor", "load_average"} <= set(where)


def test_the_command_gives_opencv_its_threads_back(bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = cv2.getNumThreads()
    try:
        cv2.setNumThreads(2)
        command.bench(bundle, Order(runs=64), json=True)
        assert cv2.getNumThreads() == 2
    finally:
        cv2.setNumThreads(before)


@pytest.mark.parametrize(("runs", "words"), [(64, "662 or more"), (662, "true p99 is below")])
def test_people_are_told_what_the_p99_is_worth(
    bundle: Path, capsys: pytest.CaptureFixture[str], runs: int, words: str
) -> None:
    command.bench(bundle, Order(runs=runs), json=False)
    told = capsys.readouterr().out
    assert words in told
    assert all(stage in told for stage in ("prepare", "infer", "head", "overlay", "publish", "frames/s"))


def test_a_histogram_is_a_picture_beside_the_numbers(
    bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("matplotlib")
    picture = tmp_path / "latency.png"
    command.bench(bundle, Order(runs=64), command.Outputs(histogram=picture), json=True)
    decoded = cv2.imread(str(picture))
    assert decoded is not None
    assert decoded.std() > 5
    assert json.loads(capsys.readouterr().out)["runs"] == 64


def test_without_matplotlib_the_reason_comes_before_the_measuring(
    bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pictures, "find_spec", lambda name: None)
    monkeypatch.setattr(command, "conduct", lambda *a, **k: pytest.fail("it measured first"))
    with pytest.raises(OutputError, match="pip install matplotlib"):
        command.bench(bundle, Order(runs=64), command.Outputs(histogram=tmp_path / "h.png"), json=True)


def test_a_bundle_that_is_not_there_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="edgecam build-engine"):
        command.bench(tmp_path / "none.edgecam", Order(runs=64), json=True)
