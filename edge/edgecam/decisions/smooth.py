"""Answers about frames, made steadier by the frames before.

Both kinds forget everything when the camera was lost: what is shown then is another scene.
"""

import re
from collections import Counter, deque
from typing import Final, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from edgecam.decisions.typed import NUMBER
from edgecam_engines.errors import SettingsError

MOST_FRAMES: Final = 999  # of a consensus
_DECIMAL: Final = re.compile(NUMBER)
_SHARE: Final = re.compile(r"(\d{1,3})/(\d{1,3})")


class Smoothed(NamedTuple):
    """What the last frames say together."""

    probabilities: NDArray[np.float32]  # (classes,)
    agreed: bool  # False: too few of them agree, so the label is unknown


class Smoother(Protocol):
    """Remembers frames of one camera."""

    def add(self, probabilities: NDArray[np.float32], frame: int) -> Smoothed:
        """One more frame: its (classes,) and its number in the source."""
        ...

    def forget(self) -> None:
        """What comes next has nothing to do with what was."""
        ...


class Plain:
    """Every frame for itself."""

    def add(self, probabilities: NDArray[np.float32], frame: int) -> Smoothed:
        return Smoothed(probabilities, True)

    def forget(self) -> None:
        pass


class Exponential:
    """A mean in which a frame weighs `weight`, and each one before it 1 - weight times as much as the next.

    The weight is that of one frame of the source. A frame that comes `n` numbers after the one before
    stands for all n, and weighs 1 - (1 - weight)^n. So the time constant, about 1 / weight frames of the
    camera, is the same however many frames a slow engine skips, and no clock is needed for it.
    """

    def __init__(self, weight: float) -> None:
        self._keep = 1.0 - weight
        self._mean: NDArray[np.float64] | None = None
        self._frame = 0

    def add(self, probabilities: NDArray[np.float32], frame: int) -> Smoothed:
        if self._mean is None:
            self._mean = probabilities.astype(np.float64)
        else:
            # A source that began again counts from 0: then nothing is known of what lies between.
            keep = self._keep ** max(1, frame - self._frame)
            self._mean = keep * self._mean + (1 - keep) * probabilities
        self._frame = frame
        return Smoothed(self._mean.astype(np.float32), True)

    def forget(self) -> None:
        self._mean = None


class Consensus:
    """The class that is the best one in at least `need` of the last `of` answered frames, or none.

    Its probabilities are the mean over the frames that agree, so that the frames which were outvoted do not
    pull it below a threshold. Without such a class nothing is claimed: the label is unknown, it does
    not stay, since a label that its own frames no longer carry would have no end.
    """

    def __init__(self, need: int, of: int) -> None:
        self._need = need
        self._frames: deque[NDArray[np.float32]] = deque(maxlen=of)

    def add(self, probabilities: NDArray[np.float32], frame: int) -> Smoothed:
        self._frames.append(probabilities)
        votes = [int(one.argmax()) for one in self._frames]
        best, count = Counter(votes).most_common(1)[0]
        if count < self._need:
            return Smoothed(_mean(list(self._frames)), False)
        agree = [one for one, vote in zip(self._frames, votes, strict=True) if vote == best]
        return Smoothed(_mean(agree), True)

    def forget(self) -> None:
        self._frames.clear()


def _mean(frames: list[NDArray[np.float32]]) -> NDArray[np.float32]:
    return np.asarray(np.stack(frames).mean(axis=0, dtype=np.float64), dtype=np.float32)


def open_smoother(text: str) -> Smoother:
    """What `--smooth` names: "none", "ema:0.3" or "consensus:3/5". Raises SettingsError."""
    kind, _, value = text.strip().partition(":")
    if kind == "none" and not value:
        return Plain()
    if kind == "ema" and _DECIMAL.fullmatch(value) and 0 < float(value) <= 1:
        return Exponential(float(value))
    if kind == "consensus" and (share := _SHARE.fullmatch(value)):
        need, of = int(share[1]), int(share[2])
        # With half or less, two classes could both have enough.
        if of < 2 * need <= 2 * of:
            return Consensus(need, of)
    raise SettingsError(
        f"--smooth {text!r} cannot be meant.\n"
        f"Give none, ema:0.3 (weight of the newest frame, above 0, at most 1) or consensus:3/5 (at "
        f"least 3 of the last 5 frames agree; more than half, and of {MOST_FRAMES} at most)."
    )
