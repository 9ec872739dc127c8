"""What a person sees who has neither a window nor JSON: a line when the answer changes."""

import time
from collections.abc import Callable
from typing import Final

from edgecam.result import Result
from edgecam_engines.engine import Frame

EVERY_S: Final = 1.0  # at most one line in this time
AT_LEAST_S: Final = 10.0  # a line even when nothing changes, as a sign of life


class Notes:
    """Says label, confidence and age, when the label changes and now and then."""

    pictures = False

    def __init__(self, say: Callable[[str], None], now: Callable[[], float] = time.monotonic) -> None:
        self._say, self._now = say, now
        self._said: tuple[str, float] | None = None

    def write(self, frame: Frame, result: Result) -> None:
        now = self._now()
        if self._said is not None:
            label, at = self._said
            if now - at < (EVERY_S if result.label != label else AT_LEAST_S):
                return
        self._said = result.label, now
        self._say(
            f"frame {result.frame}: {result.label} {result.confidence * 100:.0f} %, "
            f"age {result.age_ms:.0f} ms, {result.skipped} skipped"
        )

    def close(self) -> None:
        pass
