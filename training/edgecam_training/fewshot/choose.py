"""Which way to fit a head: all are tried, and photos that were left out say which was best."""

from collections.abc import Callable
from typing import Final, NamedTuple

import numpy as np

from edgecam_engines.errors import DataError
from edgecam_training.fewshot.cache import fit_cache
from edgecam_training.fewshot.learned import Fit, Floats, Labels, Learned, judged
from edgecam_training.fewshot.logistic import fit_logistic
from edgecam_training.fewshot.ncm import fit_ncm
from edgecam_training.fewshot.ridge import fit_ridge

# In the order of trust: a later one must be clearly better to be preferred.
METHODS: Final[dict[str, Fit]] = {
    "logistic": fit_logistic,
    "ridge": fit_ridge,
    "ncm": fit_ncm,
    "cache": fit_cache,
}
AUTO: Final = "auto"
FEWEST: Final = 4  # photos a class, at the median, for `auto` to judge by
# With one photo a class nothing can be left out, and a fit has nothing to weigh. Measured on 13 classes,
# top-1 in FP32's and INT8's features, mean of 5 draws: ncm 49.7 and 49.9 %, logistic 48.6 and 48.9; at 2
# shots ncm 55.7 and 55.9, logistic 57.6 and 57.4.
SINGLE: Final = "ncm"


class Choice(NamedTuple):
    """The head that was chosen, and how often each way named a left-out photo rightly."""

    learned: Learned
    accuracy: dict[str, float]  # of every method tried; empty where nothing could be left out


def same(fit: Fit) -> Fit:
    return fit


def choose(
    pooled: Floats,
    labels: Labels,
    k: int,
    method: str = AUTO,
    *,
    first: int = 0,
    around: Callable[[Fit], Fit] = same,
) -> Choice:
    """Fit pooled features (n, d) with labels (n,) in [0, k). Raises DataError for a method that there is not.

    With `auto` the first of METHODS stays unless another names more of the left-out photos, by more than
    one standard error of the difference: with few photos a lead of one or two is luck. Classes of fewer
    than four photos are too few to judge by: with one of two left out, it is another problem that is judged.
    There a fixed rule decides: SINGLE for single photos, else the first.
    `around` makes of each fit the one that ships, where `first` classes stand before these in its logits.
    """
    if method not in (AUTO, *METHODS):
        raise DataError(f"There is no method {method!r}. Choose one of: {', '.join((AUTO, *METHODS))}.")
    names = list(METHODS) if method == AUTO else [method]
    at = judged(labels)
    usual = np.median(np.bincount(labels, minlength=k))
    if method == AUTO and usual < FEWEST:
        names = [SINGLE] if usual < 2 else names[:1]
    fits = {name: around(METHODS[name])(pooled, labels, k) for name in names}
    if not at.any():
        return Choice(fits[names[0]], {})
    right = {name: _right(found.held_out, labels + first)[at] for name, found in fits.items()}
    best = names[0]
    for name in names[1:]:
        lead = right[name].astype(int) - right[best].astype(int)
        if lead.mean() > lead.std() / np.sqrt(len(lead)):
            best = name
    return Choice(fits[best], {name: float(hits.mean()) for name, hits in right.items()})


def _right(logits: Floats, labels: Labels) -> np.ndarray:
    return np.asarray(logits.argmax(axis=1) == labels)
