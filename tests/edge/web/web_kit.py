"""What the tests of the page share: a loop that calls the sink as the real one does, and raw requests."""

import http.client
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final, NamedTuple

import cv2
import numpy as np

from edge.loop_kit import scene
from edgecam.decisions.event import Alarm, Best, Event
from edgecam.result import Result
from edgecam.sinks.web import Web
from edgecam.status import CameraStatus, State
from edgecam.web.about import About
from edgecam.web.limits import ConnectionLimits
from edgecam_engines.engine import Frame
from edgecam_engines.geometry import Box
from edgecam_engines.head import Ranked

CLASSES: Final = ("blue thing", "green thing", "red thing")
ABOUT: Final = About("colours", "fixed-fp32", "default", CLASSES, {"edgecam": "0.1.0"})


SECRET: Final = "a-secret-of-some-length"
PATHS: Final = (
    "/",
    "/api/state",
    "/events",
    "/stream.mjpg",
    "/snapshot.jpg",
    "/metrics",
    "/healthz",
    "/nowhere",
)


def about(classes: tuple[str, ...] = CLASSES) -> About:
    return ABOUT._replace(classes=classes)


def heat_at(x: float, y: float, side: int = 64) -> np.ndarray:
    """A round spot, (side, side), 0 to 255; `x` and `y` from 0 to 1."""
    rows, columns = np.mgrid[0:side, 0:side] / side
    level = np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / 0.03)
    return np.rint(level / level.max() * 255).astype(np.uint8)


def answer(
    number: int,
    camera: str = "front",
    kind: int = 0,
    classes: tuple[str, ...] = CLASSES,
    hw: tuple[int, int] = (240, 320),
) -> Result:
    """An answer about `scene(kind)`: the square in the left half."""
    h, w = hw
    box = Box(w // 8, h // 4, 3 * w // 8, 3 * h // 4)
    top = tuple(
        Ranked(k, classes[k], 0.9 if k == kind else 0.05) for k in sorted(range(3), key=lambda k: k != kind)
    )
    return Result(
        frame=number,
        captured_at=time.time() - 0.02,
        age_ms=20.0 + number % 7,
        skipped=number // 10,
        label=classes[kind],
        confidence=0.9,
        box=box,
        top=top,
        heat=heat_at(0.25, 0.5),
        camera=camera,
    )


def event_of(
    name: str,
    frame: Frame,
    phase: str = "start",
    label: str = "red thing",
    camera: str = "front",
    at: float | None = None,
) -> Event:
    at = time.time() if at is None else at
    h, w = frame.shape[:2]
    best = Best(frame, 7, at, 0.93, Box(w // 8, h // 4, 3 * w // 8, 3 * h // 4), heat_at(0.25, 0.5))
    return Event(name, camera, label, phase, at, at + 2, 12, 0.93, best, "gone" if phase == "end" else "")  # type: ignore[arg-type]


def alarm_of(*, firing: bool = True, rule: str = "red thing > 3/h @ p<0.001", camera: str = "front") -> Alarm:
    return Alarm(rule, camera, "red thing", time.time(), 9, 3600.0, 3.0, 0.0038, firing)


class Loop:
    """Calls the sink from one thread: `write` at a rate, `status` at each change and about once a second."""

    def __init__(
        self,
        web: Web,
        cameras: tuple[str, ...] = ("front",),
        fps: float = 20.0,
        picture: Callable[[int], Frame] | None = None,
        classes: tuple[str, ...] = CLASSES,
    ) -> None:
        self.web, self.cameras, self.fps = web, cameras, fps
        self.classes = classes
        self.written = 0
        self.slowest_s = 0.0  # the longest that the sink kept this thread
        self._picture = picture or (lambda number: scene((number // 20) % 3))
        self._lost: dict[str, str] = {}
        self._since = {camera: time.time() for camera in cameras}
        self._calls: list[Callable[[], None]] = []
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name="test-loop", daemon=True)
        self._thread.start()

    def lose(self, camera: str, why: str = "it was unplugged; trying again") -> None:
        self._since[camera] = time.time()
        self._lost[camera] = why
        self.tell(lambda: self.web.status(self._status(camera)))

    def find(self, camera: str) -> None:
        self._since[camera] = time.time()
        del self._lost[camera]
        self.tell(lambda: self.web.status(self._status(camera)))

    def tell(self, call: Callable[[], None]) -> None:
        """Have the loop's thread call the sink."""
        self._calls.append(call)

    def stop(self) -> None:
        self._ending.set()
        self._thread.join(5)
        assert not self._thread.is_alive()

    def _run(self) -> None:
        spoken = 0.0
        while not self._ending.is_set():
            began = time.monotonic()
            if began - spoken >= 1.0:
                spoken = began
                for camera in self.cameras:
                    self.web.status(self._status(camera))
            while self._calls:
                self._calls.pop(0)()
            for camera in self.cameras:
                if camera not in self._lost:
                    number = self.written
                    kind = (number // 20) % 3
                    frame = self._picture(number)
                    self.web.write(frame, answer(number, camera, kind, self.classes, frame.shape[:2]))
            self.slowest_s = max(self.slowest_s, time.monotonic() - began)
            self.written += 1
            self._ending.wait(max(0.0, 1 / self.fps - (time.monotonic() - began)))

    def _status(self, camera: str) -> CameraStatus:
        lost = self._lost.get(camera)
        state: State = "live" if lost is None else "lost"
        return CameraStatus(
            camera,
            state,
            self._since[camera],
            lost or "",
            self.written,
            self.written,
            0,
            len(self._lost),
            time.time(),
        )


@contextmanager
def serving(
    *,
    serve: str = "127.0.0.1:0",
    token_file: Path | None = None,
    classes: tuple[str, ...] = CLASSES,
    limits: ConnectionLimits = ConnectionLimits(),  # noqa: B008 - a constant
) -> Iterator[Web]:
    """A sink that answers on a free port."""
    said: list[str] = []
    before = threading.enumerate()
    web = Web(serve, about(classes), token_file=token_file, say=said.append, limits=limits)
    try:
        yield web
    finally:
        web.close()
    assert not [words for words in said if "gone" in words], said
    left = [thread.name for thread in threading.enumerate() if thread not in before]
    assert not [name for name in left if name.startswith("edgecam")], left


@contextmanager
def looping(web: Web, **settings: Any) -> Iterator[Loop]:
    """The loop, running, once it was heard."""
    loop = Loop(web, **settings)
    try:
        until(web.hub.board.answered)
        yield loop
    finally:
        loop.stop()


def until(true: Callable[[], Any], seconds: float = 10.0) -> Any:
    """Wait for something to be true; what it is then."""
    end = time.monotonic() + seconds
    while not (found := true()):
        assert time.monotonic() < end, "it did not come true in time"
        time.sleep(0.01)
    return found


def place_of(web: Web) -> tuple[str, int]:
    host, _, port = web.url.removeprefix("http://").rstrip("/").rpartition(":")
    return host.strip("[]"), int(port)


def raw(web: Web, request: bytes, seconds: float = 5.0) -> bytes:
    """Send bytes as they are; everything that comes back until the other side closes or time is up."""
    end = time.monotonic() + seconds
    with socket.create_connection(place_of(web), timeout=seconds) as client:
        client.sendall(request)
        received = b""
        with suppress(TimeoutError):
            while (left := end - time.monotonic()) > 0:
                client.settimeout(left)
                if not (part := client.recv(1 << 16)):
                    break
                received += part
        return received


class Reply(NamedTuple):
    """What came back."""

    status: int
    headers: dict[str, str]  # names in lower case
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


def get(web: Web, path: str, headers: dict[str, str] | None = None, method: str = "GET") -> Reply:
    """One request on a connection of its own."""
    connection = http.client.HTTPConnection(*place_of(web), timeout=10)
    try:
        connection.request(method, path, headers=headers or {})
        answer = connection.getresponse()
        return Reply(answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read())
    finally:
        connection.close()


@contextmanager
def streaming(
    web: Web, path: str, headers: dict[str, str] | None = None
) -> Iterator[http.client.HTTPResponse]:
    """An answer that lasts, to be read as it comes."""
    connection = http.client.HTTPConnection(*place_of(web), timeout=10)
    try:
        connection.request("GET", path, headers=headers or {})
        yield connection.getresponse()
    finally:
        connection.close()


def messages(answer: http.client.HTTPResponse) -> Iterator[dict[str, str]]:
    """Server-sent events, as they come; comments and empty ones are left out."""
    fields: dict[str, str] = {}
    while line := answer.readline():
        name, _, value = line.decode().rstrip("\n").partition(": ")
        if line == b"\n":
            if "event" in fields:
                yield fields
            fields = {}
        elif name:
            fields[name] = value


def parts(answer: http.client.HTTPResponse) -> Iterator[tuple[dict[str, str], bytes]]:
    """Pictures of an MJPEG stream, with the headers of their parts."""
    while line := answer.readline():
        if not line.startswith(b"--"):
            continue
        headers: dict[str, str] = {}
        while line := answer.readline().strip():
            name, _, value = line.decode().partition(": ")
            headers[name.lower()] = value
        yield headers, answer.read(int(headers["content-length"]))


def decoded(jpeg: bytes) -> Frame:
    frame = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
    assert frame is not None
    return np.asarray(frame, dtype=np.uint8)
