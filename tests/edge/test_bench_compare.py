"""Comparing: how often the verdict errs, and the line protocol with real programs."""

import json
import sys
from io import StringIO
from itertools import repeat
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from edge.bench_kit import Server, SimulatedTime, constant
from edgecam.bench import scenarios
from edgecam.bench.against import Spent, rival, serve_lines
from edgecam.bench.compare import BETWEEN_PROCESSES, paired, student, unpaired
from edgecam.bench.compare_files import compare_files
from edgecam.bench.duel import PROCESSES, Duel, Side, duel
from edgecam.bench.samples import columns_of, load, save
from edgecam.bench.stages import Times
from edgecam.bench.statistics import bootstrap, summarise
from edgecam.bench.timing import Floats
from edgecam.commands import bench as command
from edgecam_engines.errors import DataError, MeasurementError

FRAMES = 80


def lives(rng: np.random.Generator, factor: float = 1.0) -> tuple[Floats, Floats]:
    """Times of two programs: shared load that wanders, noise of each frame, luck of each process."""
    load = np.exp(np.cumsum(rng.normal(0, 0.02, (PROCESSES, FRAMES)), axis=1))
    a, b = (
        0.01 * load * np.exp(rng.normal(0, 0.015, (PROCESSES, 1)) + np.abs(rng.normal(0, 0.1, load.shape)))
        for _ in range(2)
    )
    return a, b * factor


def test_the_same_program_twice_is_rarely_called_different() -> None:
    rng = np.random.default_rng(1)
    verdicts = [paired(*lives(rng), "cpu").verdict for _ in range(300)]
    assert verdicts.count("no difference") >= 0.975 * 300


def test_five_percent_are_found_when_measured_in_turn() -> None:
    rng = np.random.default_rng(2)
    verdicts = [paired(*lives(rng, 1.05), "cpu").verdict for _ in range(200)]
    assert verdicts.count("B is slower") >= 0.95 * 200
    assert "B is faster" not in verdicts


def test_who_is_started_first_is_taken_out_of_the_verdict() -> None:
    rng = np.random.default_rng(7)
    luck = np.where(np.arange(PROCESSES) % 2 == 0, 1.03, 1 / 1.03)[:, None]
    verdicts = []
    for _ in range(100):
        a, b = lives(rng, 1.05)
        verdicts.append(paired(a * luck, b, "cpu").verdict)
    assert verdicts.count("B is slower") >= 93


def test_the_interval_holds_the_truth_as_often_as_it_says() -> None:
    rng = np.random.default_rng(3)
    told = [paired(*lives(rng, 1.1), "cpu") for _ in range(300)]
    held = np.mean([each.low <= 1.1 <= each.high for each in told])
    assert 0.975 <= held <= 1.0


def test_frames_of_one_process_are_no_more_evidence_than_one_process() -> None:
    # Two processes of one program that differ by their luck alone, each measured without any noise.
    told = unpaired(np.full(1000, 0.0100), np.full(1000, 0.0103), "cpu")
    assert told.verdict == "no difference"
    assert told.high / told.ratio == pytest.approx(np.exp(2.5758 * np.sqrt(2) * BETWEEN_PROCESSES), rel=1e-3)
    assert unpaired(np.full(1000, 0.0100), np.full(1000, 0.0120), "cpu").verdict == "B is slower"


def test_load_that_wanders_widens_what_was_measured_apart() -> None:
    rng = np.random.default_rng(4)
    still = rng.normal(0.01, 0.0005, (2, 1000))
    wander = 0.01 * np.exp(np.cumsum(rng.normal(0, 0.01, (2, 1000)), axis=1))
    calm, moved = unpaired(*still, "cpu"), unpaired(*wander, "cpu")
    assert moved.high / moved.low > 1.05 * calm.high / calm.low


@pytest.mark.parametrize("freedom", [4, 5, 6, 7, 10, 30, 1000])
def test_students_quantile_is_scipys(freedom: int) -> None:
    assert student(0.995, freedom) == pytest.approx(stats.t.ppf(0.995, freedom), rel=0.03)


def test_the_verdict_is_told_in_words_with_its_interval() -> None:
    a = np.full((PROCESSES, FRAMES), 0.01)
    told = paired(a, a * 1.2, "latency")
    assert told.in_words() == (
        "B is slower: it takes 20.0 % more latency than A "
        "(99 % interval +20.0 % to +20.0 %, measured in turn)."
    )
    assert paired(a, a / 1.2, "cpu").in_words().startswith("B is faster: it takes 16.7 % less processor time")
    assert "no difference was found in processor time: B takes +0.0 %" in paired(a, a, "cpu").in_words()


@pytest.mark.parametrize(("shape", "words"), [((5, 80), "too few"), ((480,), "as many of both")])
def test_too_little_is_not_compared(shape: tuple[int, ...], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        paired(np.ones(shape), np.ones(shape), "cpu")


def test_a_clock_too_coarse_is_not_compared() -> None:
    with pytest.raises(ValueError, match="too coarse"):
        unpaired(np.zeros(100), np.ones(100), "cpu")


def test_the_bootstrap_holds_the_true_median() -> None:
    rng = np.random.default_rng(6)
    held = []
    for _ in range(100):
        low, high = bootstrap(rng.exponential(size=200), [50], rng, 300)[50]
        held.append(low <= np.log(2) <= high)
    assert 0.88 <= np.mean(held) <= 1.0


def test_a_summary_is_in_milliseconds_and_knows_its_spread() -> None:
    told = summarise(np.array([0.001, 0.003]), np.random.default_rng(0))
    assert (told.n, told.mean) == (2, pytest.approx(2.0))
    assert told.variation == pytest.approx(0.5)
    assert told.percentiles == {
        50: pytest.approx(1),
        90: pytest.approx(3),
        95: pytest.approx(3),
        99: pytest.approx(3),
    }
    assert set(told.bounds.values()) == {None}


# -- files


def a_result(path: Path, service: float, **document: object) -> Path:
    clock = SimulatedTime()
    run = scenarios.closed_loop(constant(clock, service), clock.time, queries=100, warm_up=3)
    about = {
        "scenario": "single-stream",
        "frames_per_query": 1,
        "invalid": [],
        "provenance": {"device": "cpu"},
    }
    save(path, {**about, **document}, columns_of(run, Times(np.zeros((100, 5)))))
    return path


def test_raw_samples_are_kept_beside_the_result(tmp_path: Path) -> None:
    kept = load(a_result(tmp_path / "a.json", 0.01))
    assert kept.columns["cpu"] == pytest.approx([0.01] * 100)
    assert kept.columns["warm_up"] == pytest.approx([0.01] * 3)
    assert kept.document["samples"]["unit"] == "s"


def test_samples_that_were_changed_are_refused(tmp_path: Path) -> None:
    path = a_result(tmp_path / "a.json", 0.01)
    content = bytearray((tmp_path / "a.npz").read_bytes())
    content[-1] ^= 1
    (tmp_path / "a.npz").write_bytes(content)
    with pytest.raises(DataError, match=r"was changed.*\n.*\n.*--out a\.json"):
        load(path)


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"samples": {"file": "../x.npz", "sha256": ""}}'])
def test_what_is_no_result_says_how_one_is_made(tmp_path: Path, content: str) -> None:
    (tmp_path / "a.json").write_text(content)
    with pytest.raises(DataError, match=r"edgecam bench NAME\.edgecam --out"):
        load(tmp_path / "a.json")


def test_two_results_are_compared_with_what_differs_besides(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    a = a_result(tmp_path / "a.json", 0.010, provenance={"device": "cpu", "power_mode": "MAXN"})
    b = a_result(tmp_path / "b.json", 0.013, invalid=["swap grew"], provenance={"device": "cpu"})
    told, warnings = compare_files(a, b)
    assert (told.verdict, told.metric, told.paired) == ("B is slower", "cpu", False)
    assert told.ratio == pytest.approx(1.3)
    assert warnings[:2] == ["B is INVALID: swap grew", "another power_mode: MAXN and None"]
    assert "measured apart" in warnings[2]
    command.compare(a, b, json=True)
    document = json.loads(capsys.readouterr().out)
    assert (document["verdict"], document["ratio"]) == ("B is slower", 1.3)
    command.compare(a, a, json=False)
    assert "no difference was found" in capsys.readouterr().out


def test_results_of_two_scenarios_are_not_compared(tmp_path: Path) -> None:
    a, b = a_result(tmp_path / "a.json", 1), a_result(tmp_path / "b.json", 1, scenario="server")
    with pytest.raises(MeasurementError, match="their scenario is single-stream and server"):
        compare_files(a, b)


def test_results_measured_in_turn_are_compared_by_pairs(tmp_path: Path) -> None:
    first, second = lives(np.random.default_rng(5), 1.05)
    about = {
        "scenario": "single-stream",
        "frames_per_query": 1,
        "session": "s",
        "provenance": {"device": "cpu"},
    }
    for name, times in (("a", first), ("b", second)):
        save(tmp_path / f"{name}.json", about, {"wall": times, "cpu": times})
    told, warnings = compare_files(tmp_path / "a.json", tmp_path / "b.json")
    assert (told.paired, told.verdict, warnings) == (True, "B is slower", [])


# -- another program

PROGRAM = """
import sys
print("a library greets")
print("ready the other one", flush=True)
for line in sys.stdin:
    order, n = line.split()
    assert order == "run"
    print("chatter")
    print("done", {answer}, flush=True)
"""


def other(tmp_path: Path, answer: str) -> str:
    (tmp_path / "other.py").write_text(PROGRAM.replace("{answer}", answer))
    return f"{sys.executable} {tmp_path / 'other.py'}"


def test_another_program_is_asked_frame_by_frame(tmp_path: Path) -> None:
    with rival(other(tmp_path, "0.002 * int(n), 0.001 * int(n)")) as program:
        assert program.name == "the other one"
        assert program.run(5) == (0.01, 0.005)


def test_a_program_that_tells_no_processor_time_is_compared_by_latency(tmp_path: Path) -> None:
    slow, fast = other(tmp_path, "0.002"), f"{sys.executable} {tmp_path / 'fast.py'}"
    (tmp_path / "fast.py").write_text(PROGRAM.replace("{answer}", "0.001, 0.001"))
    told = duel(lambda: rival(slow), lambda: rival(fast), frames=4, warm_up=1, processes=6)
    assert told.a.cpu is None
    verdict = told.compared(on_cpu=True)
    assert (verdict.metric, verdict.verdict, verdict.ratio) == ("latency", "B is faster", pytest.approx(0.5))


@pytest.mark.parametrize("answer", ["'nonsense'", "-1", "float('nan')", ""])
def test_an_answer_that_is_none_names_the_protocol(tmp_path: Path, answer: str) -> None:
    with (
        rival(other(tmp_path, answer or "''")) as program,
        pytest.raises(MeasurementError, match="done WALL_S"),
    ):
        program.run(1)


@pytest.mark.parametrize("program", ["import sys; sys.exit(3)", "print('hello')"])
def test_a_program_that_never_gets_ready_is_named(tmp_path: Path, program: str) -> None:
    (tmp_path / "p.py").write_text(program)
    line = f"{sys.executable} {tmp_path / 'p.py'}"
    with pytest.raises(MeasurementError, match="ended before it said 'ready'"), rival(line):
        pass


def test_a_program_that_is_not_there_is_named() -> None:
    with pytest.raises(MeasurementError, match="no-such-program"), rival("no-such-program --x"):
        pass


def test_our_side_of_the_protocol_measures_the_frames_alone() -> None:
    clock = SimulatedTime()
    out = StringIO()
    server = Server(clock, repeat(0.002))
    serve_lines(server, clock.time, "ours", ["run 1\n", "run 3\n"], out, warm_up=2)
    assert out.getvalue() == "ready ours\ndone 0.002000000 0.002000000\ndone 0.006000000 0.006000000\n"
    assert server.frames == [1] * 6


def test_our_side_refuses_what_is_no_order() -> None:
    clock = SimulatedTime()
    with pytest.raises(MeasurementError, match="run N"):
        serve_lines(constant(clock, 1), clock.time, "x", ["stop\n"], StringIO(), warm_up=0)


def test_a_duel_takes_turns_and_lets_each_begin_as_often() -> None:
    order: list[str] = []

    class Fake:
        def __init__(self, name: str) -> None:
            self.name = name

        def __enter__(self) -> "Fake":
            return self

        def __exit__(self, *_: object) -> None:
            order.append("ended")

        def run(self, frames: int) -> Spent:
            order.append(f"{self.name}{frames}")
            return Spent(0.01, 0.01)

    told = duel(lambda: Fake("a"), lambda: Fake("b"), frames=4, warm_up=9, processes=2)
    first = ["a9", "b9", "a1", "b1", "b1", "a1", "a1", "b1", "b1", "a1", "ended", "ended"]
    turned = {"a": "b", "b": "a"}
    assert order == first + [turned.get(said[0], said[0]) + said[1:] for said in first]
    assert (told.a.name, told.b.name, told.a.wall.shape) == ("a", "b", (2, 4))


def test_a_duel_that_cannot_be_judged_says_why() -> None:
    side = Side("x", np.ones((2, 3)), None)
    with pytest.raises(MeasurementError, match="2 processes of each are too few"):
        Duel(side, side).compared(on_cpu=True)
