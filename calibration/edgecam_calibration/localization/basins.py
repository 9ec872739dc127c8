"""A map divided among its peaks, and the passes between them: what its level sets are made of.

Above any cut a map falls into pieces. Every piece holds a peak, two peaks share a piece as long as the
cut is below the highest pass between them, and each pixel above the cut lies in the piece of the peak
that it leads up to. So the pieces at all cuts follow from one division, which is made once.

The way up goes along the row to the top of its hill, from there to the highest neighbour in the next
row, and so on: a picture of 50,000 pixels has some thousand hills, and only these are followed.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Levels = NDArray[np.uint8]  # (h, w)
Places = NDArray[np.intp]  # of pixels, counted in reading order


class Hills(NamedTuple):
    """The rows of a map, each cut at its low points into parts that rise and then fall."""

    starts: NDArray[np.bool_]  # (h, w) whether a hill begins at the pixel
    of: NDArray[np.int32]  # (h, w) which hill each pixel is of
    crests: Places  # (k,) the top of each hill
    peak: NDArray[np.intp]  # (k,) the peak that each hill leads up to


class Division(NamedTuple):
    """Which of its peaks each part of a map leads up to."""

    rows: Hills
    columns: Hills  # of the map with rows and columns exchanged, to the same peaks
    tops: Places  # (total,) where each peak is
    corners: bool  # whether pixels that share a corner are neighbours

    @property
    def total(self) -> int:
        return len(self.tops)

    def labels(self) -> NDArray[np.unsignedinteger[Any]]:
        """The peak of each pixel, (h, w)."""
        peak = self.rows.peak.astype(np.min_scalar_type(self.total))
        starts = np.append(np.flatnonzero(self.rows.starts), self.rows.starts.size)
        return np.repeat(peak, np.diff(starts)).reshape(self.rows.starts.shape)


class Passes(NamedTuple):
    """The highest pass between each pair of peaks, the highest first: three lists of one length."""

    first: list[int]
    second: list[int]
    level: list[int]  # below it, both are in one piece


def divide(fine: NDArray[np.uint16], *, corners: bool) -> Division:
    """Divide a map (h, w) among its peaks.

    With `corners` a pixel has eight neighbours, else four. Of equal pixels the later one in reading
    order is the higher, so every pixel knows its way, and rows and columns lead to the same peaks.
    """
    rows, tops = _climbed(fine, corners=corners, exchanged=False)
    columns, _ = _climbed(np.ascontiguousarray(fine.T), corners=corners, exchanged=True)
    return Division(rows, columns, tops, corners)


def passes(peaks: Division, *many: Levels, outside: int | None = None) -> list[Passes]:
    """The passes of a division, on each of some maps; a step is as high as the lower of its two pixels.

    `outside` is the number of what lies beyond the border, if that counts; border pixels reach it at
    their own level.
    """
    meetings = [_within_rows(peaks.rows)]
    meetings += [_between_rows(peaks.rows, dx) for dx in ((0, 1, -1) if peaks.corners else (0,))]
    found = []
    for levels in many:
        steps = [
            (peaks.rows.peak[each.hill], peaks.rows.peak[each.other], each.steps(levels)) for each in meetings
        ]
        if outside is not None:
            rim = peaks.rows.peak[_rim(peaks.rows.of)]
            steps.append((rim, np.full(len(rim), outside), _rim(levels)))
        found.append(_highest(*map(np.concatenate, zip(*steps, strict=True))))
    return found


def _climbed(fine: NDArray[np.uint16], *, corners: bool, exchanged: bool) -> tuple[Hills, Places]:
    """The hills of each row, the peaks they lead to, and where those are in reading order, ascending.

    `exchanged`: the rows are columns, and reading order goes down them.
    """
    h, w = fine.shape
    rises = fine[:, 1:] >= fine[:, :-1]
    starts, crest = np.zeros((h, w), np.bool_), np.ones((h, w), np.bool_)
    starts[:, 0] = True
    np.greater(rises[:, 1:], rises[:, :-1], out=starts[:, 1:-1])  # falls before, rises after
    crest[:, 1:] = rises
    np.greater(crest[:, :-1], rises, out=crest[:, :-1])  # rises before, falls after
    of = np.cumsum(starts, dtype=np.int32).reshape(h, w)
    of -= 1
    crests = np.flatnonzero(crest)
    to = of.ravel()[_highest_beside(fine, crests, corners=corners, exchanged=exchanged)]
    while not np.array_equal(further := to[to], to):
        to = further  # twice as far up each time
    summits = np.flatnonzero(to == np.arange(len(to)))
    tops = _reading(crests[summits], h, w, exchanged=exchanged)
    order = np.argsort(tops)
    rank = np.empty(len(to), np.intp)
    rank[summits[order]] = np.arange(len(summits))
    return Hills(starts, of, crests, rank[to]), tops[order]


def _highest_beside(fine: NDArray[np.uint16], crests: Places, *, corners: bool, exchanged: bool) -> Places:
    """The highest of each crest and its neighbours in the rows beside it; those in its row are lower."""
    h, w = fine.shape
    y, x = np.divmod(crests, w)
    always = np.ones(len(crests), np.bool_)
    within = {-1: (y > 0, x > 0), 0: (always, always), 1: (y < h - 1, x < w - 1)}
    around = [(dy, dx) for dy in (-1, 1) for dx in ((-1, 0, 1) if corners else (0,))]
    # The last in reading order comes first: of equals, `argmax` takes the first.
    around = sorted([(0, 0), *around], key=lambda to: to[::-1] if exchanged else to, reverse=True)
    places = np.stack([crests + dy * w + dx for dy, dx in around])
    heights = fine.ravel().take(places, mode="clip").astype(np.int32)
    for row, (dy, dx) in zip(heights, around, strict=True):
        row[~(within[dy][0] & within[dx][1])] = -1
    return np.asarray(places[heights.argmax(axis=0), np.arange(len(crests))])


def _reading(places: Places, h: int, w: int, *, exchanged: bool) -> Places:
    """Places in the reading order of the map as it is given."""
    return places % w * h + places // w if exchanged else places


class _Meetings(NamedTuple):
    """Stretches along which two hills are neighbours."""

    hill: NDArray[np.int32]  # (m,)
    other: NDArray[np.int32]  # (m,)
    steps: Callable[[Levels], NDArray[np.uint8]]  # (m,) the highest step between the two


def _within_rows(rows: Hills) -> _Meetings:
    """Of each hill with the one before it in its row: a single step."""
    begins = rows.starts.copy()
    begins[:, 0] = False
    at = np.flatnonzero(begins)
    hill = rows.of.ravel()[at]
    return _Meetings(hill, hill - 1, lambda levels: np.minimum(levels.ravel()[at], levels.ravel()[at - 1]))


def _between_rows(rows: Hills, dx: int) -> _Meetings:
    """Of hills with those in the next row, `dx` pixels to the right."""
    h, w = rows.of.shape
    wide = w - abs(dx)
    here = slice(0, h - 1), slice(max(0, -dx), w - max(0, dx))
    there = slice(1, h), slice(max(0, dx), w - max(0, -dx))
    begins = rows.starts[here] | rows.starts[there]
    begins[:, :1] = True
    at = np.flatnonzero(begins)

    def steps(levels: Levels) -> NDArray[np.uint8]:
        every = np.minimum(levels[here], levels[there]).ravel()
        return np.maximum.reduceat(every, at) if at.size else every

    row, column = np.divmod(at, max(wide, 1))
    place = row * w + column + here[1].start
    of = rows.of.ravel()
    return _Meetings(of[place], of[place + w + dx], steps)


def _highest(first: NDArray[np.intp], second: NDArray[np.intp], level: NDArray[np.uint8]) -> Passes:
    """The highest of the steps between each pair of peaks."""
    unlike = np.flatnonzero(first != second)
    first, second = first[unlike], second[unlike]
    many = int(max(first.max(initial=0), second.max(initial=0))) + 1
    pair = np.minimum(first, second) * many + np.maximum(first, second)
    ranked = np.sort(pair * 256 + (255 - level[unlike].astype(np.intp)))
    best = ranked[np.diff(ranked >> 8, prepend=-1) != 0]
    best = best[np.argsort(best & 255, kind="stable")]
    pair = best >> 8
    return Passes((pair // many).tolist(), (pair % many).tolist(), (255 - (best & 255)).tolist())


def _rim(image: NDArray[Any]) -> NDArray[Any]:
    return np.concatenate([image[0], image[-1], image[:, 0], image[:, -1]])
