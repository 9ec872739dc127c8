"""When what is seen is none of the classes: which score tells, by leaving classes out, and where to cut.

Every class in turn plays the unknown: the head is fitted without it, and its photos are scored. The threshold
is such that of the known photos, each scored by a head that never saw it, `max_false_reject` fall below.
"""

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from edgecam_calibration.intervals import Estimate, proportion
from edgecam_engines.taught.unknown import Metric, Rejection, energy
from edgecam_training.fewshot.learned import Fit, Floats, Labels, folds_of, one_hot
from edgecam_training.fewshot.softmax import basis_of
from edgecam_training.fewshot.space import Space, space_of

MAX_FALSE_REJECT: Final = 0.05
FEWEST_PHOTOS: Final = 20  # of known ones, for a share of one in twenty to be seen at all
FEWEST_CLASSES: Final = 3
MOST_LEFT_OUT: Final = 12  # classes that play the unknown
SHRUNK: Final = 3.0  # of the mean spread along a direction within classes, added to every direction's
MOST_DIRECTIONS: Final = 32


class Rejecting(NamedTuple):
    """A calibrated rejection, and what it did to classes that were left out."""

    rejection: Rejection | None  # None: no score does better than chance, so nothing is rejected
    max_false_reject: float
    caught: Estimate  # of the photos of left-out classes, the share called unknown
    tried: dict[str, float]  # the same share by every score that was tried


def fit_rejection(
    pooled: Floats,
    labels: Labels,
    k: int,
    fit: Fit,
    held_out: Floats,
    temperature: float,
    *,
    max_false_reject: float = MAX_FALSE_REJECT,
    by_distance: bool = True,
) -> Rejecting | None:
    """For a head fitted by `fit` that said `held_out` of left-out photos, (n, k or more): old classes may
    stand beside. Distances know these k classes alone. None: too few photos or classes to tell."""
    counts = np.bincount(labels, minlength=k)
    if k < FEWEST_CLASSES or counts.min() < 2 or len(labels) < max(FEWEST_PHOTOS, 1 / max_false_reject):
        return None
    space, fold = space_of(pooled, labels), folds_of(labels)
    known: dict[str, NDArray[np.floating]] = {"energy": energy(held_out / temperature)}
    if by_distance:
        known |= _left_out_distances(pooled, labels, k, fold)
    unknown: dict[str, list[NDArray[np.floating]]] = {name: [] for name in known}
    for each in np.unique(np.linspace(0, k - 1, min(k, MOST_LEFT_OUT)).astype(int)):
        scores = _without_class(pooled, labels, k, int(each), fit, temperature)
        for name in known:
            unknown[name].append(scores[name])
    cut = {name: float(np.quantile(scores, max_false_reject)) for name, scores in known.items()}
    fell = {name: np.concatenate(unknown[name]) < cut[name] for name in known}
    best = max(fell, key=lambda name: float(fell[name].mean()))
    caught = proportion(fell[best])
    rejection = None
    if caught.low > max_false_reject and best == "energy":
        rejection = Rejection("energy", cut[best])
    elif caught.low > max_false_reject:
        rejection = Rejection("distance", cut[best], metric_of(space, pooled, labels, k, best == "spread"))
    tried = {name: float(hits.mean()) for name, hits in fell.items()}
    return Rejecting(rejection, max_false_reject, caught, tried)


def metric_of(space: Space, pooled: Floats, labels: Labels, k: int, spread: bool) -> Metric:
    """Distance to class means, plain or in the metric of the spread within classes, which is shrunk."""
    x = space.unit(pooled)
    counts = np.maximum(np.bincount(labels, minlength=k), 1)
    means = one_hot(labels, k).T @ x / counts[:, None]
    basis, gains = np.zeros((0, x.shape[1])), np.zeros(0)
    if spread:
        within = basis_of(x - means[labels])
        most = np.argsort(-within.spread)[:MOST_DIRECTIONS]
        floor = SHRUNK * within.spread.sum() / min(x.shape)
        basis, gains = within.directions[most], within.spread[most] / (within.spread[most] + floor)
    return Metric(*(np.asarray(part, np.float32) for part in (space.mean, means, basis, gains)))


def _distances(pooled: Floats, labels: Labels, k: int, of: Floats) -> dict[str, NDArray[np.floating]]:
    """Minus the distance of `of` (m, d) to the nearest class of the photos given, in both metrics."""
    space = space_of(pooled, labels)
    return {
        name: -metric_of(space, pooled, labels, k, name == "spread").nearest(np.asarray(of, np.float32))
        for name in ("plain", "spread")
    }


def _left_out_distances(
    pooled: Floats, labels: Labels, k: int, fold: Labels
) -> dict[str, NDArray[np.floating]]:
    found = {name: np.empty(len(pooled)) for name in ("plain", "spread")}
    for each in np.unique(fold):
        out, rest = fold == each, fold != each
        for name, scores in _distances(pooled[rest], labels[rest], k, pooled[out]).items():
            found[name][out] = scores
    return dict(found)


def _without_class(
    pooled: Floats, labels: Labels, k: int, each: int, fit: Fit, temperature: float
) -> dict[str, NDArray[np.floating]]:
    """Scores of the photos of one class by heads that never knew there was one."""
    from edgecam_training.fewshot.logits import logits_of

    out, rest = labels == each, labels != each
    others = labels[rest] - (labels[rest] > each)
    learned = fit(pooled[rest], others, k - 1, hold_out=False)
    said = logits_of(learned, pooled[out])
    return {"energy": energy(said / temperature), **_distances(pooled[rest], others, k - 1, pooled[out])}
