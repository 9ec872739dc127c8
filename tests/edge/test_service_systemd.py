"""What systemd hears: of answers, of cameras, and nothing when an engine hangs."""

import os
import uuid
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.systemd_kit import Listening
from edgecam.service.notify import Notify
from edgecam.service.systemd import EXTEND_EVERY_S, Systemd, longest_gap_s
from edgecam.settings import RunSettings
from edgecam.status import CameraStatus, State

WATCHDOG_S = 10.0


def camera(
    state: State, processed: int = 0, name: str = "belt", detail: str = "", still: int = 0
) -> CameraStatus:
    return CameraStatus(name, state, 1.0, detail, processed + 3, processed, 3, 0, 5.0, still)


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


class Cameras:
    """Cameras and a main loop that looks twenty times a second, as far as systemd sees them."""

    def __init__(self, systemd: Listening, clock: Clock, gap_s: float = 0.0) -> None:
        self.systemd, self.clock = systemd, clock
        self.told = Systemd(Notify(systemd.environ(WATCHDOG_S)), gap_s, clock)
        self.processed = 0

    def go_on(
        self, seconds: float, *states: State, answers: bool = False, still: bool = False
    ) -> list[dict[str, str]]:
        """Time passes; the first camera is answered in every look, or not at all. What systemd heard."""
        self.systemd.listen()
        passed_over = 0
        for _ in range(round(seconds * 20)):
            self.clock.now += 0.05
            self.processed += answers
            passed_over += still
            first = camera(states[0], self.processed, still=passed_over)
            rest = [camera(state, 0, f"camera {n}") for n, state in enumerate(states[1:])]
            self.told.look(lambda found=(first, *rest): found)
            self.systemd.listen()
        return self.systemd.heard()


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


def test_the_service_is_ready_with_its_first_answer_and_only_once(tmp_path: Path, clock: Clock) -> None:
    with Listening(tmp_path / "notify") as systemd:
        cameras = Cameras(systemd, clock)
        assert not any("READY" in said for said in cameras.go_on(30, "live")), (
            "an open camera is no answer yet"
        )
        assert sum("READY" in said for said in cameras.go_on(30, "live", answers=True)) == 1
        cameras.told.close()
        assert systemd.heard() == [{"STOPPING": "1"}]
        cameras.told.close()


def test_a_ready_that_was_not_taken_is_sent_again(tmp_path: Path, clock: Clock) -> None:
    told = Systemd(Notify({"NOTIFY_SOCKET": str(tmp_path / "notify")}), now=clock)
    told.look(lambda: [camera("live", 1)])
    with Listening(tmp_path / "notify") as systemd:
        clock.now += 1
        told.look(lambda: [camera("live", 1)])
        assert {"READY": "1"} in systemd.heard()
        told.close()


def test_while_a_camera_is_waited_for_at_the_start_more_time_is_asked_for(
    tmp_path: Path, clock: Clock
) -> None:
    with Listening(tmp_path / "notify") as systemd:
        cameras = Cameras(systemd, clock)
        asked = sum("EXTEND_TIMEOUT_USEC" in said for said in cameras.go_on(100, "connecting"))
        assert 100 / EXTEND_EVERY_S - 1 <= asked <= 100 / EXTEND_EVERY_S + 1
        cameras.go_on(1, "live", answers=True)
        assert not any("EXTEND_TIMEOUT_USEC" in said for said in cameras.go_on(100, "lost"))
        cameras.told.close()


def test_an_engine_that_hangs_before_the_first_answer_gets_no_more_time(tmp_path: Path, clock: Clock) -> None:
    with Listening(tmp_path / "notify") as systemd:
        cameras = Cameras(systemd, clock)
        heard = cameras.go_on(100, "live", "lost")
        assert not any({"EXTEND_TIMEOUT_USEC", "READY"} & set(said) for said in heard)
        cameras.told.close()


def test_the_status_says_how_it_is_at_once_when_a_camera_changes_and_else_seldom(
    tmp_path: Path, clock: Clock
) -> None:
    with Listening(tmp_path / "notify") as systemd:
        cameras = Cameras(systemd, clock)
        heard = cameras.go_on(60, "live", "stalled", answers=True)
        assert 12 <= sum("STATUS" in said for said in heard) <= 14
        clock.now += 1
        cameras.told.look(lambda: [camera("lost", 9, detail="no such device"), camera("live", 4, "gate")])
        words = "belt lost (no such device): 9 answered, 3 skipped, gate live: 4 answered, 3 skipped"
        assert {"STATUS": words} in systemd.heard()
        cameras.told.close()


def test_a_reload_is_told_with_the_time_that_systemd_asks_for(tmp_path: Path, clock: Clock) -> None:
    with Listening(tmp_path / "notify") as systemd:
        told = Systemd(Notify(systemd.environ()), now=clock)
        told.reloading()
        told.reloaded("Settings read again.", 0.0)
        assert systemd.heard() == [
            {"RELOADING": "1", "MONOTONIC_USEC": "1000000000"},
            {"READY": "1", "STATUS": "Settings read again."},
        ]
        told.close()


def test_the_end_of_a_reload_is_told_even_when_the_queue_was_full(tmp_path: Path, clock: Clock) -> None:
    """Otherwise systemd would wait for it until it gives the service up."""
    with Listening(tmp_path / "notify") as systemd:
        told = Systemd(Notify(systemd.environ()), now=clock)
        flood = Notify(systemd.environ())
        while flood.tell(STATUS="x"):
            pass
        told.reloading()
        told.reloaded("Settings read again.", 0.0)
        systemd.heard()
        clock.now += 1
        told.look(lambda: [])
        assert ["RELOADING" in said for said in systemd.heard()][:2] == [True, False]
        told.close()
        flood.close()


def test_without_systemd_the_cameras_are_not_even_asked(clock: Clock) -> None:
    told = Systemd(Notify({}), now=clock)
    told.look(lambda: pytest.fail("nobody wants to know"))
    told.close()


# -- the watchdog


def test_answers_feed_the_watchdog_at_half_its_period(tmp_path: Path, clock: Clock) -> None:
    with Listening(tmp_path / "notify") as systemd:
        cameras = Cameras(systemd, clock)
        assert 19 <= pings(cameras.go_on(100, "live", answers=True)) <= 21
        cameras.told.close()


def test_frames_that_were_passed_over_as_still_feed_it_too(tmp_path: Path, clock: Clock) -> None:
    with Listening(tmp_path / "notify") as systemd:
        cameras = Cameras(systemd, clock)
        cameras.go_on(5, "live", answers=True)
        assert pings(cameras.go_on(100, "live", still=True)) >= 19
        cameras.told.close()


@pytest.mark.parametrize("others", [(), ("lost",), ("live", "stalled")])
def test_a_hung_engine_starves_the_watchdog_while_any_camera_is_live(
    others: tuple[State, ...], tmp_path: Path, clock: Clock
) -> None:
    with Listening(tmp_path / "notify") as systemd:
        cameras = Cameras(systemd, clock)
        cameras.go_on(20, "live", *others, answers=True)
        cameras.go_on(WATCHDOG_S / 2 + 1, "live", *others)
        assert pings(cameras.go_on(600, "live", *others)) == 0
        cameras.told.close()


@pytest.mark.parametrize("state", ["connecting", "stalled", "lost"])
def test_a_camera_that_is_away_feeds_the_watchdog_for_hours(
    state: State, tmp_path: Path, clock: Clock
) -> None:
    with Listening(tmp_path / "notify") as systemd:
        cameras = Cameras(systemd, clock)
        cameras.go_on(5, "live", answers=True)
        for _ in range(3):
            assert pings(cameras.go_on(600, state)) >= 600 / WATCHDOG_S
        cameras.told.close()


def test_a_main_loop_that_looks_no_more_feeds_nothing(tmp_path: Path, clock: Clock) -> None:
    with Listening(tmp_path / "notify") as systemd:
        cameras = Cameras(systemd, clock)
        cameras.go_on(5, "live", answers=True)
        clock.now += 3600
        assert systemd.heard() == [], "nothing is sent from a thread of its own"
        cameras.told.close()


def test_answers_that_are_rare_by_the_settings_are_no_hang(tmp_path: Path, clock: Clock) -> None:
    gap_s = longest_gap_s(RunSettings(Path(), fps=1 / 60))
    with Listening(tmp_path / "notify") as systemd:
        cameras = Cameras(systemd, clock, gap_s)
        for _ in range(5):
            cameras.go_on(0.5, "live", answers=True)
            assert pings(cameras.go_on(59, "live")) >= 59 / WATCHDOG_S
        cameras.go_on(60, "live")
        assert pings(cameras.go_on(600, "live")) == 0
        cameras.told.close()


@given(fps=st.none() | st.floats(1e-3, 1e3), every=st.integers(1, 10_000))
def test_the_longest_gap_covers_what_was_asked_for(fps: float | None, every: int) -> None:
    gap_s = longest_gap_s(RunSettings(Path(), fps=fps, every=every))
    assert gap_s >= every / 5
    assert fps is None or gap_s * fps >= 1 - 1e-9
