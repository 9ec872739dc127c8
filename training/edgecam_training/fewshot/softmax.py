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
    """Photos in the coordinates of their own span: x = coordinates @ directions. Several may be stacked."""

    coordinates: Floats  # (n, r), or (folds, n, r)
    directions: Floats  # (r, d), orthonormal
    spread: Floats  # (r,), the sum of squares along each, or (folds, r)


def basis_of(x: Floats) -> Basis:
    """(n, d) -> its span, r <= min(n, d)."""
    n, d = x.shape
    spread, vectors = np.linalg.eigh(x @ x.T if n <= d else x.T @ x)
    kept = spread > _KEPT * max(float(spread.max(initial=0.0)), np.finfo(float).tiny)
    spread, vectors = spread[kept], vectors[:, kept]
    size = np.sqrt(spread)
    directions = (vectors.T @ x) / size[:, None] if n <= d else vectors.T
    return Basis(vectors * size if n <= d else x @ vectors, directions, spread)


def stack(bases: list[Basis]) -> Basis:
    """Several bases of as many photos as one with a first axis more; zeros where one has fewer directions."""
    r = max(len(basis.spread) for basis in bases)

    def padded(values: Floats, axis: int) -> Floats:
        widths = [(0, r - values.shape[axis] if a == axis else 0) for a in range(values.ndim)]
        return np.pad(values, widths)

    return Basis(
        np.stack([padded(basis.coordinates, 1) for basis in bases]),
        np.stack([padded(basis.directions, 0) for basis in bases]),
        np.stack([padded(basis.spread, 0) for basis in bases]),
    )


def fit(
    basis: Basis,
    targets: Floats,
    *,
    c: float,
    used: NDArray[np.bool_] | None = None,
    tolerance: float = 1e-6,
) -> Floats:
    """Weights (folds, r, k) over the basis's coordinates, for targets (n, k).

    `used` (folds, n) says which photos each fit may see; None: one fit that sees all. Stops when no weight's
    gradient exceeds `tolerance`.
    """
    z = basis.coordinates
    seen = np.ones((1, len(targets), 1)) if used is None else used[:, :, None].astype(np.float64)
    step = 1 / (basis.spread[..., None] / 2 + 1 / c)  # (r, 1) or (folds, r, 1)
    now = np.zeros((len(seen), z.shape[-1], targets.shape[1]))
    ahead, momentum = now.copy(), np.ones((len(seen), 1, 1))
    for _ in range(_STEPS):
        slope = z.swapaxes(-1, -2) @ (seen * (softmax(z @ ahead) - targets)) + ahead / c
        if np.abs(slope).max(initial=0.0) <= tolerance:
            break
        then = ahead - step * slope
        moved = then - now
        against = (slope * moved).sum(axis=(1, 2), keepdims=True) > 0
        momentum[against] = 1
        following = (1 + np.sqrt(1 + 4 * momentum**2)) / 2
        ahead = then + np.where(against, 0, (momentum - 1) / following) * moved
        now, momentum = then, following
    return np.asarray(ahead)


def softmax(logits: Floats) -> Floats:
    """Probabilities over the last axis."""
    exp = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return np.asarray(exp / exp.sum(axis=-1, keepdims=True))
