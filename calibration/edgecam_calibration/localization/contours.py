"""The boxes that a score map proposes at every cut: around each contour of what lies above it.

The rules are those of the published WSOL protocol (Choe et al., arXiv:2001.07437; evaluation.py of
clovaai/wsolevaluation, MIT), to the pixel: the map times 255 is cut off to uint8; a pixel is in when it
is strictly above the cut; holes have contours too; a box goes from the first pixel to one beyond the
last, but not beyond the map's last pixel; two boxes are compared as if both corners belonged to them.

There, contours are traced anew at every threshold. Here the pieces and holes of all cuts come from three
component trees (`level_sets`), and contours are only traced where two pieces share the largest area,
since OpenCV's order then decides, and for maps of so many peaks that the trees would fill the memory.
"""

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from edgecam_calibration.localization.basins import Levels, divide, passes
from edgecam_calibration.localization.level_sets import Shares, doubled_areas, join, outlets, shares, unions
from edgecam_calibration.localization.scoremap import ScoreMap

MOST_PEAKS: Final = 12_000  # of a picture of noise; 250 MB while it is looked at

Contour = Any  # (points, 1, 2) int32, x before y


class Proposals(NamedTuple):
    """A map's boxes at c cuts, x0, y0, x1, y1. Where nothing is marked there is one, all 0, as there."""

    boxes: NDArray[np.int64]  # (k, 4), those of one cut together, of the first cut first
    starts: NDArray[np.int64]  # (c,) where each cut's boxes begin
    largest: NDArray[np.int64]  # (c, 4) around the contour of the largest area


def proposals(score: ScoreMap, cuts: NDArray[np.int64], *, most_peaks: int = MOST_PEAKS) -> Proposals:
    """The boxes of a score map at ascending cuts (c,) of 0..254."""
    # The product is the protocol's own; times 256 it is exact, so `fine` only refines the levels.
    scaled = score * 255
    scaled *= 256
    fine = scaled.astype(np.uint16)
    levels = (fine >> 8).astype(np.uint8)
    peaks, pits = divide(fine, corners=True), divide(~fine, corners=False)
    if max(peaks.total, pits.total) > most_peaks:
        return _traced(levels, cuts)
    # A hole is a piece of what is not above the cut, from which no way across sides leads out.
    deep, deep_cuts, out = ~levels, 254 - cuts[::-1], pits.total
    (between_pits,) = passes(pits, deep, outside=out)
    joined = unions(between_pits, out + 1, outside=out)
    holes = shares(pits, deep, deep_cuts)
    join(holes, joined, deep_cuts, outside=out)

    # The largest contour is the outline of a piece with all its holes filled.
    filled = ~np.minimum(deep, outlets(joined, out).take(pits.labels(), mode="clip"))
    between, between_filled = passes(peaks, levels, filled)
    pieces = shares(peaks, levels, cuts)
    outer = Shares(filled.ravel()[peaks.tops][:, None] > cuts, pieces.reach.copy())
    areas = doubled_areas(peaks, filled, cuts)
    join(pieces, unions(between, peaks.total), cuts)
    join(outer, unions(between_filled, peaks.total), cuts, areas=areas)
    boxes, starts = _listed(pieces, Shares(holes.there[:, ::-1], holes.reach[..., ::-1]), levels.shape, cuts)
    return Proposals(boxes, starts, _largest(outer, areas, levels, cuts))


def _listed(
    pieces: Shares, holes: Shares, hw: tuple[int, int], cuts: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """All boxes by cut, (k, 4), and where each cut's begin, (c,)."""
    of_piece, piece = np.nonzero(pieces.there.T)
    of_hole, hole = np.nonzero(holes.there.T)
    empty = np.flatnonzero(~pieces.there.any(axis=0))
    boxes = np.concatenate(
        [
            _drawn(pieces.reach[:, piece, of_piece], hw, 0),
            _drawn(holes.reach[:, hole, of_hole], hw, 1),  # the contour of a hole goes around it
            np.zeros((len(empty), 4), np.int64),
        ]
    )
    of = np.concatenate([of_piece, of_hole, empty])
    order = np.argsort(of, kind="stable")
    return boxes[order], np.searchsorted(of[order], np.arange(len(cuts)))


def _drawn(reach: NDArray[Any], hw: tuple[int, int], around: int) -> NDArray[np.int64]:
    """Boxes (k, 4) as the protocol draws them, `around` pixels about a reach (4, k)."""
    h, w = hw
    x0, y0, x1, y1 = reach.astype(np.int64)
    far = around + 1
    return np.stack(
        [x0 - around, y0 - around, np.minimum(far - x1, w - 1), np.minimum(far - y1, h - 1)], axis=1
    )


def _largest(
    outer: Shares, areas: NDArray[np.int64], levels: Levels, cuts: NDArray[np.int64]
) -> NDArray[np.int64]:
    """The box around the largest contour at each cut, (c, 4)."""
    known = np.where(outer.there, areas, -1)
    first = known.argmax(axis=0)
    at = np.arange(len(cuts))
    boxes = _drawn(outer.reach[:, first, at], levels.shape, 0)
    boxes[known[first, at] < 0] = 0
    for k in np.flatnonzero(((known == known[first, at]) & outer.there).sum(axis=0) > 1):
        boxes[k] = _trace(levels, int(cuts[k]))[1]
    return boxes


def _traced(levels: Levels, cuts: NDArray[np.int64]) -> Proposals:
    """The same from contours traced at every cut."""
    found = [_trace(levels, cut) for cut in cuts.tolist()]
    many = np.array([len(boxes) for boxes, _ in found])
    return Proposals(
        np.concatenate([boxes for boxes, _ in found]),
        np.cumsum(many) - many,
        np.stack([largest for _, largest in found]),
    )


def _trace(levels: Levels, cut: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The boxes around all contours at one cut, (k, 4), and the one around the largest, (4,)."""
    marked = cv2.threshold(levels, cut, 255, cv2.THRESH_BINARY)[1]
    contours: Sequence[Contour] = cv2.findContours(marked, cv2.RETR_TREE, cv2.CHAIN_APPROX_SIMPLE)[-2]
    if not contours:
        return np.zeros((1, 4), np.int64), np.zeros(4, np.int64)
    h, w = levels.shape
    x, y, wide, high = np.array([cv2.boundingRect(contour) for contour in contours], np.int64).T
    boxes = np.stack([x, y, np.minimum(x + wide, w - 1), np.minimum(y + high, h - 1)], axis=1)
    areas = [cv2.contourArea(contour) for contour in contours]
    return boxes, boxes[areas.index(max(areas))]  # the first of equals


def box_iou(first: ArrayLike, second: ArrayLike) -> NDArray[np.float64]:
    """Intersection over union of every pair of boxes, (k, 4) and (g, 4) -> (k, g); corners inclusive."""
    a, b = np.asarray(first, np.float64).T[..., None], np.asarray(second, np.float64).T[:, None]
    across = np.minimum(a[2], b[2]) - np.maximum(a[0], b[0]) + 1
    down = np.minimum(a[3], b[3]) - np.maximum(a[1], b[1]) + 1
    shared = np.maximum(across, 0) * np.maximum(down, 0)
    return np.asarray(shared / (_area(a) + _area(b) - shared))


def _area(boxes: NDArray[np.float64]) -> NDArray[np.float64]:
    x0, y0, x1, y1 = boxes
    return np.asarray((x1 - x0 + 1) * (y1 - y0 + 1))
