"""Whether what is seen is any of the classes at all: a score of how known it is, and a threshold.

A softmax shares all of its belief among the classes it has, so a thing that is none of them still gets one
of their names. Two scores tell better, and which of them does is found by leaving classes out:

- energy: log mean exp of the calibrated logits less their mean. Without the mean a row that all classes
  share, which no answer depends on, would count; with a sum, the number of classes. Source: arXiv:2010.03759.
- distance: minus the squared distance of the pooled features to the nearest class mean, in the metric of the
  spread within classes (Mahalanobis). Source: Lee et al., arXiv:1807.03888.
"""

from dataclasses import dataclass, field
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Kind = Literal["energy", "distance"]
KINDS: Final[tuple[Kind, ...]] = ("energy", "distance")
_PREFIX: Final = "unknown."


def _nothing() -> Floats:
    return np.zeros((0, 0), np.float32)


@dataclass(frozen=True)
class Metric:
    """Squared distance to the nearest of some centres, of features that were centred and scaled to length 1.

    |x|^2 less `gains` times what lies along each row of `basis`: directions in which a class spreads anyway
    count less. With no basis it is the plain distance.
    """

    mean: Floats = field(default_factory=lambda: np.zeros(0, np.float32))  # (d,), taken off first
    centres: Floats = field(default_factory=_nothing)  # (k, d)
    basis: Floats = field(default_factory=_nothing)  # (r, d), orthonormal rows
    gains: Floats = field(default_factory=lambda: np.zeros(0, np.float32))  # (r,), in [0, 1)

    def __post_init__(self) -> None:
        d = len(self.mean)
        if self.centres.shape[1:] != (d,) or self.basis.shape != (len(self.gains), d):
            raise ValueError(
                f"A metric over {d} features has centres {self.centres.shape}, basis {self.basis.shape} and "
                f"gains {self.gains.shape}, which do not fit."
            )

    def nearest(self, pooled: Floats) -> Floats:
        """(n, d) -> (n,), at least 0 but for rounding."""
        x, to = unit(pooled - self.mean), self.centres
        squared = (x**2).sum(axis=1)[:, None] + (to**2).sum(axis=1) - 2 * x @ to.T  # (n, k)
        along = (x @ self.basis.T)[:, None] - to @ self.basis.T  # (n, k, r)
        squared = squared - (along**2) @ self.gains
        return np.asarray(squared.min(axis=1), np.float32)


@dataclass(frozen=True)
class Rejection:
    """Below the threshold it is none of the classes."""

    kind: Kind
    threshold: float
    metric: Metric = field(default_factory=Metric)  # of "distance" alone

    def __post_init__(self) -> None:
        if self.kind not in KINDS or not np.isfinite(self.threshold):
            raise ValueError(f"There is no rejection {self.kind!r} at {self.threshold}.")
        if self.kind == "distance" and not len(self.metric.centres):
            raise ValueError("A distance needs class means.")

    def score(self, pooled: Floats, logits: Floats) -> Floats:
        """How known each is, the higher the more: pooled features (n, d), logits (n, classes) -> (n,).

        The logits are those that were divided by the temperature.
        """
        if self.kind == "energy":
            return energy(logits)
        return -self.metric.nearest(pooled)

    def known(self, pooled: Floats, logits: Floats) -> NDArray[np.bool_]:
        """(n,)"""
        return np.asarray(self.score(pooled, logits) >= np.float32(self.threshold), np.bool_)

    def tensors(self) -> dict[str, Floats]:
        """For a head's file."""
        if self.kind == "energy":
            return {}
        metric = self.metric
        return {
            f"{_PREFIX}{name}": np.ascontiguousarray(values, np.float32)
            for name, values in (
                ("mean", metric.mean),
                ("centres", metric.centres),
                ("basis", metric.basis),
                ("gains", metric.gains),
            )
        }


def rejection_of(kind: str, threshold: float, tensors: dict[str, Floats]) -> Rejection:
    """What `tensors` wrote, read back. Raises ValueError and KeyError."""
    if kind == "energy":
        return Rejection("energy", threshold)
    if kind != "distance":
        raise ValueError(f"it rejects by {kind!r}, which this edgecam does not know")
    parts = {name: tensors[_PREFIX + name] for name in ("mean", "centres", "basis", "gains")}
    if not all(part.dtype == np.float32 and np.isfinite(part).all() for part in parts.values()):
        raise ValueError("its metric is not of finite float32 numbers")
    return Rejection("distance", threshold, Metric(**parts))


def energy(logits: NDArray[np.floating]) -> Floats:
    """log mean exp of logits less their mean, (n, classes) -> (n,), at least 0."""
    top = logits.max(axis=1)
    spread = np.log(np.exp(logits - top[:, None]).mean(axis=1))
    return np.asarray(top - logits.mean(axis=1) + spread, np.float32)


def unit(rows: Floats) -> Floats:
    """Rows scaled to length 1; a row of zeros stays."""
    length = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.asarray(rows / np.where(length > 0, length, 1), rows.dtype)
