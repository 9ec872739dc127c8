"""New classes beside those that the bundle knows, whose rows of the head stay as they are.

Two things must be made comparable: how loud the new rows are, and where their zero is.

- Rows as long, on average, as the old ones (as in weight imprinting, arXiv:1712.07136), or some times as
  long: what an old head says of things it never saw can be loud.
- One number added to all new classes. Without it, how much room they take is left to chance: a fit that saw
  photos of the new classes alone claims nearly every photo for them.

Where there are photos of old classes, both are chosen so that left-out photos of both sides are claimed by
the other least. Otherwise a fifth of the new classes' left-out photos is left to old classes, which was near
the best balance where both could be measured.

Photos of the old classes, if there are any (the bundle's golden ones, and what is taught under an old name),
stand for "something else" in the fit: new rows tell new classes from each other and from that.
"""

from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np

from edgecam_engines.head import Head
from edgecam_training.fewshot.learned import Floats, Keys, Labels, Learned, judged

CLAIMED: Final = 0.2  # of the new classes' left-out photos
FEWEST_OLD: Final = 8  # photos of old classes, to balance by them
FEWEST_NEW: Final = 4  # photos a new class, at the median, to leave some out
LOUDER: Final = (1.0, 2.0, 4.0, 8.0)


@dataclass(frozen=True)
class Base:
    """What a bundle knew before, and photos of it."""

    head: Head
    pooled: Floats  # (m, d); m may be 0
    labels: Labels  # (m,) in the head's classes

    @property
    def rows(self) -> tuple[Floats, Floats]:
        """Weight (K, d) and bias (K,) less their means over the classes, which no answer depends on."""
        weight, bias = self.head.weight.astype(np.float64), self.head.bias.astype(np.float64)
        return weight - weight.mean(axis=0), bias - bias.mean()

    def logits(self, pooled: Floats) -> Floats:
        weight, bias = self.rows
        return np.asarray(pooled @ weight.T + bias)


def with_rest(pooled: Floats, labels: Labels, k: int, base: Base) -> tuple[Floats, Labels, int]:
    """What to fit new classes to: their photos, and those of old classes as class k if there are any."""
    if not len(base.pooled):
        return pooled, labels, k
    return np.vstack([pooled, base.pooled]), np.append(labels, np.full(len(base.pooled), k)), k + 1


def put_beside(learned: Learned, pooled: Floats, labels: Labels, k: int, base: Base) -> Learned:
    """One head over old and new classes, in this order, from one that was fitted to `with_rest`.

    `pooled` and `labels` are those of the new classes' n photos alone, and so is the `held_out` that comes
    back, (n, K + k).
    """
    old_weight, old_bias = base.rows
    less = (learned.weight[k:], learned.bias[k:]) if len(learned.weight) > k else (0.0, 0.0)
    weight = learned.weight[:k] - less[0]
    bias = learned.bias[:k] - less[1]
    rest = learned.held_out[: len(pooled), k:]
    new = learned.held_out[: len(pooled), :k] - (rest if rest.shape[1] else 0.0)
    length = np.linalg.norm(weight, axis=1).mean()
    alike = np.linalg.norm(old_weight, axis=1).mean() / length if length > 0 else 1.0
    others = learned.held_out[len(pooled) :]
    against = (others[:, :k] - others[:, k:]).max(axis=1) if rest.shape[1] else np.zeros(0)
    at, claims = judged(labels), new.max(axis=1)
    few = bool(not at.any() or np.median(np.bincount(labels)) < FEWEST_NEW)
    if few:  # what the head says of the photos it was fitted to has to do
        at, claims = np.ones_like(at), (pooled @ weight.T + bias).max(axis=1)
        against = (base.pooled @ weight.T + bias).max(axis=1) if rest.shape[1] else against
    old, known = base.logits(pooled), base.logits(base.pooled).max(axis=1)
    sides = _Sides(alike * claims[at], old[at].max(axis=1), alike * against, known)
    times, moved = _balance(sides, few)
    gain = alike * times
    return Learned(
        learned.method,
        learned.setting,
        np.vstack([old_weight, gain * weight]),
        np.append(old_bias, gain * bias + moved),
        np.hstack([old, gain * new + moved]),
        None if learned.keys is None else _beside(learned.keys, k, len(old_weight), gain),
    )


class _Sides(NamedTuple):
    """The highest logits of photos (left out if there are enough), by new classes and by old ones."""

    new_by_new: Floats  # (n,)
    new_by_old: Floats  # (n,)
    old_by_new: Floats  # (m,)
    old_by_old: Floats  # (m,)


def _balance(sides: _Sides, few: bool) -> tuple[float, float]:
    """How many times louder the new classes are to be, and what to add then.

    Nothing is changed where there are `few` photos of new classes and of old ones.
    """
    if len(sides.old_by_new) < FEWEST_OLD:
        return 1.0, 0.0 if few else float(-np.quantile(sides.new_by_new - sides.new_by_old, CLAIMED))
    found = {}
    for times in LOUDER:
        lead = times * sides.new_by_new - sides.new_by_old
        found[times] = _cut(lead, times * sides.old_by_new - sides.old_by_old)
    times = min(LOUDER, key=lambda each: (round(found[each][1], 9), each))
    return times, -found[times][0]


def _cut(lead: Floats, behind: Floats) -> tuple[float, float]:
    """Where to cut between new photos, above it, and old ones, below; and the share of both that is wrong."""
    edges = np.sort(np.concatenate([lead, behind]))
    cuts = np.concatenate([[edges[0] - 1], (edges[1:] + edges[:-1]) / 2, [edges[-1] + 1]])
    wrong = (lead[:, None] <= cuts).mean(axis=0) + (behind[:, None] > cuts).mean(axis=0)
    best = np.flatnonzero(wrong <= wrong.min() + 1e-9)
    return float(cuts[best[len(best) // 2]]), float(wrong.min())


def _beside(keys: Keys, k: int, old: int, gain: float) -> Keys:
    rest = keys.values[:, k:]
    values = keys.values[:, :k] - (rest if rest.shape[1] else 0.0)
    return keys._replace(values=np.hstack([np.zeros((len(values), old)), values]), weight=gain * keys.weight)
