"""Whether anything moved, from a small grey picture of each frame."""

from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from edgecam_engines.engine import Frame

SIZE: Final = (64, 48)  # width and height of the small picture
LEVELS: Final = 12  # of 255: what a blurred pixel must change by; a camera's noise stays below
SHARE: Final = 0.004  # of the pixels that must change: a thing of 4 by 3 of them
ALIVE_S: Final = 5.0  # a still camera gives a sign of life so often


class Motion:
    """Compares with the last frame that counted, not with the last one seen, so nothing creeps past."""

    def __init__(self) -> None:
        self._before: NDArray[np.uint8] | None = None
        self._at = 0.0

    def counts(self, view: Frame, now: float) -> bool:
        """Whether a frame differs from the last one for which this was True, or a sign of life is due."""
        small = _small(view)
        if self._before is not None and now - self._at < ALIVE_S and not _moved(self._before, small):
            return False
        self._before, self._at = small, now
        return True


def _small(view: Frame) -> NDArray[np.uint8]:
    # Linear and not by area, which costs thirty times as much; the blur takes the noise that this leaves.
    grey = cv2.cvtColor(cv2.resize(view, SIZE, interpolation=cv2.INTER_LINEAR), cv2.COLOR_BGR2GRAY)
    return np.asarray(cv2.blur(grey, (3, 3)), dtype=np.uint8)


def _moved(before: NDArray[np.uint8], after: NDArray[np.uint8]) -> bool:
    changed = cv2.countNonZero(cv2.threshold(cv2.absdiff(before, after), LEVELS, 1, cv2.THRESH_BINARY)[1])
    return changed >= SHARE * before.size
