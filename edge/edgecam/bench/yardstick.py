"""A piece of work that never changes, done now and then between the queries: how fast is this processor now.

Other programs slow a processor down by their share of its caches, its memory and, on many machines, of its
other thread. Two results are compared in this unit, so that what slowed both is in neither.
"""

from typing import Final

import cv2
import numpy as np

from edgecam.bench.scenarios import Work
from edgecam.bench.timing import Clock, Floats

EVERY: Final = 4  # queries
_SIDE: Final = 384  # pixels; about a millisecond of resizing and smoothing, in and out of the caches
_NEAR: Final = 5  # measurements that one query's unit is the median of


class Yardstick:
    """Work with a fixed piece of other work before every few queries, of which it keeps the processor time."""

    def __init__(self, work: Work, cpu: Clock, every: int = EVERY) -> None:
        self._work, self._cpu, self._every = work, cpu, every
        self._picture = np.random.default_rng(0).random((_SIDE, _SIDE, 3), dtype=np.float32)
        self._queries = 0
        self._measured: list[float] = []

    def ready(self, frames: int, /) -> None:
        if self._queries % self._every == 0:
            began = self._cpu()
            smooth = cv2.GaussianBlur(self._picture, (5, 5), 1)
            cv2.resize(smooth, (_SIDE // 2, _SIDE // 2), interpolation=cv2.INTER_LINEAR)
            self._measured.append(self._cpu() - began)
        self._queries += 1
        self._work.ready(frames)

    def answer(self, frames: int, /) -> None:
        self._work.answer(frames)

    def of_each(self, warm_up: int) -> Floats:
        """Processor seconds of the fixed work around each query after the first `warm_up`, (n,)."""
        return near(np.array(self._measured), self._queries, self._every)[warm_up:]


def near(measured: Floats, queries: int, every: int) -> Floats:
    """The median of the few measurements nearest to each query: (m,) -> (queries,)."""
    reach = _NEAR // 2
    padded = np.pad(measured, reach, mode="edge")
    smooth = np.median(np.lib.stride_tricks.sliding_window_view(padded, _NEAR), axis=1)
    return np.asarray(np.repeat(smooth, every)[:queries], dtype=np.float64)
