"""The newest photos of the tray, for the page. Names come from the folder, never from outside."""

import json
import os
import re
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, NamedTuple

import cv2

from edgecam_engines.engine import Frame
from edgecam_engines.photo import photo_from_bytes

MOST: Final = 24  # photos that are shown
AGAIN_S: Final = 2.0  # between two looks at the folder
SIDE: Final = 200  # pixels of the longer side of a small picture
_PHOTO: Final = 16 << 20  # bytes
_ABOUT: Final = 256 << 10
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9.-]{0,199}\.jpg")


class HardPhoto(NamedTuple):
    """A photo that waits for a name."""

    name: str
    label: str  # what it was called
    why: tuple[str, ...]  # why it is hard


class Shelf:
    """From any thread."""

    def __init__(self, folder: Path, now: Callable[[], float] = time.monotonic) -> None:
        """`folder` holds photos with a .json beside each; it need not be there yet."""
        self._folder, self._now, self._lock = folder, now, threading.Lock()
        self._found: dict[str, HardPhoto] = {}
        self._looked = float("-inf")

    def photos(self) -> list[HardPhoto]:
        """The newest first; looked for at most every other second."""
        with self._lock:
            if self._now() - self._looked >= AGAIN_S:
                self._found = {name: self._found.get(name) or self._about(name) for name in self._names()}
                self._looked = self._now()
            return list(self._found.values())

    def read(self, name: str) -> Frame | None:
        """One of `photos`; None where it is none of them, or gone. Raises BadPhoto."""
        if name not in {photo.name for photo in self.photos()}:
            return None
        content = self._content(name, _PHOTO)
        return None if content is None else photo_from_bytes(content, Path(name))

    def small(self, name: str) -> bytes | None:
        """The same as a small JPEG. Raises BadPhoto."""
        frame = self.read(name)
        if frame is None:
            return None
        h, w = frame.shape[:2]
        scale = min(1.0, SIDE / max(h, w))
        size = max(1, round(w * scale)), max(1, round(h * scale))
        return bytes(cv2.imencode(".jpg", cv2.resize(frame, size, interpolation=cv2.INTER_AREA))[1])

    def _names(self) -> list[str]:
        try:
            names = [entry.name for entry in os.scandir(self._folder) if entry.is_file(follow_symlinks=False)]
        except OSError:
            return []
        return sorted(filter(_NAME.fullmatch, names), reverse=True)[:MOST]  # they begin with the time

    def _about(self, name: str) -> HardPhoto:
        content = self._content(name.removesuffix(".jpg") + ".json", _ABOUT)
        try:
            told: Any = json.loads(content or b"{}")
            return HardPhoto(name, str(told.get("label", ""))[:120], tuple(map(str, told.get("why", ())))[:3])
        except (ValueError, AttributeError, TypeError, RecursionError):
            return HardPhoto(name, "", ())

    def _content(self, name: str, most: int) -> bytes | None:
        try:
            handle = os.open(self._folder / name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
            with os.fdopen(handle, "rb") as file:
                content = file.read(most + 1)
        except OSError:
            return None
        return content if len(content) <= most else None
