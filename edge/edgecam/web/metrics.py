"""Numbers for Prometheus. Labels are bounded: cameras, classes, rules; never what a client sends."""

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Final, get_args

from prometheus_client import CollectorRegistry, Histogram, ProcessCollector, generate_latest
from prometheus_client import Counter as Count
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from edgecam.decisions.event import Alarm, Event
from edgecam.result import Result
from edgecam.status import CameraStatus, State
from edgecam.web.board import Board
from edgecam.web.limits import Places
from edgecam.web.pictures import Pictures

AGES_S: Final = (0.01, 0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.5, 1.0, 2.0, 5.0)
MOST_LABELS: Final = 200  # classes that are counted apart; others come together as "other"
COUNTED: Final = (  # name, words, field of CameraStatus
    ("edgecam_frames_captured", "Frames that the camera gave.", "captured"),
    ("edgecam_frames_processed", "Frames that were answered.", "processed"),
    ("edgecam_frames_skipped", "Frames that nobody looked at.", "skipped"),
    ("edgecam_camera_losses", "How often the camera went away.", "lost"),
)


class Metrics:
    """A registry of its own, so that nothing else in the process is told."""

    def __init__(
        self, board: Board, pictures: Pictures, places: dict[str, Places], refused: Counter[str]
    ) -> None:
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        self._registry.register(_Cameras(board))
        self._registry.register(_Server(pictures, places, refused))
        self._labels: set[str] = set()
        self._age = Histogram(
            "edgecam_age_seconds",
            "From the capture of a frame to its answer.",
            ["camera"],
            buckets=AGES_S,
            registry=self._registry,
        )
        self._events = Count(
            "edgecam_events", "Events that began.", ["camera", "label"], registry=self._registry
        )
        self._alarms = Count(
            "edgecam_alarms", "Rate alarms that began.", ["camera", "rule"], registry=self._registry
        )

    def result(self, result: Result) -> None:
        """One more answer."""
        self._age.labels(result.camera).observe(max(0.0, result.age_ms / 1e3))

    def event(self, event: Event) -> None:
        """Counts its start."""
        if event.phase == "start":
            self._events.labels(event.camera, self._bounded(event.label)).inc()

    def alarm(self, alarm: Alarm) -> None:
        """Counts its start."""
        if alarm.firing:
            self._alarms.labels(alarm.camera, alarm.rule).inc()

    def text(self) -> bytes:
        """What /metrics says."""
        return generate_latest(self._registry)

    def _bounded(self, label: str) -> str:
        if label not in self._labels and len(self._labels) >= MOST_LABELS:
            return "other"
        self._labels.add(label)
        return label


class _Cameras(Collector):
    """How the cameras are, asked when somebody scrapes."""

    def __init__(self, board: Board) -> None:
        self._board = board

    def collect(self) -> Iterator[Metric]:
        told = {name: told.status for name in self._board.cameras() if (told := self._board.told(name))}
        fresh = GaugeMetricFamily(
            "edgecam_camera_fresh", "1 while there is a fresh frame.", labels=["camera"]
        )
        rate = GaugeMetricFamily("edgecam_answers_per_second", "Over the last seconds.", labels=["camera"])
        for name in told:
            fresh.add_metric([name], float(not self._board.stale(name)))
            rate.add_metric([name], self._board.fps(name))
        yield fresh
        yield rate
        yield _states(told)
        yield _captured(told)
        for name, words, field in COUNTED:
            yield _count(name, words, ((camera, getattr(status, field)) for camera, status in told.items()))


class _Server(Collector):
    """What serving the page costs, and who was turned away."""

    def __init__(self, pictures: Pictures, places: dict[str, Places], refused: Counter[str]) -> None:
        self._pictures, self._places, self._refused = pictures, places, refused

    def collect(self) -> Iterator[Metric]:
        clients = GaugeMetricFamily("edgecam_web_clients", "Streams that are open.", labels=["kind"])
        for kind, place in self._places.items():
            clients.add_metric([kind], place.taken)
        yield clients
        yield CounterMetricFamily(
            "edgecam_web_encodes", "Pictures that were made into JPEG.", value=self._pictures.encodes
        )
        yield CounterMetricFamily(
            "edgecam_web_encode_failures", "Pictures that could not be made.", value=self._pictures.failures
        )
        yield _count(
            "edgecam_web_refused", "Requests that were turned away.", dict(self._refused).items(), "why"
        )


def _states(told: dict[str, CameraStatus]) -> Metric:
    states = GaugeMetricFamily(
        "edgecam_camera_state", "1 for the state it is in.", labels=["camera", "state"]
    )
    for camera, status in told.items():
        for state in get_args(State):
            states.add_metric([camera, state], float(status.state == state))
    return states


def _captured(told: dict[str, CameraStatus]) -> Metric:
    family = GaugeMetricFamily(
        "edgecam_last_capture_timestamp_seconds", "When the newest frame was captured.", labels=["camera"]
    )
    for camera, status in told.items():
        if status.captured_at is not None:
            family.add_metric([camera], status.captured_at)
    return family


def _count(name: str, words: str, counts: Iterable[tuple[str, int]], label: str = "camera") -> Metric:
    family = CounterMetricFamily(name, words, labels=[label])
    for key, count in counts:
        family.add_metric([key], count)
    return family
