"""Calibrating when what is seen is none of the classes, and measuring how often that notices a new class.

The threshold is such that of the known photos, each scored by a fit that saw neither it nor the one most
like it, `max_false_reject` fall below. To say what it is worth, every class in turn plays the unknown: all
is fitted and calibrated without it, and its photos are scored.
"""

from typing import Final, NamedTuple

import numpy as np

from edgecam_calibration.intervals import Estimate, proportion
from edgecam_engines.taught.unknown import Rejection
from edgecam_training.fewshot.corners import fit_corners, of_other_things
from edgecam_training.fewshot.learned import Floats, Labels

MAX_FALSE_REJECT: Final = 0.05
FEWEST_PHOTOS: Final = 20  # of known ones, for a share of one in twenty to be seen at all
FEWEST_CLASSES: Final = 3
MOST_LEFT_OUT: Final = 12  # classes that play the unknown


class Rejecting(NamedTuple):
    """A calibrated rejection, and what it did to classes that were left out."""

    rejection: Rejection | None  # None: it does no better than chance, so nothing is rejected
    max_false_reject: float
    caught: Estimate  # of the photos of left-out classes, the share called unknown


def fit_rejection(
    pooled: Floats,
    labels: Labels,
    k: int,
    others: Floats,
    *,
    max_false_reject: float = MAX_FALSE_REJECT,
) -> Rejecting | None:
    """Photos (n, d) with labels (n,) of the k classes that are taught, and `others` (m, d), photos of other
    things as far as anybody knows; m may be 0. None: too few photos or classes to tell."""
    counts = np.bincount(labels, minlength=k)
    if k < FEWEST_CLASSES or counts.min() < 2 or len(labels) < max(FEWEST_PHOTOS, 1 / max_false_reject):
        return None
    others = of_other_things(pooled, labels, k, others)
    playing = np.unique(np.linspace(0, k - 1, min(k, MOST_LEFT_OUT)).astype(int))
    caught = proportion(
        np.concatenate([_caught(pooled, labels, k, int(each), others, max_false_reject) for each in playing])
    )
    rejection = None
    if caught.low > max_false_reject:
        found = fit_corners(pooled, labels, k, others)
        parts = (np.asarray(part, np.float32) for part in (found.weight, found.bias, found.spread))
        rejection = Rejection(float(np.quantile(found.held_out, max_false_reject)), *parts)
    return Rejecting(rejection, max_false_reject, caught)


def _caught(
    pooled: Floats, labels: Labels, k: int, each: int, others: Floats, max_false_reject: float
) -> Floats:
    """Which photos of one class are called unknown where nobody ever knew there was such a class."""
    out, rest = labels == each, labels != each
    found = fit_corners(pooled[rest], labels[rest] - (labels[rest] > each), k - 1, others)
    return np.asarray(found.score(pooled[out]) < np.quantile(found.held_out, max_false_reject))
