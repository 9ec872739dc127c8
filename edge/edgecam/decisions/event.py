"""What happened before a camera, and what is said about it."""

from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from edgecam_engines.engine import Frame
from edgecam_engines.geometry import Box

Phase = Literal["start", "update", "end"]


class Best(NamedTuple):
    """The frame that shows an event best: the one with the highest confidence so far."""

    frame: Frame  # as it was captured, nothing drawn on it; never written to
    number: int  # of the frame in its source
    captured_at: float  # seconds since the epoch, UTC
    confidence: float  # of this frame alone, in the event's class
    box: Box | None
    heat: NDArray[np.uint8] | None  # as in `Result`


class Event(NamedTuple):
    """One thing seen for a while by one camera. Told once as start and once as end, with updates between."""

    id: str  # 26 letters and digits, unique over restarts; sorts by time
    camera: str
    label: str
    phase: Phase
    started_at: float  # captured_at of the first frame of it, seconds since the epoch
    seen_at: float  # captured_at of the last frame that showed it
    frames: int  # frames that showed it
    confidence: float  # the highest so far, of the answers as they were shown
    best: Best
    why: str = ""  # of an end: "gone", "camera lost", "stopped"
    lasted_s: float = 0.0  # from the first to the last frame that showed it, by a clock that nobody sets


class Alarm(NamedTuple):
    """Events came more often than they should: how many, and how likely that was by chance."""

    rule: str  # as it was written: "defective > 3/h @ p<0.001"
    camera: str
    label: str
    at: float  # seconds since the epoch
    events: int  # in the window, up to twice as many as it takes to fire
    window_s: float
    expected: float  # events that the rule expects in the window
    p: float  # P(that many or more | expected), exactly
    firing: bool  # True when it begins, False when it is over
