"""Whether a class is told by its background: all its photos before the same wall teach the wall.

A warning needs both signs. The cells along the border alone, fitted like whole photos, name the class's
left-out photos nearly as often as whole photos do; and the class's map lies along the border at least as
much as anywhere else. Things that fill the frame show both signs too, so it is a warning with pictures.
"""

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from edgecam_engines.head import Head
from edgecam_training.fewshot.learned import Labels, one_hot
from edgecam_training.fewshot.ridge import UNJUDGED, balanced, left_out, solve
from edgecam_training.fewshot.space import space_of

FEWEST: Final = 4  # photos of a class to say anything
_NEARLY: Final = 0.9
_OFTEN: Final = 0.7  # of its photos named by the border alone


class Background(NamedTuple):
    """One class and its border."""

    label: int  # in the classes of `taken`
    by_border: float  # share of its left-out photos named rightly by the border alone
    by_whole: float  # and by whole photos
    mass: float  # of the map's positive part, the share on the border, by the border's share of the area
    warned: bool


def backgrounds(
    cells: NDArray[np.float16], labels: Labels, k: int, head: Head, rows: Labels
) -> list[Background]:
    """Cells (n, d, gh, gw) of photos with labels (n,); `rows` (k,) are these classes' rows of the head."""
    border = border_of((cells.shape[2], cells.shape[3]))
    if not border.any() or border.all() or k < 2:
        return []
    values = cells.astype(np.float64)
    named = {
        "border": _named(values[:, :, border].mean(axis=2), labels, k),
        "whole": _named(values.mean(axis=(2, 3)), labels, k),
    }
    # Without what all classes' maps share, which lies on the thing whatever tells the class.
    evidence = head.weight.astype(np.float64) - head.weight.mean(axis=0)
    found = []
    for each in range(k):
        of = labels == each
        if of.sum() < FEWEST:
            continue
        maps = np.maximum(np.einsum("d,ndhw->nhw", evidence[rows[each]], values[of]), 0)
        total = maps.sum()
        mass = float(maps[:, border].sum() / total / border.mean()) if total > 0 else 0.0
        by_border, by_whole = (float(named[name][of].mean()) for name in ("border", "whole"))
        warned = by_border >= max(_OFTEN, _NEARLY * by_whole) and mass >= 1
        found.append(Background(each, by_border, by_whole, mass, warned))
    return found


def border_of(hw: tuple[int, int]) -> NDArray[np.bool_]:
    """The outermost ring of cells, (gh, gw)."""
    border = np.ones(hw, np.bool_)
    border[1:-1, 1:-1] = False
    return border


def _named(pooled: NDArray[np.float64], labels: Labels, k: int) -> NDArray[np.bool_]:
    wanted = one_hot(labels, k)
    length = space_of(pooled, labels).length
    solved = solve(pooled / length, wanted, balanced(labels, k), UNJUDGED)
    return np.asarray(left_out(solved, wanted).argmax(axis=1) == labels)
