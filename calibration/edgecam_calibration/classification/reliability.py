"""Whether a confidence of 80 % is right four times in five: calibration error, Brier score, log loss."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from edgecam_calibration.classification.resampling import RESAMPLES
from edgecam_calibration.intervals import Estimate, bootstrap_mean, wilson

ECE_BINS: Final = 15
_CHUNK: Final = 2_000_000  # numbers held at a time

Numbers = NDArray[np.float32] | NDArray[np.float64]
Floats = NDArray[np.float64]


class Bin(NamedTuple):
    """The answers whose confidence lies in (low, high]: one bar of a reliability diagram."""

    low: float
    high: float
    n: int  # photos, at least 1
    confidence: float  # their mean
    accuracy: float  # share right
    accuracy_ci95: list[float]  # Wilson, [low, high]


class Binned(NamedTuple):
    """Answers sorted into bins of confidence."""

    edges: Floats  # (bins + 1,) bin b is (edges[b], edges[b + 1]]
    placed: NDArray[np.int64]  # (n,) the bin of each answer


@dataclass(frozen=True)
class Reliability:
    """How far confidences can be taken at their word."""

    n: int
    ece: Estimate  # over 15 bins of equal width
    adaptive_ece: Estimate  # over 15 bins of as many photos each
    brier: Estimate  # in [0, 2]
    nll: Estimate  # mean log loss, nats
    bins: list[Bin]  # of equal width; those without photos are left out
    adaptive_bins: list[Bin]

    def document(self) -> dict[str, Any]:
        """For `--json`."""
        found: dict[str, Any] = {"n": self.n}
        for name in ("ece", "adaptive_ece", "brier", "nll"):
            estimate: Estimate = getattr(self, name)
            found |= {name: estimate.value, f"{name}_ci95": estimate.ci95}
        bins = [bar._asdict() for bar in self.bins]
        return found | {"bins": bins, "adaptive_bins": [bar._asdict() for bar in self.adaptive_bins]}


def reliability(
    labels: NDArray[np.int64],
    probabilities: Numbers,
    *,
    rng: np.random.Generator,
    bins: int = ECE_BINS,
    resamples: int = RESAMPLES,
) -> Reliability:
    """Everything about the confidence of answers (n, classes) to labels (n,), with 95 % intervals."""
    confidence, right = answers(labels, probabilities)
    estimates, bars = [], []
    for place in (equal_width, equal_count):
        binned = place(confidence, bins)
        estimates.append(ece_estimate(confidence, right, binned, rng=rng, resamples=resamples))
        bars.append(_bars(confidence, right, binned))
    return Reliability(
        n=len(labels),
        ece=estimates[0],
        adaptive_ece=estimates[1],
        brier=bootstrap_mean(brier_scores(labels, probabilities), rng=rng, resamples=resamples),
        nll=bootstrap_mean(log_losses(labels, probabilities), rng=rng, resamples=resamples),
        bins=bars[0],
        adaptive_bins=bars[1],
    )


def expected_calibration_error(
    labels: NDArray[np.int64], probabilities: Numbers, bins: int = ECE_BINS
) -> float:
    """Mean |share right - mean confidence| over equal-width bins (lo, hi], weighted by their photos.

    0 means that of the answers given with 80 % confidence, 80 % are right.
    Source: Guo et al., arXiv:1706.04599, with the bins of their code.
    """
    return _ece(*answers(labels, probabilities), equal_width, bins)


def adaptive_calibration_error(
    labels: NDArray[np.int64], probabilities: Numbers, bins: int = ECE_BINS
) -> float:
    """The same over bins that hold as many photos each, so none rests on a handful.

    Source: Nixon et al., arXiv:1904.01685, on the top answer; equal confidences stay together.
    """
    return _ece(*answers(labels, probabilities), equal_count, bins)


def answers(labels: NDArray[np.int64], probabilities: Numbers) -> tuple[Floats, NDArray[np.bool_]]:
    """Confidence (n,) of each top answer, and whether it is right. A tie goes to the first of its classes."""
    if not len(labels) or len(labels) != len(probabilities):
        raise ValueError(f"Confidence needs one label for each answer: {len(labels)}, {len(probabilities)}.")
    return probabilities.max(axis=1).astype(np.float64), probabilities.argmax(axis=1) == labels


def equal_width(confidence: Floats, bins: int) -> Binned:
    """`bins` equal parts of (0, 1]."""
    edges = np.linspace(0, 1, bins + 1)
    # A softmax in float32 may sum to a hair more than 1.
    return Binned(edges, np.clip(np.searchsorted(edges, confidence, side="left") - 1, 0, bins - 1))


def equal_count(confidence: Floats, bins: int) -> Binned:
    """At most `bins` parts with as many answers each, as far as equal confidences allow.

    Equal ones share a bin: to split them by the order of the photos would make the error depend on it.
    """
    n = len(confidence)
    last = -(-n * np.arange(1, bins + 1) // bins) - 1  # of each part, in rank
    edges = np.concatenate([[0.0], np.unique(np.sort(confidence)[last])])
    return Binned(edges, np.clip(np.searchsorted(edges, confidence, side="left") - 1, 0, None))


def ece_estimate(
    confidence: Floats,
    right: NDArray[np.bool_],
    binned: Binned,
    *,
    rng: np.random.Generator,
    resamples: int = RESAMPLES,
) -> Estimate:
    """A calibration error with its 95 % bootstrap interval, the bins held fast.

    Chance gaps only ever add to an error that is a sum of |gaps|, in the set measured and once more in
    every set drawn from it, so the plain percentiles lie too high and leave out the truth of a
    well-calibrated model every time. Hence the low end is the high end mirrored in the value; and it is 0
    when confidences that are exactly right would show an error as large in more than 1 of 40 sets.
    """
    n, bins = len(confidence), len(binned.edges) - 1
    gap = right - confidence

    def again(rows: int) -> Floats:
        drawn = rng.integers(n, size=(rows, n))
        return _errors(binned.placed[drawn], gap[drawn], bins)

    def calibrated(rows: int) -> Floats:
        return _errors(
            np.broadcast_to(binned.placed, (rows, n)), (rng.random((rows, n)) < confidence) - confidence, bins
        )

    value = float(_errors(binned.placed[None], gap[None], bins)[0])
    high = max(value, float(np.quantile(_in_chunks(again, resamples, n), 0.975)))
    chance = float(np.quantile(_in_chunks(calibrated, resamples, n), 0.975))
    low = 0.0 if value <= chance else max(0.0, 2 * value - high)
    return Estimate(value, low, high, n)


def brier_scores(labels: NDArray[np.int64], probabilities: Numbers) -> Floats:
    """Squared distance of each answer to the truth, summed over classes: (n, classes) -> (n,) in [0, 2].

    For two classes this is twice the score that counts one of them. Source: Brier, Monthly Weather
    Review 78 (1950), 1-3.
    """
    p = probabilities.astype(np.float64)
    of_truth = p[np.arange(len(labels)), labels]
    return np.asarray((p**2).sum(axis=1) - 2 * of_truth + 1, dtype=np.float64)


def log_losses(labels: NDArray[np.int64], probabilities: Numbers) -> Floats:
    """-log of what each answer gave the truth, nats: (n, classes) -> (n,).

    A 0 counts as the smallest normal float32 (87 nats): a softmax in float32 rounds to 0 what is not.
    """
    of_truth = probabilities[np.arange(len(labels)), labels].astype(np.float64)
    return np.asarray(-np.log(np.maximum(of_truth, np.finfo(np.float32).tiny)), dtype=np.float64)


def _ece(
    confidence: Floats, right: NDArray[np.bool_], place: Callable[[Floats, int], Binned], bins: int
) -> float:
    binned = place(confidence, bins)
    return float(_errors(binned.placed[None], (right - confidence)[None], len(binned.edges) - 1)[0])


def _errors(placed: NDArray[np.int64], gap: Floats, bins: int) -> Floats:
    """Calibration error of each row, (rows, n) and (rows, n) -> (rows,)."""
    rows, n = gap.shape
    flat = placed + bins * np.arange(rows)[:, None]
    sums = np.bincount(flat.ravel(), weights=gap.ravel(), minlength=rows * bins).reshape(rows, bins)
    return np.asarray(np.abs(sums).sum(axis=1) / n, dtype=np.float64)


def _in_chunks(draw: Callable[[int], Floats], resamples: int, n: int) -> Floats:
    size = max(1, _CHUNK // n)
    return np.concatenate([draw(min(size, resamples - start)) for start in range(0, resamples, size)])


def _bars(confidence: Floats, right: NDArray[np.bool_], binned: Binned) -> list[Bin]:
    edges, placed = binned
    bins = len(edges) - 1
    n = np.bincount(placed, minlength=bins)
    hits = np.bincount(placed, weights=right, minlength=bins)
    total = np.bincount(placed, weights=confidence, minlength=bins)
    bounds = wilson(hits, n)
    return [
        Bin(
            low=float(edges[b]),
            high=float(edges[b + 1]),
            n=int(n[b]),
            confidence=float(total[b] / n[b]),
            accuracy=float(hits[b] / n[b]),
            accuracy_ci95=bounds[b].tolist(),
        )
        for b in np.flatnonzero(n)
    ]
