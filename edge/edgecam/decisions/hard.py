"""Which frames are worth a person's time: where the answer was hard, but not thirty alike in a second."""

from collections import deque
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from edgecam.decisions.flow import Flow
from edgecam.result import UNKNOWN, Result

CLOSE: Final = 0.2  # the two best classes of the frame lie nearer to each other
LOOK_S: Final = 2.0  # between two frames that are looked at
PAIR_S: Final = 30.0  # between two that were kept with the same two best classes
REMEMBERED: Final = 64  # kept frames that a new one is compared with
ALIKE: Final = 12.0  # grey levels of 255; no cell of two like frames differs by more
CELLS: Final = 16  # a thumbnail has so many a side

Thumbnail = NDArray[np.float32]  # (CELLS, CELLS), grey levels


class Doubt(NamedTuple):
    """Why a frame is hard."""

    why: tuple[str, ...]  # of "close", "disagreement", "unknown"; never empty
    pair: tuple[int, int]  # its two best classes, the lower index first
    margin: float  # between their probabilities


def was_outlier(contradicted: Result, later: Result) -> bool | None:
    """Whether a frame that the smoothed answer contradicted stood alone; None while that is open.

    At every real change the smoothed answer lags behind frames that are plain to see. It follows them then,
    but not a frame that was mistaken.
    """
    if later.label != contradicted.label:
        return False
    return True if later.frame_label in (None, later.label) else None


class HardFrames:
    """Chooses among the frames of one camera. Ask `doubt`; then `keep` if the answer is not None.

    Where the doubt is a disagreement and nothing else, wait for `was_outlier` before `keep`.
    """

    def __init__(self) -> None:
        self._flow = Flow()
        self._looked = float("-inf")
        self._kept: dict[tuple[int, int], float] = {}  # when, by pair; at most PAIR_S / LOOK_S of them
        self._thumbnails: deque[Thumbnail] = deque(maxlen=REMEMBERED)
        self._unknown_kept = False  # of the spell of unknown frames that goes on

    def doubt(self, result: Result) -> Doubt | None:
        """Why this frame should be looked at; None when it should not, or not now."""
        now = self._flow.reach(result.steady_at)
        if _alone(result) != UNKNOWN:
            self._unknown_kept = False
        doubt = self._doubt(result)
        if doubt is None or now - self._looked < LOOK_S:
            return None
        if now - self._kept.get(doubt.pair, float("-inf")) < PAIR_S:
            return None
        self._looked = now
        return doubt

    def keep(self, doubt: Doubt, thumbnail: Thumbnail) -> bool:
        """Whether to keep the frame that `doubt` was just said of: False when one like it was kept before.

        Brightness as a whole is left out of account, since cameras keep changing it.
        """
        plain = thumbnail - thumbnail.mean()
        if any(float(np.abs(plain - before).max()) < ALIKE for before in self._thumbnails):
            return False
        now = self._flow.now
        self._kept = {pair: at for pair, at in self._kept.items() if now - at < PAIR_S}
        self._kept[doubt.pair] = now
        self._thumbnails.append(plain)
        self._unknown_kept |= "unknown" in doubt.why
        return True

    def _doubt(self, result: Result) -> Doubt | None:
        probabilities = result.probabilities
        if probabilities is None:
            return None
        first, second = (int(k) for k in np.argsort(-probabilities, kind="stable")[:2])
        margin = float(probabilities[first] - probabilities[second])
        alone = _alone(result)
        reasons = {
            "close": margin < CLOSE,
            "disagreement": alone != result.label,
            "unknown": alone == UNKNOWN and not self._unknown_kept,
        }
        why = tuple(reason for reason, holds in reasons.items() if holds)
        return Doubt(why, (min(first, second), max(first, second)), margin) if why else None


def _alone(result: Result) -> str:
    """What the frame would be called without those before it."""
    return result.frame_label or result.label
