"""A against B on the same photos: what they disagree on decides, and what both get right or wrong cancels."""

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from edgecam_calibration.classification.resampling import RESAMPLES, Tally, macro, resampled, shares, tally
from edgecam_calibration.classification.scores import confusion_matrix
from edgecam_calibration.intervals import Estimate, centred

Counts = NDArray[np.int64]
Floats = NDArray[np.float64]


class McNemar(NamedTuple):
    """Whether A and B are right equally often, two-sided."""

    b: int  # photos that A alone gets right
    c: int  # photos that B alone gets right
    p: float  # exact: of the binomial(b + c, 1/2)
    mid_p: float  # counts half of what was seen: less cautious, and on average right


@dataclass(frozen=True)
class Comparison:
    """A less B on `n` photos; an interval that holds 0 leaves open which is better."""

    n: int
    top1: tuple[float, float]  # of A and of B
    macro_f1: tuple[float, float]
    top1_difference: Estimate
    macro_f1_difference: Estimate
    mcnemar: McNemar

    def document(self) -> dict[str, Any]:
        """For `edgecam eval A DATA --against B --json`."""
        return {
            "n": self.n,
            "top1": self.top1[0],
            "top1_against": self.top1[1],
            "top1_difference": self.top1_difference.value,
            "top1_difference_ci95": self.top1_difference.ci95,
            "macro_f1": self.macro_f1[0],
            "macro_f1_against": self.macro_f1[1],
            "macro_f1_difference": self.macro_f1_difference.value,
            "macro_f1_difference_ci95": self.macro_f1_difference.ci95,
            "mcnemar": self.mcnemar._asdict(),
        }


def compare(
    labels: Counts,
    first: Counts,
    second: Counts,
    classes: int,
    *,
    rng: np.random.Generator,
    resamples: int = RESAMPLES,
    confidence: float = 0.95,
) -> Comparison:
    """Compare the classes (n,) that A and B called the same photos. Intervals: paired bootstrap.

    Raises ValueError for no photos, and for answers that are not to the same number of them.
    """
    if not len(labels) or not labels.shape == first.shape == second.shape:
        raise ValueError(
            f"A pair is compared on the same photos: {len(labels)} labels, {len(first)} and {len(second)} "
            f"answers."
        )
    n = len(labels)
    drawn = [
        np.stack([_scores(counted) for counted in pair])
        for pair in resampled(labels, np.column_stack([first, second]), classes, rng=rng, resamples=resamples)
    ]
    a, b = (_scores(tally(confusion_matrix(labels, called, classes))) for called in (first, second))
    moved = np.concatenate([sets[0] - sets[1] for sets in drawn])
    return Comparison(
        n=n,
        top1=(float(a[0]), float(b[0])),
        macro_f1=(float(a[1]), float(b[1])),
        top1_difference=centred(float(a[0] - b[0]), moved[:, 0], n, least=-1.0, confidence=confidence),
        macro_f1_difference=centred(float(a[1] - b[1]), moved[:, 1], n, least=-1.0, confidence=confidence),
        mcnemar=mcnemar(first == labels, second == labels),
    )


def difference(
    b: float,
    c: float,
    n: float,
    *,
    rng: np.random.Generator,
    confidence: float = 0.95,
    draws: int = 20_000,
) -> Estimate:
    """By how much more often A is right than B, from counts alone: b photos A alone, c photos B alone, of n.

    The interval of `compare`, whose law for top-1 this is: three Gamma variables, whatever n is. Counts may
    be fractions, to ask what another number of photos with the same shares would tell.
    Raises ValueError unless b + c <= n and n > 0.
    """
    if min(b, c) < 0 or b + c > n * (1 + 1e-9) or n <= 0:
        raise ValueError(f"Of {n} photos {b} and {c} cannot differ.")
    shapes = [b + 0.5, c + 0.5, max(n - b - c, 0.0) + 1]  # half a photo for each mix of right and wrong
    first, second, same = (rng.standard_gamma(shape, draws) for shape in shapes)
    value = (b - c) / n
    return centred(
        value, (first - second) / (first + second + same), round(n), least=-1.0, confidence=confidence
    )


def mcnemar(first: NDArray[np.bool_], second: NDArray[np.bool_]) -> McNemar:
    """The exact test of which photos (n,) A and B got right.

    Source: McNemar, Psychometrika 12 (1947), 153-157; mid-p as twice the one-sided mid-p, Lancaster,
    Journal of the American Statistical Association 56 (1961), 223-234.
    """
    b, c = int((first & ~second).sum()), int((second & ~first).sum())
    chances = _binomial_half(b + c)[: min(b, c) + 1]
    tail = float(chances.sum())
    return McNemar(b, c, min(1.0, 2 * tail), min(1.0, 2 * tail - float(chances[-1])))


def _binomial_half(n: int) -> Floats:
    """Chances of 0 to n heads in n throws, (n + 1,); as logarithms first, which large n do not overflow."""
    k = np.arange(1, n + 1)
    steps = np.log((n - k + 1) / k)
    return np.asarray(np.exp(np.concatenate([[0.0], np.cumsum(steps)]) - n * np.log(2)), dtype=np.float64)


def _scores(counted: Tally) -> Floats:
    """Top-1 and macro F1 of each set, (..., 2)."""
    top1 = counted.hit.sum(axis=-1) / counted.support.sum(axis=-1)
    return np.stack([top1, macro(shares(counted).f1, counted.support)], axis=-1)
