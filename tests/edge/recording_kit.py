"""A recorder, frames and events for it, and what it wrote of them."""

import json
from pathlib import Path
from typing import Any

from edge.recorder_kit import (
    AT,
    FPS,
    numbered,
    plan,
)
from edge.told_kit import event
from edgecam.decisions.event import Phase
from edgecam.recorder.encoder import OpenCVEncoder
from edgecam.recorder.moment import moment_of
from edgecam.recorder.recorder import Recorder


def recorder(folder: Path, said: list[str] | None = None, **changes: Any) -> Recorder:
    heard: list[str] = [] if said is None else said
    return Recorder(folder, plan(**changes), OpenCVEncoder, heard.append)


def feed(to: Recorder, numbers: range, *, camera: str = "cam", fps: float = FPS, noise: bool = False) -> None:
    for number in numbers:
        to.frame(numbered(number, noise=noise), camera, AT + number / fps)


def tell(to: Recorder, name: int, phase: Phase, frame: int) -> None:
    """An event that began, or was seen last, with this frame."""
    moment = moment_of(event(name, phase, camera="cam", at=AT + frame / FPS))
    assert moment is not None
    to.moment(moment)


def lines(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "events.jsonl").read_text().splitlines()]
