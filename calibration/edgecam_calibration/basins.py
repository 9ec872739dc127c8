"""A map divided among its peaks, and the passes between them: what its level sets are made of.

Above any cut a map falls into pieces. Every piece holds a peak, two peaks share a piece as long as the
cut is below the highest pass between them, and each pixel above the cut lies in the piece of the peak
that it leads up to. So the pieces at all cuts follow from one division, which is made once.
"""

from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

_BESIDE: Final = ((0, 1), (1, 0))  # the neighbours after a pixel, (down, right), that share a side with it
_CORNERS: Final = ((1, 1), (1, -1))  # and that share a corner only

_DOUBLINGS: Final = 3  # steps of eight pixels

Levels = NDArray[np.uint8]  # (h, w)


class Division(NamedTuple):
    """Which peak each pixel leads up to, and where the shares of two peaks meet."""

    labels: NDArray[np.intp]  # (h, w) 0 to total - 1
    total: int
    tops: NDArray[np.intp]  # (total,) where each peak is, counted in reading order
    meet: tuple[NDArray[np.intp], NDArray[np.intp]]  # (m,) neighbours of unlike labels, in reading order


class Passes(NamedTuple):
    """The highest pass between each pair of peaks, the highest first: three lists of one length."""

    first: list[int]
    second: list[int]
    level: list[int]  # below it, both are in one piece


def divide(fine: NDArray[np.uint16], *, corners: bool) -> Division:
    """Divide a map (h, w) among its peaks.

    Uphill is to the highest neighbour; with `corners` a pixel has eight of them, else four. Of equal
    pixels the later one in reading order is the higher, so every pixel knows its way.
    """
    up = _highest_neighbour(fine, corners=corners)
    for _ in range(_DOUBLINGS):
        up = up.take(up, mode="clip")  # twice as far up each time; nothing is clipped
    stops = np.zeros(up.size, np.bool_)
    stops[up] = True
    at = np.flatnonzero(stops)  # few pixels are where others have got to; these alone go on, to the top
    number = np.empty(up.size, np.intp)
    number[at] = np.arange(len(at))
    top = number[up[at]]
    while not np.array_equal(further := top[top], top):
        top = further
    summits = np.flatnonzero(top == np.arange(len(at)))
    rank = np.empty(len(at), np.intp)
    rank[summits] = np.arange(len(summits))
    number[at] = rank[top]
    labels = number.take(up, mode="clip").reshape(fine.shape)
    return Division(labels, len(summits), at[summits], _borders(labels, corners=corners))


def passes(peaks: Division, levels: Levels, *, outside: bool = False) -> Passes:
    """The passes of a division; a step between two pixels is as high as the lower of them.

    With `outside`, the last of the peaks is a place beyond the border, which every border pixel
    reaches at its own level.
    """
    here, there = peaks.meet
    label, level = peaks.labels.ravel(), levels.ravel()
    first, second, height = label[here], label[there], np.minimum(level[here], level[there])
    if outside:
        rim = _rim(peaks.labels)
        first, second = np.append(first, rim), np.append(second, np.full(len(rim), peaks.total - 1))
        height = np.append(height, _rim(levels))
    pair = np.minimum(first, second) * peaks.total + np.maximum(first, second)
    ranked = np.sort(pair * 256 + (255 - height.astype(np.intp)))
    best = ranked[np.diff(ranked >> 8, prepend=-1) != 0]  # of each pair, the highest
    best = best[np.argsort(best & 255, kind="stable")]
    pair = best >> 8
    return Passes(
        (pair // peaks.total).tolist(), (pair % peaks.total).tolist(), (255 - (best & 255)).tolist()
    )


def _highest_neighbour(fine: NDArray[np.uint16], *, corners: bool) -> NDArray[np.intp]:
    """Where the highest pixel around each is, itself included: (n,), places in reading order."""
    # Value and place in one number, so that the highest number says where it was.
    bits, kind = (16, np.uint32) if fine.size <= 1 << 16 else (40, np.uint64)
    number: NDArray[Any] = fine.astype(kind)
    number <<= kind(bits)
    number += np.arange(fine.size, dtype=kind).reshape(fine.shape)
    highest = number.copy()
    np.maximum(highest[:, 1:], number[:, :-1], out=highest[:, 1:])
    np.maximum(highest[:, :-1], number[:, 1:], out=highest[:, :-1])
    column = highest.copy() if corners else number
    np.maximum(highest[1:], column[:-1], out=highest[1:])
    np.maximum(highest[:-1], column[1:], out=highest[:-1])
    highest &= kind((1 << bits) - 1)
    return np.asarray(highest.astype(np.intp).ravel())


def _borders(labels: NDArray[np.intp], *, corners: bool) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Neighbours that lead up to different peaks."""
    h, w = labels.shape
    label = labels.astype(np.int32)
    found = []
    for dy, dx in (*_BESIDE, *_CORNERS) if corners else _BESIDE:
        left, right = max(0, -dx), w - max(0, dx)
        unlike = label[: h - dy, left:right] != label[dy:, left + dx : right + dx]
        at = np.flatnonzero(unlike)
        found.append((at + at // (right - left) * (w - right + left) + left, dy * w + dx))
    here = np.concatenate([at for at, _ in found])
    return here, np.concatenate([at + step for at, step in found])


def _rim(image: NDArray[Any]) -> NDArray[Any]:
    return np.concatenate([image[0], image[-1], image[:, 0], image[:, -1]])
