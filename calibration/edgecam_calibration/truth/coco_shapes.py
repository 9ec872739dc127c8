"""The box and the outline of one COCO annotation, and what can be wrong with them."""

from math import isfinite
from typing import Any

from edgecam_calibration.truth.checks import Corners, Findings, Size
from edgecam_calibration.truth.shapes import Polygons, RunLengths, Shape, parse_counts


def shape_of(said: Any, size: Size | None, where: str, findings: Findings) -> Shape | None:
    """The object's outline; None when none is said, or when it is bad, which is reported."""
    if not said:
        return None
    try:
        if size is None:
            raise ValueError("the image's width and height are not known")
        return _polygons(said, size) if isinstance(said, list) else _run_lengths(said, size)
    except (ValueError, TypeError, KeyError, OverflowError) as error:
        findings.add(where, f"its segmentation cannot be used: {error}")
        return None


def _polygons(said: list[Any], size: Size) -> Polygons:
    outlines = []
    for outline in said:
        if not isinstance(outline, list) or len(outline) < 6 or len(outline) % 2:
            raise ValueError("a polygon is a list x0, y0, x1, y1, ... of at least three corners")
        numbers = tuple(map(float, outline))
        if not all(map(isfinite, numbers)):
            raise ValueError("a polygon has a corner that is no number")
        _check_reach(numbers, size)
        outlines.append(numbers)
    return Polygons(tuple(outlines), size)


def _check_reach(numbers: tuple[float, ...], size: Size) -> None:
    w, h = size
    xs, ys = numbers[0::2], numbers[1::2]
    if min(xs) < -1 or min(ys) < -1 or max(xs) > w + 1 or max(ys) > h + 1:
        raise ValueError(f"a polygon leaves the image of {w} x {h} pixels")


def _run_lengths(said: Any, size: Size) -> RunLengths:
    if not isinstance(said, dict):
        raise ValueError("it is neither a list of polygons nor run lengths")
    h, w = said["size"]
    if (w, h) != size:
        raise ValueError(f"its mask has {w} x {h} pixels, its image {size[0]} x {size[1]}")
    counts = parse_counts(said["counts"])
    if sum(counts) != w * h:
        raise ValueError(f"its run lengths add up to {sum(counts)} pixels, not {w} x {h}")
    return RunLengths(counts, size)


def rectangle(edges: Corners | None, size: Size | None) -> Shape | None:
    """A box as an outline; None without a box or a size."""
    if edges is None or size is None:
        return None
    x0, y0, x1, y1 = edges
    return Polygons(((x0, y0, x1, y0, x1, y1, x0, y1),), size)


def edges_of(bbox: Any) -> Corners | None:
    """x, y, w, h -> the edges x0, y0, x1, y1; None when they are not four numbers."""
    try:
        x, y, w, h = map(float, bbox)
    except (ValueError, TypeError, OverflowError):
        return None
    return (x, y, x + w, y + h) if all(map(isfinite, (x, y, w, h))) else None
