"""The parts that need no server: percentiles, history, what is fresh, what is encoded, who may ask."""

import asyncio
import os
import sys
import threading
import time
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.loop_kit import scene
from edge.web.web_kit import answer, decoded, event_of, until
from edgecam.decisions.event import Best
from edgecam.status import CameraStatus, State
from edgecam.web import jpeg
from edgecam.web.board import SILENT_S, Board
from edgecam.web.jpeg import small_heat
from edgecam.web.limits import ADDRESSES, Failures, Full, Places, Rates
from edgecam.web.pictures import KEPT_S, Pictures
from edgecam.web.pulse import Pulse, wait
from edgecam.web.recent import Answer, Recent, percentiles, rate, timing
from edgecam.web.thumbnails import Thumbnails
from edgecam.web.timeline import Timeline


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def status(state: State = "live", detail: str = "", camera: str = "front") -> CameraStatus:
    return CameraStatus(camera, state, 1.7e9, detail, 10, 9, 1, 0, 1.7e9 + 3)


# -- the last minute


def test_percentiles_are_those_of_the_last_minute_alone() -> None:
    answers = [Answer(float(second), 1000.0 if second < 40 else float(second)) for second in range(101)]
    found = timing(answers, now=100.0)
    assert found.age_ms == {"p50": 70.0, "p95": 97.0, "p99": 99.4}
    assert found.interval_ms == {"p50": 1000.0, "p95": 1000.0, "p99": 1000.0}


def test_the_rate_falls_when_the_loop_stands_still() -> None:
    answers = [Answer(i / 10, 1.0) for i in range(100)]
    assert rate(answers, 9.9) == pytest.approx(10, rel=0.03)
    assert rate(answers, 12.9) < 5
    assert rate(answers, 30.0) == 0


def test_nothing_has_no_percentiles() -> None:
    assert percentiles([]) is None
    assert timing([], 0.0) == (0.0, None, None)


@given(st.lists(st.floats(0, 1e4), min_size=1, max_size=50))
def test_a_second_holds_the_mean_and_the_worst(ages: list[float]) -> None:
    recent = Recent()
    for age in ages:
        recent.add(0.0, age, 1.7e9 + 0.5)
    (second,) = recent.seconds
    assert second.answers == len(ages)
    assert second.age_ms == pytest.approx(np.mean(ages), abs=0.5)
    assert second.worst_ms == pytest.approx(max(ages), abs=0.01)


# -- what is fresh


def test_a_camera_is_fresh_only_while_it_is_live_and_the_loop_speaks() -> None:
    clock = Clock()
    board = Board(clock, lambda: 1.7e9)
    board.status(status())
    assert board.stale("front") == ""
    board.status(status("lost", "unplugged"))
    assert board.stale("front") == "lost since 2023-11-14T22:13:20.000Z: unplugged"
    board.status(status())
    clock.now += SILENT_S + 1
    assert board.stale("front") == "the loop has said nothing for 6 s"


def test_a_camera_that_was_answered_but_not_heard_of_is_not_fresh() -> None:
    board = Board()
    board.result(answer(0), (240, 320))
    assert board.unhealthy() == {"front": "nothing was heard about it yet"}


def test_results_are_told_ten_times_a_second_at_most_and_the_newest_is_kept() -> None:
    clock = Clock()
    board = Board(clock, lambda: 1.7e9)
    told = 0
    for number in range(100):
        told += board.result(answer(number), (240, 320))
        clock.now += 0.01
    assert told == 10
    assert board.view("front")["result"]["frame"] == 99


# -- the timeline


def test_a_client_goes_on_where_it_left_off() -> None:
    timeline = Timeline("ab12", most=5)
    for number in range(8):
        timeline.add("event", {"n": number})
    assert [entry.facts["n"] for entry in timeline.after(timeline.position("ab12-6"))] == [6, 7]
    assert [entry.number for entry in timeline.after(0)] == [4, 5, 6, 7, 8], "bounded, the oldest fell out"


@pytest.mark.parametrize(
    "known", ["", "x", "zz-3", "ab12-", "ab12--3", "ab12-1e3", "ab12-²", "ab12-" + "9" * 99]
)
def test_an_id_of_another_start_or_none_is_told_everything(known: str) -> None:
    timeline = Timeline("ab12")
    timeline.add("event", {})
    assert timeline.position(known) == 0


def test_an_id_from_the_future_is_not_believed() -> None:
    timeline = Timeline("ab12")
    timeline.add("event", {})
    assert timeline.position("ab12-77") == 1


# -- pictures


@pytest.fixture
def pictures() -> Iterator[Pictures]:
    made = Pictures(lambda _: 12.0, most_fps=1000)
    yield made
    made.close()
    made.close()


def test_nothing_is_encoded_while_nobody_watches(pictures: Pictures) -> None:
    for number in range(20):
        pictures.offer(scene(0), answer(number))
    time.sleep(0.05)
    assert pictures.encodes == 0
    assert pictures.taken("front") == 1, "one copy, none of those that came within a second of it"
    assert KEPT_S == 1.0


def test_a_frame_is_encoded_once_for_everybody(pictures: Pictures) -> None:
    for _ in range(30):
        pictures.want("front", "none")
    pictures.offer(scene(0), answer(0))
    until(lambda: pictures.newest("front", "none"))
    for _ in range(30):
        pictures.want("front", "none")
    time.sleep(0.05)
    assert pictures.encodes == 1


def test_both_variants_are_of_the_frame_as_it_was_captured(pictures: Pictures) -> None:
    frame = scene(0)
    before = frame.copy()
    pictures.want("front", "none")
    pictures.want("front", "cam")
    pictures.offer(frame, answer(0))
    frame[:] = 255  # what other sinks draw on it, or the next capture
    plain = until(lambda: pictures.newest("front", "none"))
    drawn = until(lambda: pictures.newest("front", "cam"))
    assert np.abs(decoded(plain.jpeg).astype(int) - before).mean() < 4
    assert np.abs(decoded(drawn.jpeg).astype(int) - before).mean() > 4
    assert (plain.number, plain.hw) == (drawn.number, (240, 320))


def test_the_newest_frame_replaces_one_that_nobody_encoded(pictures: Pictures) -> None:
    pictures.want("front", "none")
    last = 0
    for number in range(200):
        pictures.offer(scene(number % 3), answer(number))
        time.sleep(0.0012)
    last = until(lambda: (p := pictures.newest("front", "none")) and p.result.frame == 199 and p).number
    assert pictures.encodes <= last


def test_a_machine_that_encodes_slowly_is_asked_less_often(monkeypatch: pytest.MonkeyPatch) -> None:
    def slow(*_: object) -> bytes:
        time.sleep(0.05)
        return b"jpeg"

    monkeypatch.setattr(jpeg, "encode", slow)
    made = Pictures(lambda _: 12.0, most_fps=1000)
    began, number, before = time.monotonic(), 0, 0
    while time.monotonic() - began < 1.2:
        made.want("front", "none")
        made.offer(scene(0), answer(number))
        before = made.taken("front") if time.monotonic() - began < 0.2 else before
        number += 1
        time.sleep(0.002)
    made.close()
    assert 2 <= made.taken("front") - before <= 6, "0.05 s to encode, so every 0.2 s at most"


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux keeps niceness per thread")
def test_the_encoder_lets_the_loop_go_first(pictures: Pictures) -> None:
    encoder = pictures._thread.native_id
    assert encoder is not None
    own = os.getpriority(os.PRIO_PROCESS, threading.get_native_id())
    until(lambda: os.getpriority(os.PRIO_PROCESS, encoder) == min(19, own + 10))
    assert os.getpriority(os.PRIO_PROCESS, threading.get_native_id()) == own


def test_a_frame_that_cannot_be_encoded_does_not_end_those_after_it(pictures: Pictures) -> None:
    pictures.want("front", "none")
    pictures.offer(np.zeros((1, 70_000, 3), np.uint8), answer(0))  # longer than a JPEG may be
    until(lambda: pictures.failures)
    pictures.want("front", "none")
    pictures.offer(scene(0), answer(1))
    assert until(lambda: pictures.newest("front", "none")).result.frame == 1
    assert pictures.failures == 1, "and it was not tried again and again"


def test_a_heat_map_shrinks_to_what_a_browser_enlarges() -> None:
    rows, columns, cells = small_heat(np.full((60, 120), 77, np.uint8))
    assert (rows, columns) == (24, 48)
    assert cells == bytes([77]) * 24 * 48
    assert small_heat(None) == (0, 0, b"")
    assert small_heat(np.zeros((3, 5), np.uint8))[:2] == (3, 5), "a small one stays as it is"


def test_thumbnails_are_bounded_both_ways_and_made_once_a_frame() -> None:
    thumbnails = Thumbnails(most=3, most_asked=2)
    for number in range(5):
        thumbnails.ask(event_of(f"e{number}", scene(0)))
    assert (thumbnails.asked, thumbnails.dropped) == (2, 3)
    for number in range(5):
        thumbnails.ask(event_of(f"f{number}", scene(0)))
        thumbnails.make_one()
    thumbnails.ask(event_of("f4", scene(1)))
    while thumbnails.asked:
        thumbnails.make_one()
    assert [name for name in ("e3", "e4", *(f"f{n}" for n in range(5))) if thumbnails.get(name)] == [
        "f2",
        "f3",
        "f4",
    ]
    thumbnails.ask(event_of("f4", scene(1), "end"))
    assert thumbnails.asked == 0, "it shows the same frame"


def test_a_thumbnail_is_at_all_times_waited_for_or_there(monkeypatch: pytest.MonkeyPatch) -> None:
    thumbnails, seen = Thumbnails(), []
    made = jpeg.thumbnail

    def looked_at(best: Best) -> bytes:
        seen.append(thumbnails.waiting("e"))
        return made(best)

    monkeypatch.setattr(jpeg, "thumbnail", looked_at)
    thumbnails.ask(event_of("e", scene(0)))
    thumbnails.make_one()
    assert seen == [True]
    assert thumbnails.get("e")
    assert not thumbnails.waiting("e")


# -- limits


def test_a_bucket_empties_and_fills_again() -> None:
    clock = Clock()
    rates = Rates(per_s=2.0, burst=5, now=clock)
    assert [rates.allow("a") for _ in range(6)] == [True] * 5 + [False]
    assert rates.allow("b"), "another address is not kept waiting"
    clock.now += 1.0
    assert [rates.allow("a") for _ in range(3)] == [True, True, False]


def test_wrong_tokens_are_answered_later_and_later_and_forgiven() -> None:
    clock = Clock()
    failures = Failures(clock)
    assert [failures.delay("a") for _ in range(7)] == [0.25, 0.5, 1.0, 2.0, 4.0, 4.0, 4.0]
    assert failures.delay("b") == 0.25
    clock.now += 61
    assert failures.delay("a") == 0.25


def test_what_is_remembered_of_addresses_is_bounded() -> None:
    rates, failures = Rates(1.0, 1, Clock()), Failures(Clock())
    for number in range(3 * ADDRESSES):
        rates.allow(str(number))
        failures.delay(str(number))
    assert len(rates._left) == len(failures._seen) == ADDRESSES


def test_a_place_is_given_back_whatever_happens() -> None:
    places = Places(1)
    with pytest.raises(ValueError, match="x"), places.one():  # noqa: PT012 - the inner block must raise
        with pytest.raises(Full), places.one():
            pass
        raise ValueError("x")
    assert places.taken == 0


# -- the pulse


def test_beats_from_another_thread_wake_everybody_and_never_pile_up() -> None:
    pulse = Pulse()
    pulse.beat()  # before there is a loop: nothing happens

    async def main() -> list[bool]:
        loop = asyncio.get_running_loop()
        pulse.attach(loop)
        waiting = [asyncio.create_task(wait(pulse.next(), 5.0)) for _ in range(10)]
        beating = threading.Thread(target=lambda: [pulse.beat() for _ in range(10_000)])
        beating.start()
        beating.join()
        assert len(loop._ready) < 50  # type: ignore[attr-defined]
        woken = await asyncio.gather(*waiting)
        pulse.attach(None)
        return woken

    assert asyncio.run(main()) == [True] * 10
    pulse.beat()  # after the loop: nothing happens
