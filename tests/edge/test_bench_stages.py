"""The stages of a query: of an engine that tells them, of a camera, of outputs; and why some are not told."""

import json
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge.bench_kit import SimulatedTime
from edge.loop_kit import colour_head, make_bundle, make_video, scene
from edgecam.bench.bound import bound, engine_bound
from edgecam.bench.live import live
from edgecam.bench.loop import KEPT, KEPT_EVERY, Loop
from edgecam.bench.order import Order
from edgecam.bench.publish import publisher
from edgecam.bench.record import Run
from edgecam.bench.report import report
from edgecam.bench.session import Outcome, conduct
from edgecam.bench.stages import Stages, Times, in_words, left_out
from edgecam.bench.timeline import write_timeline
from edgecam.commands import bench as command
from edgecam.result import Result
from edgecam.sources.source import Shot
from edgecam_engines.engine import EngineStages, Features, Frame, Frames
from edgecam_engines.errors import MeasurementError
from edgecam_engines.fixed import FixedEngine

TOLD = EngineStages(copy_in=0.0005, enqueue=0.001, compute=0.003, copy_out=0.0002)


class Telling(FixedEngine):
    """Takes 4 ms a call on a simulated clock, and tells where they went once it is watched."""

    last_stages: EngineStages | None = None

    def __init__(self, clock: SimulatedTime) -> None:
        super().__init__((64, 64), 8)
        self._clock = clock
        self._watched = False

    def watch(self, clock: Callable[[], float], /) -> None:
        assert clock() == self._clock.at, "the benchmark's own clock"
        self._watched = True

    def infer(self, frames: Frames, /) -> Features:
        self._clock.work(0.004)
        self.last_stages = TOLD if self._watched else None
        return super().infer(frames)


def session(tmp_path: Path, order: Order, engine: Callable[[SimulatedTime], FixedEngine]) -> Outcome:
    clock = SimulatedTime()
    loop = Loop(
        engine(clock),
        colour_head(),
        [scene(0, (48, 64))],
        lambda frame, result: clock.work(0.001),
        lambda: clock.at,
        lambda frame, result: clock.work(0.0005),
    )
    return conduct(order, loop, clock.time, root=tmp_path, run=lambda words: "")


def test_an_engine_that_tells_its_stages_is_asked_and_each_gets_a_row(tmp_path: Path) -> None:
    outcome = session(tmp_path, Order(runs=70, warm_up=3), Telling)
    assert outcome.times.engine is not None
    assert outcome.times.engine.shape == (70, 4)
    document = report("x", outcome, Order(), {"device": "gpu"})
    assert document["stages_ms"] == {
        "prepare": 0.0, "infer": 4.0, "copy_in": 0.5, "enqueue": 1.0, "compute": 3.0, "copy_out": 0.2,
        "head": 0.0, "overlay": 1.0, "publish": 0.5,
    }  # fmt: skip
    assert list(document["stages"]) == list(document["stages_ms"])
    assert document["stages"]["compute"] == {"p50": 3.0, "p90": 3.0, "p95": 3.0, "p99": 3.0}
    assert list(document["stages_left_out"]) == ["capture"]
    assert "bound by what the device computes, 3.00 ms" in document["bound"]


def test_one_that_does_not_leaves_its_rows_out_with_the_reason(tmp_path: Path) -> None:
    outcome = session(tmp_path, Order(runs=70), lambda clock: FixedEngine((64, 64), 8))
    assert outcome.times.engine is None
    on_cpu = left_out(outcome.times, "single-stream", on_cpu=True)
    assert list(on_cpu) == ["capture", "copy_in", "enqueue", "compute", "copy_out"]
    assert in_words(on_cpu)[1] == (
        "Not told: copy in, enqueue, compute, copy out "
        "(the processor works on frames where they lie, so all of infer is compute)"
    )
    assert "--backend tensorrt" in left_out(outcome.times, "camera", on_cpu=False)["compute"]
    assert "--camera URI" in left_out(outcome.times, "camera", on_cpu=False)["capture"]


@pytest.mark.parametrize(
    ("copy_in", "enqueue", "compute", "copy_out", "words"),
    [
        (0.1, 2.0, 2.0, 0.1, "enqueue-bound: the processor takes 2.00 ms to hand over what the device does"),
        (0.1, 2.0, 2.1, 0.1, "bound by what the device computes, 2.10 ms"),
        (1.5, 0.2, 2.0, 0.6, "bound by transfers: copying takes 2.10 ms, computing 2.00 ms"),
        (9.0, 2.0, 1.0, 0.0, "bound by transfers"),
    ],
)
def test_what_bounds_an_engine_is_said_in_words(
    copy_in: float, enqueue: float, compute: float, copy_out: float, words: str
) -> None:
    parts = {"copy_in": copy_in, "enqueue": enqueue, "compute": compute, "copy_out": copy_out}
    assert words in engine_bound(parts)
    whole = Stages(0.2, 4, 0.3, 1, 0.1)._asdict()
    assert words in bound({**whole, **parts})
    assert "The engine is" not in bound(whole)


def test_the_timeline_shows_the_engines_stages_within_its_call(tmp_path: Path) -> None:
    began = np.array([10.0, 10.01])
    times = Times(np.tile([0.001, 0.005, 0.002, 0.001, 0.0005], (2, 1)), np.tile(TOLD, (2, 1)))
    started = began - 10
    run = Run("single-stream", started, started, started + 0.0095, np.zeros(2), 1, np.zeros(0))
    write_timeline(tmp_path / "t.json", run, times, began, "x")
    events = json.loads((tmp_path / "t.json").read_text())["traceEvents"]
    rows = {e["tid"]: e["args"]["name"] for e in events if e["name"] == "thread_name"}
    assert list(rows.values()) == ["stages", "engine: copies and device", "engine: enqueue"]
    spans = {e["name"]: e for e in events if e["ph"] == "X" and e["args"]["query"] == 1}
    begin, end = spans["infer"]["ts"], spans["infer"]["ts"] + spans["infer"]["dur"]
    assert spans["copy in"]["ts"] == begin == pytest.approx(11_000)
    assert spans["copy out"]["ts"] + spans["copy out"]["dur"] == pytest.approx(end)
    assert spans["compute"]["ts"] + spans["compute"]["dur"] == pytest.approx(spans["copy out"]["ts"])
    assert spans["enqueue"]["ts"] == pytest.approx(begin + 500)
    assert rows[spans["compute"]["tid"]] == "engine: copies and device"
    assert rows[spans["enqueue"]["tid"]] == "engine: enqueue"


# -- a camera


class FakeCamera:
    """A frame every `every` seconds, in hand `decoding` seconds later; the newest is taken."""

    def __init__(self, clock: SimulatedTime, every: float, decoding: float, frames: int = 10**9) -> None:
        self._clock, self._every, self._decoding, self._frames = clock, every, decoding, frames
        self._next, self._handed_out = 0, 0

    def __call__(self) -> Shot | None:
        number = max(self._next, int((self._clock.at - self._decoding) / self._every + 1e-9))
        if number >= self._frames:
            return None
        captured = number * self._every
        if (wait := captured + self._decoding - self._clock.at) > 0:
            self._clock.at += wait
        self._next = number + 1
        shot = Shot(scene(number % 3, (48, 64)), number, captured, 0.0, number - self._handed_out)
        self._handed_out += 1
        return shot


def wipe(frame: Frame, result: Result) -> None:
    """Draws over all that there was."""
    frame[:] = 0


def with_camera(
    tmp_path: Path, every: float, decoding: float, runs: int, frames: int = 10**9
) -> tuple[Outcome, Loop]:
    clock = SimulatedTime()
    loop = Loop(Telling(clock), colour_head(), [scene(0, (48, 64))], wipe, lambda: clock.at)
    order = Order(scenario="camera", runs=runs, warm_up=3)
    camera = FakeCamera(clock, every, decoding, frames)
    return conduct(order, loop, clock.time, take=camera, root=tmp_path, run=lambda words: ""), loop


def test_a_fast_loop_has_each_frame_as_soon_as_it_is_decoded(tmp_path: Path) -> None:
    told, loop = with_camera(tmp_path, every=0.040, decoding=0.006, runs=700)
    assert told.times.capture == pytest.approx([0.006] * 700)
    assert told.run.latency == pytest.approx([0.010] * 700)
    assert (told.run.dropped, told.invalid) == (0, [])
    assert loop.seen_hw == (48, 64)
    assert next(iter(report("x", told, Order(), {})["stages"])) == "capture"


def test_a_slow_loop_drops_what_it_does_not_look_at(tmp_path: Path) -> None:
    told, _ = with_camera(tmp_path, every=0.001, decoding=0.0, runs=2000)
    assert told.run.frames + told.run.dropped == pytest.approx(2000, abs=4)
    assert told.run.dropped == pytest.approx(1500, rel=0.02)
    assert told.times.capture is not None
    assert (told.times.capture >= -1e-9).all()
    assert (told.times.capture < 0.001 + 1e-9).all()


def test_some_of_a_cameras_answers_are_checked_though_overlays_are_drawn_into_its_frames(
    tmp_path: Path,
) -> None:
    told, loop = with_camera(tmp_path, every=0.040, decoding=0.0, runs=700)
    assert told.accuracy.same
    assert told.accuracy.frames == KEPT + 1
    kept = [said.frame for said in loop.said if said.frame > 0]
    assert (len(kept), kept) == (KEPT, sorted(set(kept)))
    # Every tenth shows the next colour, so that the answers differ among themselves.
    assert KEPT_EVERY % 3 == 1
    assert len({said.label for said in loop.said}) == 3


def test_a_camera_that_ends_early_leaves_what_it_gave(tmp_path: Path) -> None:
    told, _ = with_camera(tmp_path, every=0.040, decoding=0.0, runs=700, frames=50)
    assert told.run.frames == 49  # the first one has waited since before the warm-up
    assert any("too few samples: 49 queries" in reason for reason in told.invalid)


def test_a_camera_that_gives_nothing_says_so() -> None:
    clock = SimulatedTime()
    loop = Loop(Telling(clock), colour_head(), [scene(0)], wipe, lambda: clock.at)
    with pytest.raises(MeasurementError, match="too few frames"):
        live(loop, clock.time, FakeCamera(clock, 0.04, 0.0, frames=1), frames=100)


# -- outputs


def test_what_is_published_is_a_line_that_nobody_sees_and_a_video_that_lacks_no_frame(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    clock = SimulatedTime()
    with publisher(tmp_path / "x.mp4", 25.0) as publish:
        loop = Loop(Telling(clock), colour_head(), [scene(0)], wipe, clock=lambda: clock.at, publish=publish)
        for _ in range(30):
            loop.ready(1)
            loop.answer(1)
    assert capsys.readouterr().out == ""
    video = cv2.VideoCapture(str(tmp_path / "x.mp4"))
    assert video.get(cv2.CAP_PROP_FRAME_COUNT) == 30
    video.release()


def test_the_command_reads_a_camera_and_records_meanwhile(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bundle = make_bundle(tmp_path / "colours.edgecam")
    video = make_video(tmp_path / "clip.mp4", frames=12)
    order = Order(
        scenario="camera", runs=64, warm_up=1, camera=f"{video}?loop=1", record=str(tmp_path / "x.mp4")
    )
    command.bench(bundle, order, command.Outputs(csv=tmp_path / "x.csv"), json=True)
    told = json.loads(capsys.readouterr().out)
    assert "capture" in told["stages_ms"]
    assert "capture" not in told["stages_left_out"]
    assert told["provenance"]["frame"] == "320x240 from clip.mp4"
    assert told["camera"]["fps"] == 25
    assert "capture_s,prepare_s,infer_s,head_s" in (tmp_path / "x.csv").read_text().splitlines()[0]
    assert (tmp_path / "x.mp4").stat().st_size > 1000
