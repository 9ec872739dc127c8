"""What systemd hears: of results, of cameras, and nothing when an engine hangs."""

import os
import uuid
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.systemd_kit import Listening
from edgecam.result import Result
from edgecam.service.notify import Notify
from edgecam.service.systemd import STATUS_EVERY_S, Systemd, longest_gap_s
from edgecam.settings import RunSettings
from edgecam.sinks.listener import Listener
from edgecam.status import CameraStatus, State

FRAME = np.zeros((4, 4, 3), np.uint8)
RESULT = Result(0, 1.0, 5.0, 0, "defective", 0.93, None, (), None, "belt")
WATCHDOG_S = 10.0


def status(state: State, camera: str = "belt", detail: str = "") -> CameraStatus:
    return CameraStatus(camera, state, 1.0, detail, 10, 8, 1, 0, 5.0)


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def told(systemd: Listening, clock: Clock, gap_s: float = 0.0) -> Systemd:
    return Systemd(Notify(systemd.environ(WATCHDOG_S)), gap_s, clock)


def pings(heard: list[dict[str, str]]) -> int:
    return sum("WATCHDOG" in words for words in heard)


# -- the datagrams


@pytest.mark.parametrize("abstract", [False, True])
def test_words_reach_a_socket_in_a_file_and_an_abstract_one(abstract: bool, tmp_path: Path) -> None:
    with Listening(f"@edgecam-{uuid.uuid4()}" if abstract else tmp_path / "notify") as systemd:
        notify = Notify(systemd.environ())
        assert notify.tell(READY=1, STATUS="two\nlines")
        notify.close()
        assert systemd.heard() == [{"READY": "1", "STATUS": "two lines"}], "a line break would end the words"


@pytest.mark.parametrize("environ", [{}, {"NOTIFY_SOCKET": ""}, {"NOTIFY_SOCKET": "vsock:2:1"}])
def test_without_a_socket_nothing_is_sent_and_nothing_watches(environ: dict[str, str]) -> None:
    notify = Notify({**environ, "WATCHDOG_USEC": "1000000"})
    assert not notify.wanted
    assert notify.watchdog_s is None
    assert not notify.tell(READY=1)
    notify.close()


def test_a_systemd_that_does_not_listen_stops_nothing(tmp_path: Path) -> None:
    notify = Notify({"NOTIFY_SOCKET": str(tmp_path / "gone")})
    assert not notify.tell(READY=1)
    notify.close()
    with Listening(tmp_path / "full") as systemd:
        notify = Notify(systemd.environ())
        sent = [notify.tell(STATUS="x" * 1000) for _ in range(5000)]
        assert not sent[-1], "its queue is full, and we did not wait"
        systemd.heard()
        assert notify.tell(READY=1)
        notify.close()


@pytest.mark.parametrize(
    ("more", "seconds"),
    [
        ({"WATCHDOG_USEC": "30000000"}, 30.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": str(os.getpid())}, 30.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "1"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "often"}, None),
        ({}, None),
    ],
)
def test_the_watchdog_is_ours_only_when_it_is_meant_for_this_process(
    more: dict[str, str], seconds: float | None
) -> None:
    assert Notify({"NOTIFY_SOCKET": "/run/notify", **more}).watchdog_s == seconds


# -- ready, status, stopping


def test_the_service_is_ready_with_its_first_result_and_only_once(tmp_path: Path, clock: Clock) -> None:
    with Listening(tmp_path / "notify") as systemd:
        sink = told(systemd, clock)
        assert isinstance(sink, Listener)
        sink.status(status("live"))
        assert not any("READY" in words for words in systemd.heard()), "an open camera is no result yet"
        sink.write(FRAME, RESULT)
        sink.write(FRAME, RESULT)
        assert sum("READY" in words for words in systemd.heard()) == 1
        sink.close()
        assert systemd.heard()[-1]["STOPPING"] == "1"
        sink.close()


def test_a_ready_that_was_not_taken_is_sent_again(tmp_path: Path, clock: Clock) -> None:
    sink = Systemd(Notify({"NOTIFY_SOCKET": str(tmp_path / "notify")}), now=clock)
    sink.write(FRAME, RESULT)
    with Listening(tmp_path / "notify") as systemd:
        sink.write(FRAME, RESULT)
        assert any("READY" in words for words in systemd.heard())
        sink.close()


def test_while_a_camera_is_waited_for_at_the_start_more_time_is_asked_for(
    tmp_path: Path, clock: Clock
) -> None:
    with Listening(tmp_path / "notify") as systemd:
        sink = told(systemd, clock)
        sink.status(status("connecting"))
        assert {"EXTEND_TIMEOUT_USEC": "60000000"} in systemd.heard()
        sink.status(status("live"))
        sink.write(FRAME, RESULT)
        sink.status(status("lost"))
        assert not any("EXTEND_TIMEOUT_USEC" in words for words in systemd.heard())
        sink.close()


def test_the_status_says_how_it_is_at_once_when_a_camera_changes_and_else_seldom(
    tmp_path: Path, clock: Clock
) -> None:
    with Listening(tmp_path / "notify") as systemd:
        sink = told(systemd, clock)
        sink.status(status("live"))
        for _ in range(100):
            clock.now += STATUS_EVERY_S / 100
            sink.write(FRAME, RESULT)
            systemd.listen()
        words = [said["STATUS"] for said in systemd.heard() if "STATUS" in said]
        assert len(words) <= 2
        assert words[-1].startswith("belt live, ")
        sink.status(status("lost", detail="no such device"))
        assert systemd.heard() == [{"STATUS": "belt lost (no such device), 100 results, defective 93 %"}]
        sink.close()


def test_a_reload_is_told_with_the_time_that_systemd_asks_for(tmp_path: Path, clock: Clock) -> None:
    with Listening(tmp_path / "notify") as systemd:
        sink = told(systemd, clock)
        sink.reloading()
        sink.reloaded("Settings read again.", 0.0)
        assert systemd.heard() == [
            {"RELOADING": "1", "MONOTONIC_USEC": "1000000000"},
            {"READY": "1", "STATUS": "Settings read again."},
        ]
        sink.close()


# -- the watchdog


def live_through(
    systemd: Listening,
    sink: Systemd,
    clock: Clock,
    seconds: int,
    *,
    results: bool,
    states: list[CameraStatus],
) -> None:
    """A main loop: each second every camera's state, and ten results where there are any."""
    for _ in range(seconds):
        for one in states:
            sink.status(one)
        for _ in range(10):
            clock.now += 0.1
            if results:
                sink.write(FRAME, RESULT)
        systemd.listen()


def test_results_feed_the_watchdog_at_half_its_period(tmp_path: Path, clock: Clock) -> None:
    with Listening(tmp_path / "notify") as systemd:
        sink = told(systemd, clock)
        live_through(systemd, sink, clock, 100, results=True, states=[status("live")])
        assert 19 <= pings(systemd.heard()) <= 21
        sink.close()


def test_a_hung_engine_starves_the_watchdog_though_its_camera_is_live(tmp_path: Path, clock: Clock) -> None:
    with Listening(tmp_path / "notify") as systemd:
        sink = told(systemd, clock)
        live_through(systemd, sink, clock, 20, results=True, states=[status("live")])
        systemd.heard()
        hung = clock.now
        last = hung
        for _ in range(60):
            live_through(systemd, sink, clock, 1, results=False, states=[status("live")])
            last = clock.now if pings(systemd.heard()) else last
        assert last - hung <= WATCHDOG_S / 2 + 1, "systemd ends it within one and a half periods"
        sink.close()


def test_another_camera_that_is_lost_does_not_hide_a_hung_engine(tmp_path: Path, clock: Clock) -> None:
    with Listening(tmp_path / "notify") as systemd:
        sink = told(systemd, clock)
        states = [status("live"), status("lost", "gate")]
        live_through(systemd, sink, clock, 20, results=True, states=states)
        live_through(systemd, sink, clock, 10, results=False, states=states)
        systemd.heard()
        live_through(systemd, sink, clock, 60, results=False, states=states)
        assert pings(systemd.heard()) == 0
        sink.close()


@pytest.mark.parametrize("state", ["connecting", "stalled", "lost"])
def test_a_camera_that_is_away_feeds_the_watchdog_for_hours(
    state: State, tmp_path: Path, clock: Clock
) -> None:
    with Listening(tmp_path / "notify") as systemd:
        sink = told(systemd, clock)
        live_through(systemd, sink, clock, 5, results=True, states=[status("live")])
        for _ in range(60):
            systemd.heard()
            live_through(systemd, sink, clock, 60, results=False, states=[status(state)])
            assert pings(systemd.heard()) >= 60 / WATCHDOG_S
        sink.close()


def test_a_main_loop_that_says_nothing_any_more_feeds_nothing(tmp_path: Path, clock: Clock) -> None:
    with Listening(tmp_path / "notify") as systemd:
        sink = told(systemd, clock)
        sink.write(FRAME, RESULT)
        systemd.heard()
        clock.now += 3600
        assert systemd.heard() == []
        sink.close()


def test_answers_that_are_rare_by_the_settings_are_no_hang(tmp_path: Path, clock: Clock) -> None:
    gap_s = longest_gap_s(RunSettings(Path(), fps=1 / 60))
    with Listening(tmp_path / "notify") as systemd:
        sink = told(systemd, clock, gap_s)
        for _ in range(10):
            sink.write(FRAME, RESULT)
            systemd.heard()
            live_through(systemd, sink, clock, 60, results=False, states=[status("live")])
            assert pings(systemd.heard()) >= 60 / WATCHDOG_S - 1
        live_through(systemd, sink, clock, 60, results=False, states=[status("live")])
        systemd.heard()
        live_through(systemd, sink, clock, 60, results=False, states=[status("live")])
        assert pings(systemd.heard()) == 0
        sink.close()


@given(fps=st.none() | st.floats(1e-3, 1e3), every=st.integers(1, 10_000))
def test_the_longest_gap_covers_what_was_asked_for(fps: float | None, every: int) -> None:
    gap_s = longest_gap_s(RunSettings(Path(), fps=fps, every=every))
    assert gap_s >= every / 5
    assert fps is None or gap_s * fps >= 1 - 1e-9
    assert longest_gap_s(RunSettings(Path(), fps=fps, every=every, on_motion=True)) == float("inf")
