"""New classes beside those that the bundle knows, whose rows of the head stay as they are.

Two things must be made comparable: how loud the new rows are, and where their zero is.

- Rows as long, on average, as the old ones: what a row's length means was settled by the old head's training.
  Source of the idea: weight imprinting, arXiv:1712.07136.
- One number added to all new classes, such that of the new classes' left-out photos a fifth at most is
  claimed by an old class. Without it, how much room the new classes take is left to chance: a fit that saw
  photos of the new classes alone claims nearly every photo for them.

Photos of the old classes, if there are any (the bundle's golden ones, and what is taught under an old name),
stand for "something else" in the fit: new rows tell new classes from each other and from that.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from edgecam_engines.head import Head
from edgecam_training.fewshot.learned import Floats, Keys, Labels, Learned, judged

CLAIMED: Final = 0.2  # of the new classes' left-out photos; measured between 0.02 and 0.5


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
    loud = np.linalg.norm(weight, axis=1).mean()
    gain = np.linalg.norm(old_weight, axis=1).mean() / loud if loud > 0 else 1.0
    old = base.logits(pooled)
    moved = _room(gain * new, old, labels)
    return Learned(
        learned.method,
        learned.setting,
        np.vstack([old_weight, gain * weight]),
        np.append(old_bias, gain * bias + moved),
        np.hstack([old, gain * new + moved]),
        None if learned.keys is None else _beside(learned.keys, k, len(old_weight), gain),
    )


def _room(new: Floats, old: Floats, labels: Labels) -> float:
    """What to add to the new classes' logits; nothing where too few photos can be left out to tell."""
    at = judged(labels)
    if not at.any() or np.median(np.bincount(labels)) < 4:
        return 0.0
    margins = new[at].max(axis=1) - old[at].max(axis=1)
    return float(-np.quantile(margins, CLAIMED))


def _beside(keys: Keys, k: int, old: int, gain: float) -> Keys:
    rest = keys.values[:, k:]
    values = keys.values[:, :k] - (rest if rest.shape[1] else 0.0)
    return keys._replace(values=np.hstack([np.zeros((len(values), old)), values]), weight=gain * keys.weight)
