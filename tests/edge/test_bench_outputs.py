"""What a benchmark leaves behind: right answers, a timeline, a page, tables; and how a session makes them."""

import csv
import json
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge.bench_kit import SimulatedTime
from edge.loop_kit import colour_head, make_bundle, scene
from edgecam.bench import names
from edgecam.bench.accuracy import Accuracy, Said, check
from edgecam.bench.bound import bound
from edgecam.bench.loop import Loop
from edgecam.bench.order import Order
from edgecam.bench.record import Run
from edgecam.bench.samples import load
from edgecam.bench.session import Outcome, conduct
from edgecam.bench.stages import Stages, Times
from edgecam.bench.timeline import write_timeline
from edgecam.commands import bench as command
from edgecam.result import Result
from edgecam_engines.engine import Features, Frame, Frames
from edgecam_engines.errors import OutputError
from edgecam_engines.fixed import FixedEngine


class Timed(FixedEngine):
    """Takes 4 ms a call on a simulated clock; from one call on it says something else."""

    def __init__(self, clock: SimulatedTime, wrong_from: int = 10**9) -> None:
        super().__init__((64, 64), 8)
        self._clock, self._wrong_from, self.calls = clock, wrong_from, 0

    def infer(self, frames: Frames, /) -> Features:
        self._clock.work(0.004)
        self.calls += 1
        features = super().infer(frames)
        return features[:, ::-1] if self.calls > self._wrong_from else features


FRAMES = [scene(kind, (48, 64)) for kind in (0, 1, 2)]


def session(tmp_path: Path, order: Order, **engine: int) -> tuple[SimulatedTime, Outcome]:
    clock = SimulatedTime()

    def draw(frame: Frame, result: Result) -> None:
        clock.work(0.001)

    loop = Loop(Timed(clock, **engine), colour_head(), FRAMES, draw, lambda: clock.at)
    return clock, conduct(order, loop, clock.time, root=tmp_path, run=lambda words: "")


@pytest.mark.parametrize("scenario", names.SCENARIOS)
def test_every_scenario_leaves_a_row_of_stages_for_each_of_its_queries(tmp_path: Path, scenario: str) -> None:
    order = Order(scenario=scenario, runs=664, warm_up=4, minutes=0.1, fps=50, p99_ms=40)
    _, told = session(tmp_path, order)
    n = len(told.run.finished)
    assert told.run.scenario == scenario
    assert (len(told.times.loop), len(told.began)) == (n, n)
    # A query is its stages: those that were kept are of these very queries.
    np.testing.assert_allclose(told.times.loop.sum(axis=1), told.run.service, atol=1e-9)
    np.testing.assert_allclose(np.diff(told.began), np.diff(told.run.started), atol=1e-9)
    assert told.accuracy.same
    assert told.accuracy.frames == 3
    assert (told.peak is not None) == (scenario == names.SERVER)
    if scenario != names.OFFLINE:
        assert told.invalid == []


def test_a_server_that_holds_no_rate_is_invalid(tmp_path: Path) -> None:
    _, told = session(tmp_path, Order(scenario=names.SERVER, runs=70, p99_ms=2))
    assert any("no rate held a p99 of 2.0 ms" in reason for reason in told.invalid)


def test_a_rate_that_was_given_is_not_searched(tmp_path: Path) -> None:
    _, told = session(tmp_path, Order(scenario=names.SERVER, runs=700, rate=100))
    assert told.peak is None
    assert 700 / told.run.scheduled[-1] == pytest.approx(100, rel=0.15)


def test_an_engine_that_goes_wrong_while_it_is_timed_is_found_out(tmp_path: Path) -> None:
    _, told = session(tmp_path, Order(runs=700), wrong_from=300)
    (reason,) = told.invalid
    assert reason.startswith("wrong answers:")
    assert told.accuracy.other_label > 200


def test_batches_say_the_same_as_single_frames(tmp_path: Path) -> None:
    _, told = session(tmp_path, Order(scenario=names.MULTI_STREAM, runs=662, batch=4))
    assert told.accuracy.answers == (662 + 20) * 4
    assert (told.accuracy.other_label, told.accuracy.worst) == (0, pytest.approx(0, abs=1e-5))


def test_answers_are_held_against_those_of_the_same_frame() -> None:
    peace = {0: Said(0, "a", 0.9), 1: Said(1, "b", 0.6)}
    assert check(peace, [Said(0, "a", 0.895), Said(1, "b", 0.6)]).same
    told = check(peace, [Said(0, "a", 0.9), Said(1, "a", 0.55), Said(0, "a", 0.9)])
    assert told == Accuracy(3, 2, 1, pytest.approx(0.05))
    assert "1 of 3 timed answers" in (told.reason() or "")


def a_run(waits: float) -> tuple[Run, Times, np.ndarray]:
    began = np.array([10.0, 10.01, 10.02])
    stages = np.tile([0.001, 0.004, 0.002, 0.0005, 0.0005], (3, 1))
    started = began - 10
    run = Run("server", started - waits, started, started + 0.008, np.zeros(3), 1, np.zeros(0))
    return run, Times(stages), began


def test_a_timeline_has_every_stage_end_to_end_and_what_waited(tmp_path: Path) -> None:
    run, times, began = a_run(waits=0.003)
    write_timeline(tmp_path / "t.json", run, times, began, "fixed")
    events = json.loads((tmp_path / "t.json").read_text())["traceEvents"]
    spans = [event for event in events if event["ph"] == "X"]
    assert [span["name"] for span in spans[:5]] == ["prepare", "infer", "head", "overlay", "publish"]
    assert len(spans) == 15
    assert spans[0]["ts"] == 0
    for before, after in pairwise(spans[:5]):
        assert after["ts"] == pytest.approx(before["ts"] + before["dur"])
    waits = [event for event in events if event.get("cat") == "wait"]
    assert [event["ph"] for event in waits] == ["b", "e"] * 3
    assert waits[1]["ts"] - waits[0]["ts"] == pytest.approx(3000)
    assert {event["args"]["name"] for event in events if event["name"] == "thread_name"} == {
        "stages",
        "waiting",
    }


def test_what_bounds_a_frame_is_said_in_words() -> None:
    told = bound({"prepare": 0.2, "infer": 7.0, "head": 0.3, "overlay": 2.0, "publish": 0.5})
    assert told.startswith("the engine bounds a frame: 70 % of it")
    assert "up to 133 frames/s" in told
    assert "drawing bounds a frame" in bound(Stages(0.2, 1, 0.3, 3.5, 0.1)._asdict())
    assert "no stage bounds" in bound(Stages(1, 1.2, 1, 1, 0.1)._asdict())
    outputs = Stages(0.2, 1, 0.3, 1, 13)._asdict()
    assert "handing over to the outputs bounds a frame: 84 %" in bound(outputs)
    assert "encoding the video bounds a frame: 84 %" in bound(outputs, recorded=True)
    assert bound(Stages(0, 0, 0, 0, 0)._asdict()) == "no stage took any time"


def test_the_command_writes_every_file_that_was_asked_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bundle = make_bundle(tmp_path / "colours.edgecam")
    paths = {name: tmp_path / f"x.{name}" for name in ("csv", "html")}
    outputs = command.Outputs(
        tmp_path / "x.json",
        paths["csv"],
        tmp_path / "h.png",
        tmp_path / "c.png",
        tmp_path / "t.json",
        paths["html"],
    )
    command.bench(bundle, Order(runs=64), outputs, json=True)
    told = json.loads(capsys.readouterr().out)
    assert load(tmp_path / "x.json").columns["wall"].shape == (64,)
    rows = list(csv.DictReader(paths["csv"].read_text().splitlines()))
    assert len(rows) == 64
    assert set(rows[0]) >= {"scheduled_s", "cpu_s", "infer_s"}
    page = paths["html"].read_text()
    assert page.count("data:image/png;base64,") == 2
    assert "INVALID" in page
    assert told["engine"] in page
    assert cv2.imread(str(tmp_path / "c.png")) is not None
    assert json.loads((tmp_path / "t.json").read_text())["traceEvents"]


def test_a_picture_that_is_shown_often_is_one_picture(tmp_path: Path) -> None:
    clock = SimulatedTime()
    often, once = scene(0, (48, 64)), scene(2, (48, 64))
    loop = Loop(
        Timed(clock), colour_head(), [often, often, once], lambda frame, result: None, lambda: clock.at
    )
    told = conduct(Order(runs=663), loop, clock.time, root=tmp_path, run=lambda words: "")
    assert told.accuracy.frames == 2
    assert sorted(loop.in_peace()) == [0, 2]
    assert [said.frame for said in loop.said[:6]] == [0, 0, 2, 0, 0, 2]


@pytest.mark.parametrize("option", ["out", "csv", "histogram", "cdf", "timeline", "html"])
def test_a_place_where_nothing_can_be_written_is_told_before_anything_is_measured(
    tmp_path: Path, option: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command, "conduct", lambda *a, **k: pytest.fail("it measured first"))
    (tmp_path / "file").touch()
    for path, words in ((tmp_path, "is a folder"), (tmp_path / "file/x/y.json", "nothing can be written")):
        with pytest.raises(OutputError, match=f"--{option} .*{words}"):
            command.bench(tmp_path / "x.edgecam", Order(), command.Outputs(**{option: path}), json=True)


def test_what_was_measured_is_printed_though_it_cannot_be_saved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(self: object, *_: object) -> None:
        raise OutputError("No space left on device.")

    monkeypatch.setattr(command.Outputs, "write", full)
    with pytest.raises(OutputError):
        command.bench(make_bundle(tmp_path / "x.edgecam"), Order(runs=64), json=True)
    assert json.loads(capsys.readouterr().out)["runs"] == 64


def test_mlperfs_own_figure_is_told_with_its_bound(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bundle = make_bundle(tmp_path / "colours.edgecam")
    for scenario, words in (("single-stream", "SingleStream is the p90"), ("multi-stream", "is the p99")):
        command.bench(bundle, Order(scenario=scenario, runs=64, batch=2), json=False)
        told = capsys.readouterr().out.replace("\n", " ")
        assert words in told
        assert ("below" in told) == (scenario == "single-stream"), "64 queries bound a p90, not a p99"
