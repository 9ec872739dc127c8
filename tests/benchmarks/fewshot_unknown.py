"""Which score tells a class that nobody taught: published ones and ours, on the same features and draws.

    python tests/benchmarks/fewshot_unknown.py --data GROCERY [--cache bench-out/fewshot.npz] [--draws 3]

The problem is that of `fewshot.py --table unknown`: 12 of 13 classes are taught by 20 photos each. For every
score: the area under the ROC curve of known photos of `val` against the class left out, and against 15 other
classes; and the share of both that is caught where exactly 5 % of the known photos of `val` are rejected,
which no head can know. So scores are compared by what they tell, not by how well they were calibrated.

All but the last two read features less their mean, scaled to length 1. Sources: energy arXiv:2010.03759,
Mahalanobis arXiv:1807.03888, relative Mahalanobis arXiv:2106.09022, nearest photo arXiv:2204.06507, virtual
logit (ViM) arXiv:2203.10807.
"""

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np
from fewshot_features import load
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score
from table import show

from edgecam_training.fewshot.corners import fit_corners
from edgecam_training.fewshot.learned import one_hot
from edgecam_training.fewshot.logistic import fit_logistic
from edgecam_training.fewshot.ridge import balanced, solve
from edgecam_training.fewshot.softmax import Basis, basis_of
from edgecam_training.fewshot.space import space_of
from fewshot import CLASSES, GOLDEN, Problem

Floats = NDArray[np.float64]
Labels = NDArray[np.int64]
SHRUNK = 3.0  # of the mean spread along a direction, added to every direction's
PRINCIPAL = 40  # directions that ViM calls the known space


def scores_of(
    pooled: Floats, labels: Labels, k: int, golden: Floats
) -> Callable[[Floats], dict[str, Floats]]:
    """Every score of rows of pooled features, the higher the more known."""
    space = space_of(pooled, labels)
    x = space.unit(pooled)
    means = one_hot(labels, k).T @ x / np.bincount(labels, minlength=k)[:, None]
    rows = fit_logistic(pooled, labels, k, hold_out=False).weight * space.length
    within, total = basis_of(x - means[labels]), basis_of(x - x.mean(axis=0))
    principal = total.directions[np.argsort(-total.spread)[:PRINCIPAL]]
    residual = _residual(x - x.mean(axis=0), principal).mean()
    gain = (x @ rows.T).max(axis=1).mean() / residual
    ridge = solve(x, one_hot(labels, k), balanced(labels, k), 0.3)
    alone, beside = (fit_corners(pooled, labels, k, others) for others in (golden[:0], golden))

    def scores(asked: Floats) -> dict[str, Floats]:
        q = space.unit(asked)
        logits = q @ rows.T
        soft = logits - logits.max(axis=1, keepdims=True)
        energy = np.log(np.exp(soft).sum(axis=1)) - soft.mean(axis=1)
        to_class, to_all = (
            _mahalanobis(q, means, within).min(axis=1),
            _mahalanobis(q, x.mean(axis=0)[None], total),
        )
        return {
            "softmax": 1 / np.exp(soft).sum(axis=1),
            "energy": energy,
            "class mean": -((q[:, None] - means) ** 2).sum(axis=2).min(axis=1),
            "Mahalanobis": -to_class,
            "relative Mahalanobis": to_all[:, 0] - to_class,
            "nearest photo": (q @ x.T).max(axis=1),
            "ViM": energy + logits.mean(axis=1) - gain * _residual(q - x.mean(axis=0), principal),
            "ridge, highest": (q @ ridge.weight.T + ridge.bias).max(axis=1),
            "corners": alone.score(asked),
            f"corners, {GOLDEN} golden": beside.score(asked),
        }

    return scores


def _mahalanobis(q: Floats, centres: Floats, basis: Basis) -> Floats:
    """(n, d) to (c, d) -> (n, c), squared, in units of the spread's floor."""
    floor = SHRUNK * basis.spread.mean()
    gains = basis.spread / (basis.spread + floor)
    apart = q[:, None] - centres
    return np.asarray(((apart**2).sum(axis=2) - (apart @ basis.directions.T) ** 2 @ gains) / floor)


def _residual(centred: Floats, principal: Floats) -> Floats:
    return np.asarray(np.linalg.norm(centred - centred @ principal.T @ principal, axis=1))


def measured(problem: Problem, draws: int) -> dict[str, Floats]:
    """By score: AUROC and share caught of the class left out, then of the other classes."""
    asked, truth = problem.judging()
    small = np.setdiff1d(np.arange(problem.y.max() + 1), problem.large)
    far = problem.asked[np.isin(problem.truth, small[1::2])]
    pool = problem.x[np.isin(problem.y, small[::2])].astype(np.float64)
    found: dict[str, list[list[float]]] = {}
    for seed in range(draws):
        x, y = problem.draw(20, seed)
        golden = pool[np.random.default_rng(seed).choice(len(pool), GOLDEN, replace=False)]
        for left in range(CLASSES):
            rest = y != left
            scores = scores_of(x[rest].astype(np.float64), y[rest] - (y[rest] > left), CLASSES - 1, golden)
            groups = (asked[truth != left], problem.x[problem.y == problem.large[left]], far)
            known, unseen, others = (scores(each.astype(np.float64)) for each in groups)
            for name in known:
                row = [*_told(known[name], unseen[name]), *_told(known[name], others[name])]
                found.setdefault(name, []).append(row)
    return {name: np.mean(rows, axis=0) for name, rows in found.items()}


def _told(known: Floats, unknown: Floats) -> tuple[float, float]:
    is_known = np.repeat([True, False], [len(known), len(unknown)])
    caught = unknown < np.quantile(known, 0.05)
    return float(roc_auc_score(is_known, np.concatenate([known, unknown]))), float(caught.mean())


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--cache", type=Path, default=Path("bench-out/fewshot.npz"))
    parser.add_argument("--draws", type=int, default=3)
    parser.add_argument("--precision", nargs="+", default=["fp32", "int8"])
    asked = parser.parse_args()
    _, train, val = load(asked.data, asked.cache)
    for precision in asked.precision:
        found = measured(Problem(train, val, precision), asked.draws)
        show(
            f"Scores of the unknown, {precision} features, {asked.draws} draws, {CLASSES} classes left out",
            ("score", "AUROC, left out", "caught", "AUROC, 15 others", "caught"),
            [(name, *(f"{100 * value:.1f}" for value in row)) for name, row in found.items()],
            {
                "benchmark": "fewshot scores",
                "precision": precision,
                "scores": {n: r.round(4).tolist() for n, r in found.items()},
            },
        )


if __name__ == "__main__":
    main()
