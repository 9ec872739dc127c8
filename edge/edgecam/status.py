"""How a camera is, for people, pages, brokers and health checks."""

from typing import Literal, NamedTuple

State = Literal["connecting", "live", "stalled", "lost"]


class CameraStatus(NamedTuple):
    """One camera at one moment. Nothing here is estimated: every number was counted."""

    camera: str  # its name, as in `Result.camera`; never holds a password
    state: State  # stalled: open, but no fresh frame; lost: not open, being called back
    since: float  # seconds since the epoch at which this state began
    detail: str  # in words: why it is so and what is being done; "" while live
    captured: int  # frames that came from the camera; see `counts_all`
    processed: int  # frames that were answered
    skipped: int  # frames that nobody looked at; captured = processed + skipped + those in hand, a few
    lost: int  # how often it went away
    captured_at: float | None  # when the newest frame was captured, seconds since the epoch; None: none yet
    still: int = 0  # of those skipped, frames that were taken and passed over since nothing had moved
    counts_all: bool = False  # whether `captured` are all; False: a driver or decoder may drop some unseen
