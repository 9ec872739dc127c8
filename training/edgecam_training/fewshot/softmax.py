"""Multinomial logistic regression for more features than photos, for one set of photos or many at once.

The loss sum_i -log p_i(y_i) + |W|^2 / (2 C) has a Hessian that never exceeds (1/2) X'X + 1/C for each class
(Boehning, Annals of the Institute of Statistical Mathematics 44 (1992), 197-200). In the basis of X'X's own
directions that bound is diagonal, so a step costs two products and nothing is factorised or searched for.
Nesterov's momentum, restarted where it overshoots (arXiv:1204.3982), makes some dozens of steps enough.

A subset of the photos has the same bound, so all the fits that leave some photos out run side by side.
"""

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
_STEPS: Final = 3000
_KEPT: Final = 1e-12  # of the largest: directions with less spread hold rounding errors alone


class Basis(NamedTuple):
    """Photos in the coordinates of their own span: x = coordinates @ directions."""

    coordinates: Floats  # (n, r)
    directions: Floats  # (r, d), orthonormal
    spread: Floats  # (r,), the sum of squares along each


def basis_of(x: Floats) -> Basis:
    """(n, d) -> its span, r <= min(n, d)."""
    u, s, v = np.linalg.svd(x, full_matrices=False)
    kept = s**2 > _KEPT * max(float((s**2).max(initial=0.0)), np.finfo(float).tiny)
    return Basis(u[:, kept] * s[kept], v[kept], s[kept] ** 2)


def fit(
    basis: Basis,
    targets: Floats,
    *,
    c: float,
    used: NDArray[np.bool_] | None = None,
    offset: Floats | None = None,
    tolerance: float = 1e-6,
) -> Floats:
    """Weights (folds, r, k) over the basis's coordinates, for targets (n, k).

    `used` (folds, n) says which photos each fit may see; None: one fit that sees all. `offset` (n, m) are
    logits of m other classes that stay as they are; then a photo of one of those has a row of zeros in
    `targets`. Stops when no weight's gradient exceeds `tolerance`.
    """
    z = basis.coordinates
    seen = np.ones((1, len(z), 1)) if used is None else used[:, :, None].astype(np.float64)
    step = 1 / (basis.spread[:, None] / 2 + 1 / c)  # (r, 1)
    now = np.zeros((len(seen), z.shape[1], targets.shape[1]))
    ahead, momentum = now.copy(), np.ones((len(seen), 1, 1))
    for _ in range(_STEPS):
        slope = z.T @ (seen * (_softmax(z @ ahead, offset) - targets)) + ahead / c
        if np.abs(slope).max(initial=0.0) <= tolerance:
            break
        then = ahead - step * slope
        moved = then - now
        against = (slope * moved).sum(axis=(1, 2), keepdims=True) > 0
        momentum[against] = 1
        following = (1 + np.sqrt(1 + 4 * momentum**2)) / 2
        ahead = then + np.where(against, 0, (momentum - 1) / following) * moved
        now, momentum = then, following
    return ahead


def _softmax(logits: Floats, offset: Floats | None) -> Floats:
    """Probabilities of the last axis's classes, beside those of `offset` if there are any."""
    top = logits.max(axis=-1, keepdims=True)
    rest = np.zeros(())
    if offset is not None:
        top = np.maximum(top, offset.max(axis=-1, keepdims=True))
        rest = np.exp(offset - top).sum(axis=-1, keepdims=True)
    exp = np.exp(logits - top)
    return np.asarray(exp / (exp.sum(axis=-1, keepdims=True) + rest))
