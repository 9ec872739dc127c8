"""The best frames of the last events, as the engine would see them, for whoever says "this was X"."""

import threading
from collections import OrderedDict
from typing import Final

from edgecam.decisions.event import Event
from edgecam_engines.engine import Frame
from edgecam_engines.geometry import fit

MOST_BYTES: Final = 24 << 20  # 160 frames of 224 x 224


class BestFrames:
    """Bounded: the oldest falls out. Filled by the loop's thread, read by others."""

    def __init__(self, input_hw: tuple[int, int], most_bytes: int = MOST_BYTES) -> None:
        self._hw, self._most = input_hw, max(1, most_bytes // (3 * input_hw[0] * input_hw[1]))
        self._lock = threading.Lock()
        self._kept: OrderedDict[str, tuple[int, Frame]] = OrderedDict()  # by event: frame number, frame

    def keep(self, event: Event, seen: Frame) -> None:
        """`seen` is the part of the event's best frame that the engine saw."""
        with self._lock:
            before = self._kept.get(event.id)
            if before is not None and before[0] == event.best.number:
                return
        fitted = fit(seen, self._hw)
        with self._lock:
            self._kept[event.id] = event.best.number, fitted.copy() if fitted is seen else fitted
            self._kept.move_to_end(event.id)
            while len(self._kept) > self._most:
                self._kept.popitem(last=False)

    def get(self, event_id: str) -> Frame | None:
        """The frame (h, w, 3); None when there is none (any more)."""
        with self._lock:
            kept = self._kept.get(event_id)
            return None if kept is None else kept[1]
