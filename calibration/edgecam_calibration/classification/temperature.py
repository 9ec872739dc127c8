"""One number that takes the boast out of a network's confidence, and never changes its answer.

Softmax of logits / T, with the T at which validation photos were least surprising.
Source: Guo et al., arXiv:1706.04599. An INT8 engine boasts differently from FP32, so each is fitted alone.
"""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

COLDEST: Final = 1e-3
HOTTEST: Final = 1e3
_STEPS: Final = 100
_CHUNK: Final = 2_000_000  # numbers held at a time

Logits = NDArray[np.float32] | NDArray[np.float64]
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Temperature:
    """A fitted temperature and what it did to the photos it was fitted on."""

    value: float  # in [0.001, 1000]
    nll_before: float  # mean log loss at temperature 1, nats
    nll_after: float
    n: int
    separable: bool  # every photo was answered right, so one was counted as wrong to have a best T

    def document(self) -> dict[str, Any]:
        """For `--json` and gate.json."""
        return {
            "temperature": self.value,
            "nll_before": self.nll_before,
            "nll_after": self.nll_after,
            "n": self.n,
            "separable": self.separable,
        }


def fit_temperature(logits: Logits, labels: NDArray[np.int64]) -> Temperature:
    """Fit T to logits (n, classes) and labels (n,) by their mean log loss, which has one minimum.

    Where every photo is answered right, the loss falls all the way to T = 0, which would make every answer
    certain. There the fit is as if one photo more had been answered wrong, in each as much as in the other.
    Logits that know nothing are made flat (the hottest T); flat ones are left as they are (T = 1).
    Raises ValueError for nothing to fit, shapes that do not fit and values that are not numbers.
    """
    _check(logits, labels)
    z = logits.astype(np.float64)
    z -= z.max(axis=1, keepdims=True)
    of_truth = z[np.arange(len(z)), labels]
    separable = not (of_truth < 0).any()
    doubt = 1 / (len(z) + 1) if separable else 0.0
    of_others = (z.sum(axis=1) - of_truth) / max(z.shape[1] - 1, 1)
    value = 1 / _sharpest(z, float(np.mean((1 - doubt) * of_truth + doubt * of_others)))
    before, after = (nll(logits, labels, t) for t in (1.0, value))
    return Temperature(value, before, after, len(z), separable)


def nll(logits: Logits, labels: NDArray[np.int64], temperature: float = 1.0) -> float:
    """Mean log loss of softmax(logits / temperature), nats; exact where a softmax would round to 0."""
    z = logits.astype(np.float64) / temperature
    z -= z.max(axis=1, keepdims=True)
    return float(np.mean(np.log(np.exp(z).sum(axis=1)) - z[np.arange(len(z)), labels]))


def _sharpest(z: Floats, pull: float) -> float:
    """The 1/T at which the mean logit that the softmax expects is `pull`, by Newton's steps.

    The loss is convex in 1/T, so its slope, that expectation less `pull`, rises and is 0 once. A step that
    leaves what is known to hold it is replaced by halving that, as ratios.
    """
    low, high, sharpness = 1 / HOTTEST, 1 / COLDEST, 1.0
    for _ in range(_STEPS):
        expected, variance = _moments(z, sharpness)
        slope = expected - pull
        if slope == 0:
            break
        low, high = (low, sharpness) if slope > 0 else (sharpness, high)
        step = sharpness - slope / variance if variance > 0 else 0.0
        before, sharpness = sharpness, step if low < step < high else (low * high) ** 0.5
        if abs(sharpness / before - 1) < 1e-10:
            break
    return sharpness


def _moments(z: Floats, sharpness: float) -> tuple[float, float]:
    """Mean over photos of the logit's expectation and variance under softmax(sharpness * z)."""
    mean = variance = 0.0
    size = max(1, _CHUNK // z.shape[1])
    for rows in (z[start : start + size] for start in range(0, len(z), size)):
        p = np.exp(sharpness * rows)
        p /= p.sum(axis=1, keepdims=True)
        expected = (p * rows).sum(axis=1)
        mean += expected.sum()
        variance += ((p * (rows - expected[:, None]) ** 2).sum(axis=1)).sum()
    return float(mean / len(z)), float(variance / len(z))


def _check(logits: Logits, labels: NDArray[np.int64]) -> None:
    if not len(labels) or logits.ndim != 2 or len(logits) != len(labels):
        raise ValueError(f"One row of logits for each label: {len(labels)} labels, logits {logits.shape}.")
    if labels.min() < 0 or labels.max() >= logits.shape[1]:
        raise ValueError(f"Labels run from 0 to {logits.shape[1] - 1}.")
    if not np.isfinite(logits).all():
        raise ValueError("Some logits are not numbers: the engine that gave them is broken.")
