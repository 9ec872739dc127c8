"""What every way to fit a head gives: the head, and what it would have said of each photo without it."""

from typing import Final, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from edgecam_calibration.classification.temperature import fit_temperature
from edgecam_training.fewshot.space import Space

Floats = NDArray[np.float64]
Labels = NDArray[np.int64]

FOLDS: Final = 10  # with more photos than this, they are left out in groups: every fold is a fit of its own


class Keys(NamedTuple):
    """The part of a head that remembers photos: see `cache`."""

    space: Space
    rows: Floats  # (n, d), unit
    values: Floats  # (n, k), each column sums to 1
    weight: float
    sharpness: float


class Learned(NamedTuple):
    """A head as it is deployed: logits = pooled @ weight.T + bias, and what `keys` adds."""

    method: str
    setting: str  # what was chosen by leaving photos out, in words
    weight: Floats  # (k, d)
    bias: Floats  # (k,)
    held_out: Floats  # (n, k) logits of each photo by a head that never saw it
    keys: Keys | None = None


class Fit(Protocol):
    """Fit pooled features (n, d) with labels (n,) in [0, k); without `hold_out`, `held_out` says nothing."""

    def __call__(self, pooled: Floats, labels: Labels, k: int, *, hold_out: bool = True) -> Learned: ...


def judged(labels: Labels) -> NDArray[np.bool_]:
    """Photos that can be left out with their class still known: (n,), False for the only one of a class."""
    return np.asarray(np.bincount(labels)[labels] > 1)


def held_out_loss(held_out: Floats, labels: Labels) -> float:
    """Mean log loss of left-out photos at the temperature that suits them best, in nats.

    The temperature is fitted all the same, so a head is not chosen for how its logits happen to be scaled.
    """
    at = judged(labels)
    return fit_temperature(held_out[at], labels[at]).nll_after if at.any() else float("inf")


def one_hot(labels: Labels, k: int) -> Floats:
    return np.asarray(np.eye(k)[labels])


def folds_of(labels: Labels, most: int = FOLDS) -> NDArray[np.int64]:
    """Which fold each photo is left out with, (n,): one for each photo, or `most`, dealt class by class."""
    order = np.argsort(labels, kind="stable")
    fold = np.empty(len(labels), np.int64)
    fold[order] = np.arange(len(labels)) % min(most, len(labels))
    return fold
