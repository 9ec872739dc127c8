"""How well labels are told: top-1, precision, recall, F1, false-positive rate and calibration error."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from edgecam_calibration.intervals import proportion

ECE_BINS: Final = 15

Numbers = NDArray[np.float32] | NDArray[np.float64]


@dataclass(frozen=True)
class ClassScore:
    """One class against the rest."""

    name: str
    precision: float  # of the photos called so, the share that is
    recall: float  # of the photos that are, the share called so
    f1: float
    fpr: float  # of the photos that are not, the share called so
    support: int  # photos of this class


@dataclass(frozen=True)
class ClassificationReport:
    """What `edgecam eval` prints. Shares lie in [0, 1]."""

    n: int
    top1: float
    top1_ci95: list[float]  # Wilson, [low, high]
    macro_f1: float  # mean F1 of the classes that have photos
    ece: float
    per_class: list[ClassScore]  # every class that the head knows, in its order
    confusion: NDArray[np.int64]  # (classes, classes): row = what it is, column = what it was called
    undefined: int  # precisions, recalls, F1s and rates that were 0/0 and are given as 0


def classification_report(
    labels: NDArray[np.int64], probabilities: Numbers, classes: Sequence[str]
) -> ClassificationReport:
    """Score answers (n, classes) against labels (n,). A tie goes to the first of its classes.

    A class may have no photos: it is listed, but left out of `macro_f1`.
    Raises ValueError for nothing to score, shapes or labels that do not fit, and values that are not numbers.
    """
    _check(labels, probabilities, len(classes))
    confusion = confusion_matrix(labels, probabilities.argmax(axis=1), len(classes))
    top1 = proportion(probabilities.argmax(axis=1) == labels)
    scores, undefined = _per_class(confusion, classes)
    return ClassificationReport(
        n=len(labels),
        top1=top1.value,
        top1_ci95=top1.ci95,
        macro_f1=float(np.mean([score.f1 for score in scores if score.support])),
        ece=expected_calibration_error(labels, probabilities),
        per_class=scores,
        confusion=confusion,
        undefined=undefined,
    )


def confusion_matrix(labels: NDArray[np.int64], called: NDArray[np.int64], classes: int) -> NDArray[np.int64]:
    """Counts (classes, classes): row = what it is, column = what it was called."""
    counts = np.bincount(labels * classes + called, minlength=classes * classes)
    return counts.reshape(classes, classes).astype(np.int64)


def expected_calibration_error(
    labels: NDArray[np.int64], probabilities: Numbers, bins: int = ECE_BINS
) -> float:
    """Mean |share right - mean confidence| over equal-width bins (lo, hi], weighted by their photos.

    0 means that of the answers given with 80 % confidence, 80 % are right.
    Source: Guo et al., arXiv:1706.04599, with the bins of their code.
    """
    confidence = probabilities.max(axis=1).astype(np.float64)
    right = probabilities.argmax(axis=1) == labels
    edges = np.linspace(0, 1, bins + 1)
    # A softmax in float32 may sum to a hair more than 1.
    placed = np.clip(np.searchsorted(edges, confidence, side="left") - 1, 0, bins - 1)
    gap = np.bincount(placed, weights=right - confidence, minlength=bins)
    return float(np.abs(gap).sum() / len(labels))


def _per_class(confusion: NDArray[np.int64], classes: Sequence[str]) -> tuple[list[ClassScore], int]:
    hit = np.diag(confusion)
    support, called, n = confusion.sum(axis=1), confusion.sum(axis=0), confusion.sum()
    ratios = {
        "precision": (hit, called),
        "recall": (hit, support),
        "f1": (2 * hit, support + called),
        "fpr": (called - hit, n - support),
    }
    undefined = sum(int((below == 0).sum()) for _, below in ratios.values())
    columns = {key: _ratio(above, below) for key, (above, below) in ratios.items()}
    scores = [
        ClassScore(
            name, support=int(support[k]), **{key: float(column[k]) for key, column in columns.items()}
        )
        for k, name in enumerate(classes)
    ]
    return scores, undefined


def _ratio(above: NDArray[np.int64], below: NDArray[np.int64]) -> NDArray[np.float64]:
    """above / below, where 0/0 is defined as 0."""
    return np.asarray(above / np.maximum(below, 1), dtype=np.float64)


def _check(labels: NDArray[np.int64], probabilities: Numbers, classes: int) -> None:
    if not len(labels) or probabilities.shape != (len(labels), classes):
        raise ValueError(
            f"Scores need one row for each label and one column for each class: "
            f"{len(labels)} labels, {classes} classes, probabilities {probabilities.shape}."
        )
    if labels.min() < 0 or labels.max() >= classes:
        raise ValueError(f"Labels run from 0 to {classes - 1}, not {labels.min()} to {labels.max()}.")
    if not np.isfinite(probabilities).all():
        raise ValueError("Some probabilities are not numbers: the engine that gave them is broken.")
