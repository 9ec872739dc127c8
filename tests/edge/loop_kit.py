"""What the tests of the loop share: a bundle with the fixed back end, a video, a camera that fails on cue."""

import json
import time
from pathlib import Path

import cv2
import numpy as np

from edgecam_engines.bundle import write_manifest
from edgecam_engines.engine import Frame
from edgecam_engines.errors import SourceError
from edgecam_engines.head import Head, save_head

CLASSES = ("blue thing", "green thing", "red thing")
COLOURS = ((250, 30, 30), (30, 250, 30), (30, 30, 250))  # BGR, in the order of CLASSES
FPS = 25.0


def colour_head() -> Head:
    """Names the strongest colour of what the fixed engine sees."""
    return Head(np.eye(3, dtype=np.float32) * 60, np.zeros(3, np.float32), CLASSES)


def make_bundle(
    folder: Path, input_hw: tuple[int, int] = (64, 64), stride: int = 8, head: Head | None = None
) -> Path:
    """A bundle that opens anywhere: the fixed back end, and a head that names colours unless given one."""
    head = head or colour_head()
    (folder / "models").mkdir(parents=True)
    (folder / "models" / "fixed.json").write_text(json.dumps({"input_hw": input_hw, "stride": stride}))
    save_head(head, folder / "heads" / "default.safetensors")
    write_manifest(
        folder,
        {
            "name": folder.stem,
            "created": "2026-01-01T00:00:00Z",
            "edgecam": "0.1.0",
            "classes": list(head.classes),
            "input_hw": list(input_hw),
            "feature_dhw": [3, input_hw[0] // stride, input_hw[1] // stride],
            "engine": {"backend": "fixed", "precision": "fp32", "model": "models/fixed.json"},
            "models": {"fp32": "models/fixed.json"},
            "heads": {"default": "heads/default.safetensors"},
            "head": "default",
            "gate": {},
            "calibration": {},
            "provenance": {},
        },
    )
    return folder


def scene(kind: int, hw: tuple[int, int] = (240, 320)) -> Frame:
    """A grey frame with one coloured square in its left half; `kind` indexes CLASSES."""
    h, w = hw
    frame = np.full((h, w, 3), 60, np.uint8)
    frame[h // 4 : 3 * h // 4, w // 8 : 3 * w // 8] = COLOURS[kind]
    return frame


def make_video(
    path: Path, frames: int = 60, hw: tuple[int, int] = (240, 320), *, noisy: bool = False
) -> Path:
    """A video whose thirds show blue, green and red. With noise it compresses badly, to fill disks."""
    h, w = hw
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), FPS, (w, h))
    assert writer.isOpened()
    rng = np.random.default_rng(0)
    for i in range(frames):
        frame = scene(3 * i // frames, hw)
        if noisy:
            frame = np.where(rng.random((h, w, 1)) < 0.7, rng.integers(0, 255, (h, w, 3)), frame)
        writer.write(frame.astype(np.uint8))
    writer.release()
    return path


def frames_in(path: Path) -> list[Frame]:
    """Every frame of a video, decoded: what a player would show."""
    capture = cv2.VideoCapture(str(path))
    assert capture.isOpened(), f"{path} cannot be played"
    frames: list[Frame] = []
    while (read := capture.read())[0]:
        frames.append(np.asarray(read[1], dtype=np.uint8))
    capture.release()
    return frames


class CueCamera:
    """A live source whose frames carry their number, and which is lost after `lasts` of them."""

    live = True
    fps = FPS

    def __init__(self, lasts: int, first: int = 0, interval_s: float = 0.0) -> None:
        self.name = "cue camera"
        self.closed = False
        self._next, self._end, self._interval_s = first, first + lasts, interval_s

    def grab(self) -> bool:
        if self._next >= self._end:
            raise SourceError("cue camera stopped giving frames.")
        time.sleep(self._interval_s)
        self._next += 1
        return True

    def retrieve(self) -> Frame:
        return np.full((8, 8, 3), (self._next - 1) % 256, np.uint8)

    def stamp(self) -> float | None:
        return None

    def close(self) -> None:
        self.closed = True
