"""Events, alarms and states as the loop would tell them, made by hand."""

import numpy as np

from edgecam.decisions.event import Alarm, Best, Event, Phase
from edgecam.status import CameraStatus, State
from edgecam_engines.engine import Frame
from edgecam_engines.geometry import Box

AT = 1_700_000_000.0  # 2023-11-14T22:13:20Z


def event(
    number: int = 0,
    phase: Phase = "start",
    *,
    camera: str = "line 1",
    label: str = "mug",
    at: float = AT,
    frame: Frame | None = None,
) -> Event:
    if frame is None:
        frame = np.full((24, 32, 3), 90, np.uint8)
    best = Best(frame, 7, at, 0.91234, Box(1, 2, 3, 4), None)
    return Event(
        f"id-{number:05d}", camera, label, phase, at, at, 3, 0.91234, best, "gone" if phase == "end" else ""
    )


def alarm(firing: bool = True, *, camera: str = "line 1", rule: str = "mug > 3/h @ p<0.001") -> Alarm:
    return Alarm(rule, camera, "mug", AT, 9, 3600.0, 3.0, 0.0038, firing)


def status(
    state: State = "live", *, camera: str = "line 1", detail: str = "", captured: int = 5
) -> CameraStatus:
    return CameraStatus(camera, state, AT, detail, captured, 3, 2, 0, AT)
