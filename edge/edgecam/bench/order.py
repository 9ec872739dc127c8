"""What `edgecam bench` is asked to do."""

from dataclasses import asdict, dataclass
from typing import Any

from edgecam.bench.loop import WARM_UP
from edgecam.bench.names import SINGLE_STREAM, STREAMS


@dataclass(frozen=True)
class Order:
    """One benchmark. Units are in the names; None means: not asked for."""

    scenario: str = SINGLE_STREAM
    runs: int = 700  # queries after warm-up; of `camera`, frames that come
    warm_up: int = WARM_UP  # calls
    backend: str | None = None
    threads: int = 1
    skip_check: bool = False
    batch: int = STREAMS  # frames in a query of multi-stream and offline
    fps: float = 30.0  # of the camera
    rate: float | None = None  # of the server: arrivals a second; None searches for the highest
    p99_ms: float | None = None  # of the server: what its p99 may be; None is one frame's time at `fps`
    minutes: float = 10.0  # of the soak
    power_mode: str | None = None  # that the board is to be in, by name
    energy: bool = False
    roofline: bool = False
    camera: str | None = None  # URI that the scenario camera reads; None: frames made in memory
    record: str | None = None  # video that is encoded meanwhile
    seed: int = 0  # of arrivals and intervals

    @property
    def bound_s(self) -> float:
        return (1e3 / self.fps if self.p99_ms is None else self.p99_ms) / 1e3

    def document(self) -> dict[str, Any]:
        return asdict(self)
