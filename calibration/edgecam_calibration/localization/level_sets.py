"""The pieces of a map above every cut at once: the box around each, and its area.

`basins` divides the map among its peaks. Here each peak's share is measured at every cut, and shares are
joined from the highest pass down, as in a component tree: the work depends on the number of peaks and
not on the number of cuts.
"""

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from edgecam_calibration.localization.basins import Division, Levels, Passes

_LEVELS: Final = 256
_NOWHERE: Final = np.iinfo(np.int32).max


class Union(NamedTuple):
    """Below a level two pieces are one, which the leader stands for."""

    leader: int
    other: int
    level: int


def unions(between: Passes, total: int, *, outside: int = -1) -> list[Union]:
    """Which of `total` pieces become one, from the highest level down. `outside`, if there is one, leads."""
    leaders = list(range(total))

    def leader(place: int) -> int:
        while leaders[place] != place:
            leaders[place] = place = leaders[leaders[place]]
        return place

    found = []
    for first, second, level in zip(*between, strict=True):
        one, other = leader(first), leader(second)
        if one != other:
            if other == outside:
                one, other = other, one
            leaders[other] = one
            found.append(Union(one, other, level))
    return found


def outlets(joined: list[Union], outside: int) -> NDArray[np.uint8]:
    """The level below which each of the places 0 to `outside` - 1 is one piece with `outside`."""
    level_of = np.zeros(outside, np.uint8)
    members = [[place] for place in range(outside + 1)]
    for one, other, level in joined:
        if one == outside:
            level_of[members[other]] = level
        else:
            members[one] += members[other]
    return level_of


class Shares(NamedTuple):
    """What each of m peaks has at each of c ascending cuts; numbers mean nothing where nothing is there."""

    there: NDArray[np.bool_]  # (m, c)
    reach: NDArray[np.int32]  # (4, m, c) first x, first y, -last x, -last y: each a minimum


def shares(peaks: Division, levels: Levels, cuts: NDArray[np.int64]) -> Shares:
    """Each peak's own pixels above each cut; their first and last row are those of hills that reach it."""
    h, w = levels.shape
    reach = np.full((4, peaks.total * _LEVELS), _NOWHERE, np.int32)
    for axis, (hills, level, length) in enumerate(((peaks.columns, levels.T, h), (peaks.rows, levels, w))):
        line = (hills.crests // length).astype(np.int32)
        at = hills.peak * _LEVELS + level.ravel()[hills.crests]
        # Of several values for one place the last one stays: the smallest of either order.
        reach[axis, at[::-1]] = line[::-1]
        reach[axis + 2, at] = -line
    downward = reach.reshape(4, peaks.total, _LEVELS)[..., ::-1]
    above = np.minimum.accumulate(downward, axis=2)[..., _LEVELS - 2 - cuts]
    return Shares(above[0] != _NOWHERE, above)


def doubled_areas(peaks: Division, levels: Levels, cuts: NDArray[np.int64]) -> NDArray[np.int64]:
    """Twice the area within the outlines at each cut, (m, c), divided among the peaks.

    An outline goes through centres of pixels. Between four centres it holds the whole square when all
    four pixels are above the cut, half of it when three are, and else nothing. `levels` must have no
    holes, so that the outline is the whole border.
    """
    labels, count = peaks.labels(), peaks.total
    upper = np.minimum(levels[:-1, :-1], levels[:-1, 1:]), np.maximum(levels[:-1, :-1], levels[:-1, 1:])
    lower = np.minimum(levels[1:, :-1], levels[1:, 1:]), np.maximum(levels[1:, :-1], levels[1:, 1:])
    lowest = np.minimum(upper[0], lower[0])
    second = np.minimum(np.maximum(upper[0], lower[0]), np.minimum(upper[1], lower[1]))
    # Only one of four can be below the second lowest, and the other three are in one piece.
    owner = np.where(levels[:-1, :-1] >= second, labels[:-1, :-1], labels[:-1, 1:])
    row = owner.astype(np.min_scalar_type(count * _LEVELS))
    row <<= row.dtype.type(8)
    at = np.bincount((row + lowest).ravel(), minlength=count * _LEVELS)
    at += np.bincount((row + second).ravel(), minlength=count * _LEVELS)
    above = at.reshape(count, _LEVELS)[:, ::-1].cumsum(axis=1)[:, ::-1]
    return above[:, cuts + 1]


def join(
    own: Shares,
    joined: list[Union],
    cuts: NDArray[np.int64],
    *,
    outside: int = -1,
    areas: NDArray[np.int64] | None = None,
) -> None:
    """Add up shares, in place, until each place is a whole piece, or is there no more. So for areas.

    What is one piece with `outside` is there no more, whatever stands for it.
    """
    below = np.searchsorted(cuts, np.arange(_LEVELS)).tolist()  # the cuts below each level
    for one, other, level in joined:
        k = below[level]
        if k and one != outside:
            into = own.reach[:, one, :k]
            np.minimum(into, own.reach[:, other, :k], out=into)
            if areas is not None:
                areas[one, :k] += areas[other, :k]
    first = np.zeros((len(own.there), 1), np.intp)
    first[[other for _, other, _ in joined], 0] = [below[level] for _, _, level in joined]
    np.logical_and(own.there, np.arange(len(cuts)) >= first, out=own.there)
