"""A camera for tests, with no camera: fixed://?width=640&height=480&fps=30&frames=100.

Every frame carries its number in its pixels (`number_of` reads it back, even after JPEG), so a test can tell
which frame it was given. It misbehaves on demand: hang_after, die_after and resize_after count frames.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np

from edgecam.sources.options import option, read_options, real, whole
from edgecam.sources.uri import split_scheme
from edgecam_engines.engine import Frame
from edgecam_engines.errors import SourceError

BITS: Final = 24
BLOCK: Final = 8  # pixels a bit: as large as JPEG's blocks, which keep it readable
MOST: Final = 2**BITS - 1
_DARK, _BRIGHT = 40, 215


@dataclass(frozen=True)
class FixedOptions:
    """What it gives, and when it stops giving it. 0 frames: without end."""

    width: int = option(whole(BITS * BLOCK, 8192), 640)
    height: int = option(whole(2 * BLOCK, 8192), 480)
    fps: float = option(real(0.1, 1000), 30.0)
    frames: int = option(whole(0, MOST), 0)
    hang_after: int | None = option(whole(0, MOST))  # then `grab` never returns
    die_after: int | None = option(whole(0, MOST))  # then it is lost, as a camera that was unplugged
    resize_after: int | None = option(whole(0, MOST))  # then frames have half the height


class Fixed:
    """A live source that keeps its rate by the clock, not by counting."""

    live = True

    def __init__(
        self,
        asked: FixedOptions,
        name: str = "fixed://",
        now: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.name, self.fps = name, asked.fps
        self._asked, self._now, self._sleep = asked, now, sleep
        self._number = -1  # of the grabbed frame
        self._stamp: float | None = None
        self._due = now()
        self._closed = False

    def grab(self) -> bool:
        following = self._number + 1
        if following == self._asked.hang_after:
            while not self._closed:
                self._sleep(0.05)
        if following == self._asked.die_after or self._closed:
            raise SourceError(f"{self.name} stopped giving frames.")
        if self._asked.frames and following >= self._asked.frames:
            return False
        now = self._now()
        if now < self._due:
            self._sleep(self._due - now)
        # Like a camera: what was not fetched in time is gone, and the next frame is a new one.
        self._stamp = max(self._due, now)
        self._due = self._stamp + 1 / self.fps
        self._number = following
        return True

    def retrieve(self) -> Frame:
        halved = self._asked.resize_after is not None and self._number >= self._asked.resize_after
        return numbered(self._number, self._asked.width, self._asked.height // (2 if halved else 1))

    def stamp(self) -> float | None:
        return self._stamp

    def close(self) -> None:
        self._closed = True


def open_fixed(uri: str) -> Fixed:
    """Open fixed://. Raises SourceError."""
    where, given = split_scheme(uri)
    if where:
        raise SourceError(f"fixed://{where} is no source: only options follow, fixed://?fps=30.")
    return Fixed(read_options(FixedOptions, given, "fixed://"), uri)


def numbered(number: int, width: int, height: int) -> Frame:
    """A grey frame whose top row of blocks is `number` in binary, lowest bit first."""
    frame = np.full((height, width, 3), 128, np.uint8)
    bits = (number >> np.arange(BITS)) & 1
    frame[: 2 * BLOCK, : BITS * BLOCK] = np.repeat(np.where(bits, _BRIGHT, _DARK), BLOCK)[:, None]
    return frame


def number_of(frame: Frame) -> int:
    """The number that `numbered` wrote, also after JPEG or another lossy coding."""
    strip = frame[2 : 2 * BLOCK - 2, : BITS * BLOCK].mean(axis=(0, 2)).reshape(BITS, BLOCK)
    return int((strip[:, 2:-2].mean(axis=1) > 128) @ (1 << np.arange(BITS)))
