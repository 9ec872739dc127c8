"""One threshold that keeps false alarms below a bound: chosen on validation photos, reported on others.

What counts as a positive must be one yes-or-no question a photo:

- `--positive CLASS`: is it CLASS? Its score is the probability of CLASS.
- two classes: the same question about the first of them, so the other's is one minus it.
- more classes: is the top answer right? Its score is the confidence, as `edgecam run --threshold` cuts it.
  A false positive is a wrong answer that was let through, and FPR is the share of the wrong answers.
"""

import difflib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from edgecam_calibration.intervals import wilson
from edgecam_engines.errors import DataError

Numbers = NDArray[np.float32] | NDArray[np.float64]


class Detection(NamedTuple):
    """A yes-or-no question put to each photo."""

    positive: str | None  # the class asked for; None: whether the top answer is right
    scores: Numbers  # (n,)
    truth: NDArray[np.bool_]  # (n,)

    @property
    def negatives(self) -> str:
        """In a sentence: "12 photos that ..."."""
        return "were answered wrong" if self.positive is None else f"are not {self.positive}"


@dataclass(frozen=True)
class OperatingPoint:
    """A threshold, chosen on validation photos, and what it does to others."""

    positive: str | None  # the class; None: a top answer that is right
    max_fpr: float  # asked for, and held on the validation photos
    threshold: float  # positive if the score is at least this
    tpr: float | None  # of the positives, the share found; None: there are none
    fpr: float | None  # of the negatives, the share let through; None: there are none
    tpr_ci95: list[float]  # Wilson, [low, high]
    fpr_ci95: list[float]

    def document(self) -> dict[str, Any]:
        """What `edgecam eval --json` prints as `operating_point`; scripts rely on its keys."""
        return {
            "max_fpr": self.max_fpr,
            "threshold": self.threshold,
            "tpr": self.tpr,
            "fpr": self.fpr,
            "tpr_ci95": self.tpr_ci95,
            "fpr_ci95": self.fpr_ci95,
            "positive": self.positive,
        }


def detection(
    labels: NDArray[np.int64], probabilities: Numbers, classes: Sequence[str], positive: str | None = None
) -> Detection:
    """The question for answers (n, classes), as this file's first lines say. Raises DataError."""
    if positive is None and len(classes) > 2:
        return Detection(None, probabilities.max(axis=1), probabilities.argmax(axis=1) == labels)
    name = classes[0] if positive is None else positive
    if name not in classes:
        near = difflib.get_close_matches(name, classes, n=3, cutoff=0.5) or list(classes[:12])
        raise DataError(
            f"There is no class {name!r} to take as positive.\n"
            f"Name one that the bundle knows: --positive {near[0]!r}"
            + (f" (or {', '.join(near[1:])})." if near[1:] else ".")
        )
    k = list(classes).index(name)
    return Detection(name, probabilities[:, k], labels == k)


def operating_point(validation: Detection, test: Detection, *, max_fpr: float) -> OperatingPoint:
    """Choose the threshold on `validation` and apply it to `test`. Raises as `choose_threshold` does."""
    threshold = choose_threshold(validation, max_fpr)
    passed = test.scores.astype(np.float64) >= threshold
    tpr, tpr_ci95 = _share(passed[test.truth])
    fpr, fpr_ci95 = _share(passed[~test.truth])
    return OperatingPoint(test.positive, max_fpr, threshold, tpr, fpr, tpr_ci95, fpr_ci95)


def choose_threshold(asked: Detection, max_fpr: float) -> float:
    """The smallest t such that of the negatives at most `max_fpr` score t or more.

    That is the next number above a negative's score, in the scores' own precision, so photos that tie
    with it stay below together. It may lie above every score: then nothing passes.
    Raises DataError for a rate that so few negatives cannot show, and for one outside (0, 1).
    """
    negatives = np.sort(asked.scores[~asked.truth])[::-1]
    n = len(negatives)
    _check(asked, max_fpr, n)
    allowed = int(np.flatnonzero(np.arange(n + 1) / n <= max_fpr)[-1])  # below n, as max_fpr is below 1
    return float(np.nextafter(negatives[allowed], negatives.dtype.type(np.inf)))


def _check(asked: Detection, max_fpr: float, n: int) -> None:
    if not 0 < max_fpr < 1:
        raise DataError(
            f"A false-positive rate of {max_fpr:g} cannot be aimed at: it is a share between 0 and 1.\n"
            f"For one in a hundred: --max-fpr 0.01"
        )
    if not n:
        raise DataError(
            f"None of the {len(asked.scores)} validation photos {asked.negatives}, so nothing shows what a "
            f"threshold would let through.\nLeave out --max-fpr, name a class with --positive, or add "
            f"validation photos that {asked.negatives}."
        )
    if max_fpr < 1 / n:
        raise DataError(
            f"A false-positive rate of {max_fpr:g} cannot be told on the {n} validation photos that "
            f"{asked.negatives}: one of them is already {1 / n:.2%}.\n"
            f"Ask for --max-fpr {_rounded_up(1 / n):g}, or add such photos until there are "
            f"{math.ceil(1 / max_fpr)}."
        )


def _rounded_up(rate: float) -> float:
    """To two digits, never below: what is printed must be accepted."""
    digits = 1 - math.floor(math.log10(rate))
    scale = 10.0**digits
    return round(math.ceil(round(rate * scale, 6)) / scale, digits)


def _share(passed: NDArray[np.bool_]) -> tuple[float | None, list[float]]:
    hits, n = int(passed.sum()), len(passed)
    return (hits / n if n else None), wilson(hits, n).tolist()
