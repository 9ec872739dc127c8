"""Whether what is seen is any of the classes at all: how far it is from each class's corner, and a threshold.

A softmax shares all of its belief among the classes it has, so a thing that is none of them still gets one
of their names. A ridge regression onto the classes does not: it is asked for 1 for a class and 0 for the
others, a corner of a cube, and gives a thing it does not know a little of everything, far from all corners.
How far a class's own new photos come to lie from its corner differs, so distances are measured in that.
`edgecam_training.fewshot.corners` says how it is fitted.
"""

from dataclasses import dataclass, fields
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
KIND: Final = "corners"
EARLIER: Final = ("energy", "distance")  # of heads that an earlier edgecam taught
_PREFIX: Final = "unknown."


@dataclass(frozen=True)
class Rejection:
    """What is named one of the head's last k classes but lies near none of their corners is unknown.

    Classes that stand before those in a head were not taught here; of what they claim nothing is said.
    """

    threshold: float
    weight: Floats  # (k, d), or (k + 1, d) with a row for photos of other things
    bias: Floats  # (k,) or (k + 1,)
    spread: Floats  # (k,), above 0: mean squared distance of a class's left-out photos to its corner

    def __post_init__(self) -> None:
        rows, k = len(self.weight), len(self.spread)
        if self.weight.ndim != 2 or self.bias.shape != (rows,) or not 0 <= rows - k <= 1 or k < 1:
            raise ValueError(
                f"A rejection's weight {self.weight.shape}, bias {self.bias.shape} and spread "
                f"{self.spread.shape} do not fit together."
            )
        if not np.isfinite(self.threshold) or not (self.spread > 0).all():
            raise ValueError("A rejection needs a finite threshold and spreads above 0.")

    def score(self, pooled: Floats) -> Floats:
        """How known each is, (n, d) -> (n,): minus the relative squared distance to the nearest corner."""
        said = pooled @ self.weight.T + self.bias  # (n, k) or (n, k + 1)
        return np.asarray(nearness(said, self.spread).max(axis=1), np.float32)

    def known(self, pooled: Floats, logits: Floats) -> NDArray[np.bool_]:
        """Pooled features (n, d) and the head's logits for them (n, classes) -> (n,)."""
        before = logits.shape[1] - len(self.spread)
        named_old = logits.argmax(axis=1) < before
        return np.asarray(named_old | (self.score(pooled) >= np.float32(self.threshold)), np.bool_)

    def tensors(self) -> dict[str, Floats]:
        """For a head's file."""
        return {_PREFIX + name: np.ascontiguousarray(getattr(self, name), np.float32) for name in _NAMES}


def nearness(said: NDArray[np.floating], spread: NDArray[np.floating]) -> NDArray[np.floating]:
    """Minus the squared distance of (n, rows) to each class's corner over its spread (k,): (n, k)."""
    k = len(spread)
    squared = (said**2).sum(axis=1)[:, None] + 1 - 2 * said[:, :k]  # |z - e_c|^2
    return np.asarray(-squared / spread)


def rejection_of(kind: str, threshold: float, tensors: dict[str, NDArray[Any]]) -> Rejection:
    """What `tensors` wrote, read back. Raises ValueError and KeyError."""
    if kind != KIND:
        raise ValueError(f"it rejects unknown things by {kind!r}, which this edgecam does not do")
    parts = {name: tensors[_PREFIX + name] for name in _NAMES}
    if not all(part.dtype == np.float32 and np.isfinite(part).all() for part in parts.values()):
        raise ValueError("its corners are not of finite float32 numbers")
    return Rejection(threshold, **parts)


_NAMES: Final = tuple(each.name for each in fields(Rejection) if each.name != "threshold")
