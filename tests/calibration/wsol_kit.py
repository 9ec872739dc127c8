"""The WSOL figures said over again as plainly as can be: threshold by threshold, image by image.

Nothing here is shared with the package. It is slow, and what the package computes must equal it.
"""

from collections.abc import Callable, Sequence
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

Map = NDArray[Any]
Box = tuple[int, int, int, int]


def plain_map(cam: Map) -> Map:
    """Less the minimum, over what is then the maximum; nothing where that means nothing."""
    values = np.array(cam, dtype=np.float64)
    if np.isnan(values).any() or values.max() == values.min():
        return np.zeros(values.shape)
    values = values - values.min()
    return values / values.max()


def plain_boxes(score: Map, threshold: float) -> tuple[list[Box], Box]:
    """The boxes around all contours of what is above the threshold, and around the largest contour."""
    image = (score * 255).astype(np.uint8)
    above = (image > int(threshold * int(image.max()))).astype(np.uint8) * 255
    contours = list(cv2.findContours(above, cv2.RETR_TREE, cv2.CHAIN_APPROX_SIMPLE)[-2])
    if not contours:
        return [(0, 0, 0, 0)], (0, 0, 0, 0)
    boxes = []
    for contour in contours:
        left, top, wide, high = cv2.boundingRect(contour)
        boxes.append((left, top, min(left + wide, score.shape[1] - 1), min(top + high, score.shape[0] - 1)))
    areas = [cv2.contourArea(contour) for contour in contours]
    return boxes, boxes[areas.index(max(areas))]


def plain_iou(a: Sequence[int], b: Sequence[int]) -> float:
    """Of two boxes that hold the pixels of both their corners."""
    across = min(a[2], b[2]) - max(a[0], b[0]) + 1
    down = min(a[3], b[3]) - max(a[1], b[1]) + 1
    shared = across * down if across > 0 and down > 0 else 0
    areas = [(box[2] - box[0] + 1) * (box[3] - box[1] + 1) for box in (a, b)]
    return shared / (sum(areas) - shared)


def plain_accuracies(
    cams: Sequence[Map], truths: Sequence[Sequence[Sequence[int]]], interval: float
) -> dict[str, float]:
    """ "0.3", "0.5", "0.7" of all contours and "largest" at 0.5, each at its best threshold."""
    thresholds = np.arange(0, 1, interval)
    right = {name: [0] * len(thresholds) for name in ("0.3", "0.5", "0.7", "largest")}
    for cam, truth in zip(cams, truths, strict=True):
        score = plain_map(cam)
        for k, threshold in enumerate(thresholds):
            every, largest = plain_boxes(score, threshold)
            best = max(plain_iou(box, true) for box in every for true in truth)
            for level in ("0.3", "0.5", "0.7"):
                right[level][k] += best >= float(level)
            right["largest"][k] += max(plain_iou(largest, true) for true in truth) >= 0.5
    return {name: max(counts) / len(cams) for name, counts in right.items()}


def plain_pxap(cams: Sequence[Map], masks: Sequence[Map], interval: float) -> float:
    """Sum of precision times gain in recall, from the highest threshold down; 255 is left out."""
    scores = np.concatenate([plain_map(cam)[mask != 255] for cam, mask in zip(cams, masks, strict=True)])
    true = np.concatenate([mask[mask != 255] == 1 for mask in masks])
    area, before = 0.0, 0.0
    for threshold in [1.0, *np.arange(0, 1, interval)[::-1]]:
        called = scores >= threshold
        if called.any():
            recall = (called & true).sum() / true.sum()
            area += true[called].mean() * (recall - before)
            before = recall
    return area


def plain_miou(images: Sequence[tuple[Sequence[Map], Sequence[int], Map]], threshold: float) -> float:
    """Of (score maps, their class numbers, class numbers of the pixels): over the set, class by class."""
    said, true = [], []
    for maps, numbers, truth in images:
        highest = np.max(maps, axis=0)
        number = np.array(numbers)[np.argmax(maps, axis=0)]
        kept = truth != 255
        said.append(np.where(highest > threshold, number, 0)[kept])
        true.append(truth[kept])
    answers, facts = np.concatenate(said), np.concatenate(true)
    ious = []
    for number in sorted({*answers.tolist(), *facts.tolist()}):
        both = ((answers == number) & (facts == number)).sum()
        either = ((answers == number) | (facts == number)).sum()
        ious.append(both / either)
    return float(np.mean(ious))


def filled(hw: tuple[int, int], box: Sequence[int], inside: float = 1.0) -> Map:
    """A map that is `inside` on the pixels of a box, corners included, and 0 elsewhere."""
    cam = np.zeros(hw)
    cam[box[1] : box[3] + 1, box[0] : box[2] + 1] = inside
    return cam


def smooth(rng: np.random.Generator, hw: tuple[int, int], grid: int) -> Map:
    """Hills and pits, as upsampled maps have them."""
    return np.asarray(cv2.resize(rng.normal(size=(grid, grid)), hw[::-1], interpolation=cv2.INTER_CUBIC))


def _rings(rng: np.random.Generator, hw: tuple[int, int]) -> Map:
    y, x = np.mgrid[: hw[0], : hw[1]]
    return np.sin(np.hypot(y - hw[0] / 2, x - hw[1] / 3) * rng.uniform(0.2, 2))


def _blocks(rng: np.random.Generator, hw: tuple[int, int]) -> Map:
    cam = np.zeros(hw)
    for _ in range(5):
        y, x = rng.integers(hw[0]), rng.integers(hw[1])
        cam[y : y + rng.integers(1, hw[0] + 1), x : x + rng.integers(1, hw[1] + 1)] += rng.random()
    return cam


# Maps that are hard in one way each: plateaus, holes in holes, pieces of one area, dust, single lines.
HARD: Final[dict[str, Callable[[np.random.Generator, tuple[int, int]], Map]]] = {
    "noise": lambda rng, hw: rng.random(hw),
    "hills": lambda rng, hw: smooth(rng, hw, 7),
    "clipped hills": lambda rng, hw: np.maximum(smooth(rng, hw, 9), 0),
    "half precision": lambda rng, hw: smooth(rng, hw, 9).astype(np.float16),
    "few levels": lambda rng, hw: rng.integers(0, 4, hw),
    "two levels": lambda rng, hw: rng.random(hw) < rng.uniform(0.1, 0.9),
    "rings": _rings,
    "blocks": _blocks,
    "chessboard": lambda rng, hw: np.indices(hw).sum(axis=0) % 2 + 0.01 * np.arange(hw[1]),
    "constant": lambda rng, hw: np.full(hw, 0.3),
}


def true_boxes(rng: np.random.Generator, hw: tuple[int, int]) -> list[list[int]]:
    """One to three boxes anywhere in (h, w)."""
    found = []
    for _ in range(rng.integers(1, 4)):
        (x0, x1), (y0, y1) = np.sort(rng.integers(hw[1], size=2)), np.sort(rng.integers(hw[0], size=2))
        found.append([int(x0), int(y0), int(x1), int(y1)])
    return found


def true_mask(rng: np.random.Generator, hw: tuple[int, int]) -> NDArray[np.uint8]:
    """An object, and pixels that nobody vouches for."""
    mask = filled(hw, true_boxes(rng, hw)[0]).astype(np.uint8)
    mask[rng.random(hw) < 0.1] = 255
    return mask
