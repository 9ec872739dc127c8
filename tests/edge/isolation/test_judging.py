"""When a reader is stalled or hung, how long to wait for a camera, and which frames waited in a buffer."""

import random
from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgecam.isolation.backlog import Backlog
from edgecam.isolation.patience import Patience, Watch
from edgecam.isolation.pauses import pauses
from edgecam.sources import gstreamer
from edgecam.sources.opening import LONGEST_TIMEOUT_S, TIMEOUTS, USUAL_S, V4L2_S, opening_s


def test_a_reader_is_fine_then_stalled_then_hung() -> None:
    watch = Watch(Patience(), now=100.0)
    watch.opened(30.0, 103.0)
    watch.heard(104.0)
    told = [watch.verdict(104.0 + silent) for silent in (0.0, 0.99, 1.0, 4.99, 5.0, 99.0)]
    assert told == ["fine", "fine", "stalled", "stalled", "hung", "hung"]


def test_opening_may_take_longer_than_a_frame_may() -> None:
    watch = Watch(Patience(start_s=20.0, connect_s=8.0), now=100.0)
    assert watch.verdict(119.9) == "fine"
    assert watch.verdict(120.0) == "hung"
    watch.opening(119.0)
    assert watch.verdict(126.9) == "fine"
    assert watch.verdict(127.0) == "hung"
    watch.heard(126.0)
    assert watch.verdict(133.9) == "fine"


def test_a_camera_of_this_machine_opens_soon_and_others_may_need_what_they_were_given(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(gstreamer, "on_jetson", lambda: False)
    local = {opening_s(uri) for uri in ("0", "/dev/video2", "v4l2:///dev/video0?width=640")}
    assert local == {V4L2_S}
    assert {opening_s(uri) for uri in ("csi://0", "gst:videotestsrc", "clip.mp4", "no-such://x")} == {USUAL_S}
    assert [opening_s(f"rtsp://a:b@c/d#{end}") for end in ("", "timeout=1", "transport=udp&timeout=30")] == [
        USUAL_S,
        USUAL_S,
        120.0,
    ]
    assert opening_s("http://c/d?timeout=30") == USUAL_S, "that is the camera's"
    monkeypatch.setattr(gstreamer, "on_jetson", lambda: True)
    assert opening_s("/dev/video2") == USUAL_S, "GStreamer stands between"


@given(st.text(max_size=30))
def test_whatever_stands_in_a_uri_opening_has_an_end(text: str) -> None:
    assert V4L2_S <= opening_s(text) <= TIMEOUTS * LONGEST_TIMEOUT_S
    assert USUAL_S <= opening_s(f"rtsp://c/d#timeout={text}") <= TIMEOUTS * LONGEST_TIMEOUT_S


def test_a_slow_camera_is_given_its_own_time() -> None:
    watch = Watch(Patience(), now=0.0)
    watch.opened(0.5, 0.0)
    assert [watch.verdict(silent) for silent in (5.9, 6.0, 19.9, 20.0)] == [
        "fine",
        "stalled",
        "stalled",
        "hung",
    ]


@given(st.floats(0, 40), st.booleans())
def test_the_verdict_does_not_change_before_the_next_look(silent: float, is_open: bool) -> None:
    watch = Watch(Patience(), now=0.0)
    if is_open:
        watch.opened(30.0, 0.0)
    verdict, wait = watch.verdict(silent), watch.until_next(silent)
    assert wait >= 0
    assert watch.verdict(silent + wait * 0.999) == verdict
    if verdict != "hung":
        assert wait > 0
        assert watch.verdict(silent + wait + 1e-6) != verdict


def test_pauses_double_up_to_the_longest_and_chance_shortens_them_by_at_most_half() -> None:
    for seed in range(20):
        waits = list(islice(pauses(random.Random(seed)), 6))
        for wait, most in zip(waits, (0.25, 0.5, 1.0, 1.25, 1.25, 1.25), strict=True):
            assert most / 2 <= wait <= most
    assert len({next(pauses(random.Random(seed))) for seed in range(20)}) == 20


class Buffered:
    """A camera behind a buffer, and a reader that may be stopped: asks, and is told what is fresh."""

    def __init__(self, interval_s: float) -> None:
        self.backlog, self.interval_s = Backlog(), interval_s
        self.now, self.next_made = 0.0, 0.0

    def read(self, stopped_s: float = 0.0, cost_s: float = 0.001) -> tuple[float, bool]:
        """One frame: its age when it came, and whether it was said to be fresh."""
        asked = self.now
        made, self.next_made = self.next_made, self.next_made + self.interval_s
        self.now = max(self.now, made) + stopped_s
        verdict = self.backlog.fresh(asked, self.now)
        age = self.now - made
        self.now += cost_s
        return age, verdict


@given(st.floats(0.01, 0.2), st.floats(1.01, 4.0))
def test_after_a_pause_no_frame_from_the_buffer_is_called_fresh(interval_s: float, stopped_s: float) -> None:
    camera = Buffered(interval_s)
    for _ in range(30):
        age, fresh = camera.read()
        assert fresh
    camera.read(stopped_s)
    for _ in range(int(stopped_s / interval_s) + 50):
        age, fresh = camera.read()
        assert not fresh or age < interval_s
    assert fresh, "and then frames count again"


def test_a_camera_that_paused_by_itself_loses_one_frame_at_most() -> None:
    backlog = Backlog()
    for i in range(10):
        assert backlog.fresh(i * 0.1 - 0.09, i * 0.1)
    assert not backlog.fresh(0.91, 4.0)
    assert backlog.fresh(4.01, 4.1)


def test_a_reader_too_slow_to_ever_wait_is_believed_at_once() -> None:
    backlog = Backlog()
    for i in range(10):
        assert backlog.fresh(i * 0.1, i * 0.1)
    assert not backlog.fresh(3.0, 3.0)
    assert backlog.fresh(3.1, 3.1)


def test_a_camera_that_became_faster_is_believed_after_a_while() -> None:
    backlog = Backlog()
    for i in range(10):
        assert backlog.fresh(i * 0.3 - 0.29, i * 0.3)
    assert not backlog.fresh(2.71, 5.0)
    later = [backlog.fresh(5.0 + i * 0.02 - 0.015, 5.0 + i * 0.02) for i in range(1, 200)]
    assert later == sorted(later)
    assert later.count(False) == 149


@pytest.mark.parametrize("interval", [0.001, 0.03, 0.9, 5.0])
def test_an_even_camera_is_fresh_at_every_frame(interval: float) -> None:
    backlog = Backlog()
    assert all(backlog.fresh(i * interval, (i + 0.9) * interval) for i in range(100))
