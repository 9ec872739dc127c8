"""From photos by their features to a class head with everything it needs: the whole of teaching but the disk.

What comes out depends on the photos alone, not on the order in which they came or on heads before it: a photo
that is taken out leaves the head as if it had never been there.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from edgecam_calibration.classification.temperature import fit_temperature
from edgecam_calibration.shared_map import fit_shared
from edgecam_engines.errors import DataError
from edgecam_engines.head import Head
from edgecam_training.fewshot.beside import Base, put_beside, with_rest
from edgecam_training.fewshot.choose import AUTO, Choice, choose, same
from edgecam_training.fewshot.learned import Fit, Floats, Labels, Learned, judged
from edgecam_training.fewshot.logits import remembered
from edgecam_training.fewshot.reject import MAX_FALSE_REJECT, Rejecting, fit_rejection

SHARED: Final = 1.0  # strength of the map that all classes share, as in training
_MOST_CELLS: Final = 3000  # that it is fitted to: more change nothing and take time
# Where no photo can be left out nothing can be calibrated; these were near what more photos gave.
_TEMPERATURES: Final = {"logistic": 1.0, "ridge": 0.15, "ncm": 0.1, "cache": 1.0}


class Taken(NamedTuple):
    """Photos of the classes that are taught, as their engine saw them."""

    pooled: Floats  # (n, d)
    cells: NDArray[np.float16]  # (n, d, gh, gw)
    labels: Labels  # (n,) in `classes`
    classes: tuple[str, ...]


@dataclass(frozen=True)
class Fitted:
    """A head, and what left-out photos say of it."""

    head: Head
    choice: Choice
    held_out: Floats  # (n, classes of the head): logits of each photo by a head that never saw it
    labels: Labels  # (n,) in the head's classes
    rejecting: Rejecting | None  # None: too few photos or classes to calibrate one
    calibrated: bool  # whether the temperature was fitted to left-out photos


def fit_head(
    taken: Taken,
    *,
    base: Base | None = None,
    method: str = AUTO,
    others: Floats | None = None,
    max_false_reject: float | None = MAX_FALSE_REJECT,
    shared: float = SHARED,
) -> Fitted:
    """Fit the classes of `taken`, alone or beside those of `base`.

    `others` (m, d) are photos of other things, which show the rejection what none of the classes is; with a
    base, its own photos do. `max_false_reject` None leaves the rejection out, a fit for each class.
    Raises DataError: too few classes, an unknown method.
    """
    k = len(taken.classes)
    _check(taken, base)
    if base is not None:
        others = base.pooled
    pooled = np.asarray(taken.pooled, np.float64)
    first, around = (0, same) if base is None else (len(base.head.classes), _beside(base))
    choice = choose(pooled, taken.labels, k, method, first=first, around=around)
    learned, labels = choice.learned, taken.labels + first
    classes = ((*base.head.classes,) if base is not None else ()) + taken.classes
    at = judged(taken.labels)
    temperature, rejecting = _temperature(learned, labels, at, base), None
    if max_false_reject is not None:
        rest = np.zeros((0, pooled.shape[1])) if others is None else np.asarray(others, np.float64)
        rejecting = fit_rejection(pooled, taken.labels, k, rest, max_false_reject=max_false_reject)
    head = Head(
        np.asarray(learned.weight, np.float32),
        np.asarray(learned.bias, np.float32),
        classes,
        temperature,
        None if rejecting is None else rejecting.rejection,
        remembered(learned.keys),
    )
    return Fitted(
        with_shared_map(head, taken.cells, labels, shared),
        choice,
        learned.held_out,
        labels,
        rejecting,
        bool(at.any()),
    )


def with_shared_map(head: Head, cells: NDArray[np.float16], labels: Labels, strength: float) -> Head:
    """The same answers, with maps that cover the thing: see `edgecam_calibration.shared_map`."""
    centred = head.weight.astype(np.float64) - head.weight.mean(axis=0)
    most = max(1, _MOST_CELLS // max(1, cells.shape[2] * cells.shape[3]))
    at = np.unique(np.linspace(0, len(cells) - 1, min(len(cells), most)).astype(int))
    row, bias = fit_shared([(cells[at].astype(np.float32), labels[at])], centred, strength)
    return replace(
        head,
        weight=np.asarray(centred + row, np.float32),
        bias=np.asarray(head.bias - head.bias.mean() + bias, np.float32),
    )


def _beside(base: Base) -> Callable[[Fit], Fit]:
    """What makes of a way to fit the same with the base's classes beside."""

    def around(fit: Fit) -> Fit:
        def both(pooled: Floats, labels: Labels, k: int, *, hold_out: bool = True) -> Learned:
            found = fit(*with_rest(pooled, labels, k, base), hold_out=hold_out)
            return put_beside(found, pooled, labels, k, base)

        return both

    return around


def _temperature(learned: Learned, labels: Labels, at: NDArray[np.bool_], base: Base | None) -> float:
    if at.any():
        return fit_temperature(learned.held_out[at], labels[at]).value
    return base.head.temperature if base is not None else _TEMPERATURES[learned.method]


def _check(taken: Taken, base: Base | None) -> None:
    others = 0 if base is None else len(base.pooled)
    if not len(taken.labels) or (len(taken.classes) < 2 and not others):
        have = f"only {taken.classes[0]!r}" if taken.classes else "no class"
        raise DataError(
            f"There are photos of {have}; a head tells at least two things apart.\n"
            f"Teach another, for example what is there when the thing is not:\n"
            f"    edgecam teach BUNDLE --camera 0 --label background --shots 10"
        )
