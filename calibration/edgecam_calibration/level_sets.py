"""The pieces of a map above every cut at once: the box around each, and its area.

`basins` divides the map among its peaks. Here each peak's share is measured at every cut, and shares are
joined from the highest pass down, as in a component tree: the work depends on the number of peaks and
not on the number of cuts.
"""

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from edgecam_calibration.basins import Division, Levels, Passes

_LEVELS: Final = 256
_TOPS: Final = _LEVELS + 1  # a level, or none


class Union(NamedTuple):
    """Below a level, two pieces are one, which the first one's leader stands for."""

    leader: int
    other: int
    level: int


def unions(peaks: Division, between: Passes) -> list[Union]:
    """Which pieces become one, from the highest level down."""
    leaders = list(range(peaks.total))

    def leader(place: int) -> int:
        while leaders[place] != place:
            leaders[place] = place = leaders[leaders[place]]
        return place

    found = []
    for first, second, level in zip(*between, strict=True):
        one, other = leader(first), leader(second)
        if one != other:
            leaders[other] = one
            found.append(Union(one, other, level))
    return found


def outlets(joined: list[Union], count: int, outside: int) -> NDArray[np.intp]:
    """The level below which each of `count` places is one piece with `outside`."""
    level_of = np.zeros(count, np.intp)
    members = [[place] for place in range(count)]
    out = outside
    for one, other, level in joined:
        if out in (one, other):
            level_of[members[other if out == one else one]] = level
            out = one
        members[one] += members[other]
    return level_of


class Shares(NamedTuple):
    """What each of m peaks has at each of c ascending cuts; numbers mean nothing where nothing is there."""

    there: NDArray[np.bool_]  # (m, c)
    reach: NDArray[np.int32]  # (4, m, c) first x, first y, -last x, -last y: each a minimum


def shares(peaks: Division, levels: Levels, cuts: NDArray[np.int64]) -> Shares:
    """Each peak's own pixels above each cut."""
    y0, y1 = _span(_line_tops(peaks.labels, levels, peaks.total), cuts)
    x0, x1 = _span(_line_tops(peaks.labels.T, levels.T, peaks.total), cuts)
    return Shares(y0 < levels.shape[0], np.stack([x0, y0, -x1, -y1]))


def _line_tops(labels: NDArray[np.intp], levels: Levels, total: int) -> NDArray[np.int16]:
    """One more than the highest level of each peak in each line, (peaks, lines); 0 where it has none."""
    lines, length = labels.shape
    label = labels.ravel()
    new = np.empty(label.size, np.bool_)
    np.not_equal(label[1:], label[:-1], out=new[1:])
    new[::length] = True
    starts = np.flatnonzero(new)
    runs = np.maximum.reduceat(levels.ravel(), starts)
    tops = np.zeros(total * lines, np.int16)
    np.maximum.at(tops, label[starts] * lines + starts // length, runs + np.int16(1))
    return tops.reshape(total, lines)


def _span(tops: NDArray[np.int16], cuts: NDArray[np.int64]) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """The first and the last line in which each peak is above each cut, (peaks, c) both."""
    total, lines = tops.shape
    key = np.arange(0, total * _TOPS, _TOPS)[:, None]
    until = []
    for way in (tops, tops[:, ::-1]):
        so_far = np.maximum.accumulate(way, axis=1) + key
        counts = np.bincount(so_far.ravel(), minlength=total * _TOPS).reshape(total, _TOPS)
        until.append(counts.cumsum(axis=1, dtype=np.int32)[:, cuts + 1])  # lines that come before
    return until[0], np.int32(lines - 1) - until[1]


def doubled_areas(peaks: Division, levels: Levels, cuts: NDArray[np.int64]) -> NDArray[np.int64]:
    """Twice the area within the outlines at each cut, (m, c), divided among the peaks.

    An outline goes through centres of pixels. Between four centres it holds the whole square when all
    four pixels are above the cut, half of it when three are, and else nothing. `levels` must have no
    holes, so that the outline is the whole border.
    """
    labels, count = peaks.labels, peaks.total
    upper = np.minimum(levels[:-1, :-1], levels[:-1, 1:]), np.maximum(levels[:-1, :-1], levels[:-1, 1:])
    lower = np.minimum(levels[1:, :-1], levels[1:, 1:]), np.maximum(levels[1:, :-1], levels[1:, 1:])
    lowest = np.minimum(upper[0], lower[0])
    second = np.minimum(np.maximum(upper[0], lower[0]), np.minimum(upper[1], lower[1]))
    # Only one of four can be below the second lowest, and the other three are in one piece.
    owner = np.where(levels[:-1, :-1] >= second, labels[:-1, :-1], labels[:-1, 1:]) * _LEVELS
    at = np.bincount((owner + lowest).ravel(), minlength=count * _LEVELS)
    at += np.bincount((owner + second).ravel(), minlength=count * _LEVELS)
    above = at.reshape(count, _LEVELS)[:, ::-1].cumsum(axis=1)[:, ::-1]
    return above[:, cuts + 1]


def join(
    own: Shares, joined: list[Union], cuts: NDArray[np.int64], areas: NDArray[np.int64] | None = None
) -> None:
    """Add up shares, in place, until each place is a whole piece, or is there no more. So for areas."""
    there, reach = own
    below = np.searchsorted(cuts, np.arange(_LEVELS)).tolist()  # the cuts below each level
    for one, other, level in joined:
        k = below[level]
        if k:
            np.minimum(reach[:, one, :k], reach[:, other, :k], out=reach[:, one, :k])
            there[one, :k] &= there[other, :k]  # unless one is outside, both were there
            there[other, :k] = False
            if areas is not None:
                areas[one, :k] += areas[other, :k]
