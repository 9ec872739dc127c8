"""What the loop says about one frame."""

from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from edgecam.moment import iso
from edgecam_engines.engine import Features
from edgecam_engines.geometry import Box
from edgecam_engines.head import Ranked

UNKNOWN: Final = "unknown"  # the label below the threshold; the guess itself stays in `top`
TOP: Final = 3


class Result(NamedTuple):
    """One answer about one frame that was really captured."""

    frame: int  # number of the frame in its source, from 0; frames that were skipped count
    captured_at: float  # seconds since the epoch, UTC
    age_ms: float  # from capture to this answer
    skipped: int  # frames so far that the source gave and nobody looked at
    label: str  # the best class, or UNKNOWN
    confidence: float  # of the best class, also when the label is UNKNOWN
    box: Box | None  # frame pixels, half-open; None when unknown or when the map is flat
    top: tuple[Ranked, ...]  # at most TOP, best first
    heat: NDArray[np.uint8] | None  # (h, w) of the engine's input, the map from 0 to 255; None with no box
    camera: str = ""  # the name of the camera; never holds a password
    frame_label: str | None = None  # what this frame alone would say; None where nothing was smoothed
    frame_confidence: float | None = None  # of this frame's own best class; None as above
    probabilities: NDArray[np.float32] | None = None  # (classes,), this frame's own, never smoothed
    classes: tuple[str, ...] = ()  # names for `probabilities`, in their order
    rejected: bool = False  # the class head takes it for none of its classes, however probable one is
    captured: float | None = None  # captured_at on the monotonic clock; None: nobody told
    features: Features | None = None  # (1, d, gh, gw), what the class head read; never written to

    @property
    def steady_at(self) -> float:
        """When it was captured, to count the time between results by: a clock that nobody sets, if told."""
        return self.captured_at if self.captured is None else self.captured


def as_json(result: Result) -> dict[str, Any]:
    """The stable line that scripts read. `heat` is a picture and stays out, as do probabilities and features.

    `frame_label` and `frame_confidence` are there when answers are smoothed.
    """
    own: dict[str, Any] = {}
    if result.frame_label is not None and result.frame_confidence is not None:
        own = {"frame_label": result.frame_label, "frame_confidence": round(result.frame_confidence, 4)}
    return {
        "frame": result.frame,
        "captured_at": iso(result.captured_at),
        "age_ms": round(result.age_ms, 2),
        "skipped": result.skipped,
        "label": result.label,
        "confidence": round(result.confidence, 4),
        "box": None if result.box is None else list(result.box),
        "top": [{"label": r.label, "confidence": round(r.confidence, 4)} for r in result.top],
        **own,
    }
