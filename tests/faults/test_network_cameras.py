"""The whole loop while cameras of the network fail: real servers that damage, resize, stop and start."""

import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from edge.loop_kit import make_bundle
from edge.parts.mjpeg_server import MjpegServer
from edge.parts.rtsp_server import RtspServer, has_rtsp_server
from edgecam import live
from edgecam.decisions.event import Alarm, Event
from edgecam.result import Result
from edgecam.settings import RunSettings
from edgecam.sinks.sink import Finished
from edgecam.sources.fixed import number_of
from edgecam.status import CameraStatus
from edgecam_engines.engine import Frame
from faults.test_loop_faults import meanwhile
from faults.witness import beside, readers, wait_for

OLDEST_S = 1.0


class Viewer:
    """A sink that looks at every frame, and ends the loop when it is told to."""

    pictures = False

    def __init__(self, look: Callable[[Frame], None] = lambda frame: None) -> None:
        self.frames, self.over = 0, False
        self.shapes: list[tuple[int, ...]] = []
        self.statuses: list[CameraStatus] = []
        self._look = look

    def write(self, frame: Frame, result: Result) -> None:
        assert 0 <= result.age_ms < OLDEST_S * 1e3
        self._look(frame)
        self.frames += 1
        self.shapes += [frame.shape] if frame.shape not in self.shapes else []

    def status(self, status: CameraStatus, /) -> None:
        self.statuses.append(status)
        if self.over:
            raise Finished

    def event(self, event: Event, /) -> None:
        pass

    def alarm(self, alarm: Alarm, /) -> None:
        pass

    def close(self) -> None:
        pass

    @property
    def state(self) -> str:
        """The last that was told."""
        return self.statuses[-1].state if self.statuses else ""

    def more(self, count: int = 5) -> Callable[[], bool]:
        """Whether so many frames came since this was asked for."""
        before = self.frames
        return lambda: self.frames >= before + count


@pytest.fixture
def bundle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    return make_bundle(tmp_path / "colours.edgecam")


def watch(bundle: Path, uri: str, viewer: Viewer, work: Callable[[], None]) -> None:
    """The loop on one camera while `work` makes it fail; whatever happens, the loop ends with it."""

    def until_over() -> None:
        try:
            wait_for(lambda: viewer.frames > 3, 30)
            work()
        finally:
            viewer.over = True

    with beside(viewer), meanwhile(until_over):
        live.run(RunSettings(bundle, (uri,)))
    assert readers() == []
    last = viewer.statuses[-1]
    assert last.captured == last.processed + last.skipped
    assert last.processed == viewer.frames


def test_damaged_photos_are_never_shown_and_a_server_may_go_come_and_change_its_size(bundle: Path) -> None:
    server = MjpegServer()
    sent: dict[int, float] = {}

    def note(photo: bytes, number: int) -> bytes:
        sent[number] = time.monotonic()
        return photo

    def ruin_every_third(photo: bytes, number: int) -> bytes:
        sent[number] = time.monotonic()
        return photo if number % 3 else photo[: len(photo) // 2]

    def fresh(frame: Frame) -> None:
        number = number_of(frame)
        assert number is not None, "a picture that was not sent"
        assert time.monotonic() - sent[number] < OLDEST_S
        assert not (ruined and number % 3 == 0 and number >= ruined[0]), "a damaged photo"

    ruined: list[int] = []
    viewer = Viewer(fresh)

    def fail() -> None:
        ruined.append(server.number + 3)
        server.damage = ruin_every_third
        wait_for(viewer.more(20))
        server.stop()
        wait_for(lambda: viewer.state in {"stalled", "lost"})
        server.size = (400, 304)
        server.start()
        wait_for(viewer.more())
        wait_for(lambda: viewer.state == "live")
        server.stalled = True
        wait_for(lambda: viewer.state == "stalled")
        before = viewer.frames
        time.sleep(0.3)
        assert viewer.frames == before, "nothing is made up while nothing comes"
        server.stalled = False
        wait_for(viewer.more(), 20)

    server.damage = note
    with server:
        watch(bundle, server.uri, viewer, fail)
    assert viewer.shapes == [(240, 320, 3), (304, 400, 3)]
    assert viewer.statuses[-1].lost >= 1


@pytest.mark.skipif(
    not has_rtsp_server(), reason="needs GStreamer's RTSP server (gir1.2-gst-rtsp-server-1.0)"
)
def test_an_rtsp_server_may_be_killed_and_started_again(bundle: Path) -> None:
    pictures: list[Frame] = []

    def keep(frame: Frame) -> None:
        pictures.append(np.array(frame[::8, ::8]))

    viewer = Viewer(keep)
    server = RtspServer()

    def fail() -> None:
        for _ in range(2):
            server.stop()
            wait_for(lambda: viewer.state in {"stalled", "lost"}, 20)
            server.start()
            wait_for(viewer.more(), 20)
            wait_for(lambda: viewer.state == "live")

    with server:
        watch(bundle, server.uri, viewer, fail)
    # The server ends with the thread that started it last, which the loop may still see.
    assert [status.lost for status in viewer.statuses if status.state == "live"][-1] == 2
    moved = [not np.array_equal(a, b) for a, b in pairwise(pictures)]
    assert np.mean(moved) > 0.9, "a moving ball, not one picture again and again"
