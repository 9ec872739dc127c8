"""What a taught head must say of itself: how often it is right, what it takes for what, what it lacks."""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from edgecam_calibration.intervals import Estimate, proportion
from edgecam_training.fewshot.background import Background, backgrounds
from edgecam_training.fewshot.beside import Base
from edgecam_training.fewshot.curve import Curve, Need, learning_curve, needs
from edgecam_training.fewshot.fit import Fitted, Taken
from edgecam_training.fewshot.influence import Pull, pulls
from edgecam_training.fewshot.learned import judged

_MOST_PULLS: Final = 1500  # photos: their pairs take n^2 k numbers


@dataclass(frozen=True)
class Figures:
    """Everything is measured on photos that the head asked had never seen, but for `forgotten`."""

    right: Estimate | None  # of the photos that could be left out; None: of no class are there two
    confusion: NDArray[
        np.int64
    ]  # (classes taught, classes of the head): what they are, what they were called
    pulls: list[Pull]  # the most harmful first
    curve: Curve
    needs: list[Need]
    backgrounds: list[Background]
    forgotten: Estimate | None  # of known photos of the bundle's own classes, the share called otherwise now


def figures_of(
    taken: Taken, fitted: Fitted, base: Base | None, *, quick: bool = False, rng: np.random.Generator
) -> Figures:
    """Measure a head on what it was fitted to; `rng` draws for the learning curve, which `quick` leaves out
    with all that looks for what is wrong."""
    k, labels = len(taken.classes), taken.labels
    first = len(fitted.head.classes) - k
    pooled = np.asarray(taken.pooled, np.float64)
    at, called = judged(labels), fitted.held_out.argmax(axis=1)
    confusion = np.zeros((k, first + k), np.int64)
    np.add.at(confusion, (labels[at], called[at]), 1)
    right = proportion(called[at] == fitted.labels[at]) if at.any() else None
    several = k > 1 and bool(at.any()) and not quick
    curve = learning_curve(pooled, labels, k, rng) if several else Curve([], [], 0.0)
    return Figures(
        right,
        confusion,
        pulls(pooled, labels, k) if several and len(labels) <= _MOST_PULLS else [],
        curve,
        needs(curve, called - first, labels, k),
        [] if quick else backgrounds(taken.cells, labels, k, fitted.head, np.arange(first, first + k)),
        forgetting(fitted, base),
    )


def forgetting(fitted: Fitted, base: Base | None) -> Estimate | None:
    """How many photos of the old classes, named rightly before, are called otherwise by the new head.

    The fit saw these photos as "something else", so the share is flattering where there are few.
    """
    if base is None or not len(base.pooled):
        return None
    before = base.logits(base.pooled).argmax(axis=1) == base.labels
    if not before.any():
        return None
    features = base.pooled[before].astype(np.float32)[:, :, None, None]
    now = fitted.head.logits(features).argmax(axis=1)  # the old classes come first, in their order
    return proportion(now != base.labels[before])


def document(figures: Figures, taken: Taken, fitted: Fitted, ids: list[str]) -> dict[str, Any]:
    """For `--json` and for the version's file; scripts rely on its keys."""
    rejecting, classes = fitted.rejecting, taken.classes
    return {
        "method": fitted.choice.learned.method,
        "setting": fitted.choice.learned.setting,
        "exact_maps": fitted.head.exact_maps,
        "accuracy": _estimate(figures.right),
        "accuracy_by_method": fitted.choice.accuracy,
        "temperature": fitted.head.temperature,
        "calibrated": fitted.calibrated,
        "unknown": rejecting
        and {
            "threshold": rejecting.rejection and rejecting.rejection.threshold,
            "max_false_reject": rejecting.max_false_reject,
            "caught": _estimate(rejecting.caught),
        },
        "photos": {name: int((taken.labels == c).sum()) for c, name in enumerate(classes)},
        "confusion": {"called": list(fitted.head.classes), "rows": figures.confusion.tolist()},
        "forgotten": _estimate(figures.forgotten),
        "suspicious": [
            {"id": ids[p.photo], "label": classes[taken.labels[p.photo]], "called": classes[p.called]}
            for p in figures.pulls
            if p.suspicious
        ],
        "needs": [{"label": classes[n.label], "error": n.error, "more": n.more} for n in figures.needs],
        "backgrounds": [
            {
                "label": classes[b.label],
                "by_border": b.by_border,
                "by_whole": b.by_whole,
                "map_on_border": b.mass,
                "warned": b.warned,
            }
            for b in figures.backgrounds
        ],
    }


def _estimate(found: Estimate | None) -> dict[str, Any] | None:
    return None if found is None else {"value": found.value, "ci95": found.ci95, "n": found.n}
