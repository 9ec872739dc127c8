"""Does a map point at the right place: everything that `localization` in a report holds, image by image.

    scorer = Scorer()
    for ...: scorer.add(cam, boxes=boxes, right=predicted == label)
    emit(scorer.result(rng=rng).document())

Some hundred bytes are kept of each image, and no map, so a set may be as large as it likes.
"""

from collections.abc import Sequence
from functools import cached_property, lru_cache
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from edgecam_calibration.intervals import proportion
from edgecam_calibration.localization.baselines import centre_gaussian
from edgecam_calibration.localization.box_accuracy import BoxIous, BoxTable, box_ious
from edgecam_calibration.localization.contours import Proposals, proposals
from edgecam_calibration.localization.pointing import points_into_box, points_into_mask
from edgecam_calibration.localization.pxap import PixelCounts
from edgecam_calibration.localization.report import Chosen, Figures, Localization, MapsCompared, Protocol
from edgecam_calibration.localization.scoremap import ScoreMap, cells, scoremap
from edgecam_calibration.localization.segmentation import Segmentation, thresholds_below
from edgecam_calibration.localization.sweep import INTERVAL, Sweep

_CODES: Final = np.full(256, 3, np.uint8)
_CODES[[0, 1, 255]] = 0, 1, 2


class Seeds(NamedTuple):
    """What mIoU is measured on where an image shows several classes: a map for each class in it."""

    cams: Sequence[NDArray[Any]]  # (k, gh, gw)
    numbers: Sequence[int]  # (k,) class numbers, from 1
    truth: NDArray[Any]  # (h, w) class numbers, 0 background, 255 left out


class _Truth(NamedTuple):
    """What is known of one image, checked, in pixels of its score map."""

    boxes: NDArray[np.float64] | None  # (g, 4), g > 0
    codes: NDArray[np.uint8] | None  # (h, w): 0 background, 1 object, 2 left out
    label: int
    right: bool | None


class Scorer:
    """Scores maps one by one, and beside each the centre-Gaussian baseline on the same truth.

    `hw` is the size that maps are resampled to (bicubic); without it each is judged at its own size.
    `interval` lies between the thresholds tried; `classes` is how many `label` may name, for mIoU.
    """

    def __init__(
        self, *, hw: tuple[int, int] | None = None, interval: float = INTERVAL, classes: int = 1
    ) -> None:
        self._hw, self._interval, self._classes = hw, interval, classes
        self._cam, self._centre = (_Track(_sweep(interval), classes) for _ in range(2))
        self._images = self._flat = 0

    def __len__(self) -> int:
        return self._images

    def add(
        self,
        cam: NDArray[Any],
        *,
        boxes: ArrayLike | None = None,
        mask: NDArray[np.uint8] | None = None,
        label: int = 0,
        right: bool | None = None,
        seeds: Seeds | None = None,
    ) -> BoxIous | None:
        """One image: its map (gh, gw) and what is known of it, in pixels of the score map.

        `boxes` (g, 4) are x0, y0, x1, y1, both corners inside; none of them is as good as not known.
        `mask` (h, w) is 1 on the object, 0 beside it, 255 where nobody says. `right` is whether the
        class was told rightly. With `seeds`, mIoU is measured on them instead of on `mask`.
        Gives the IoUs at each cut if there are boxes. Raises ValueError for what does not fit.
        """
        score = scoremap(cam, self._hw)
        truth = _Truth(_boxes(boxes), _codes(mask, score.shape), label, right)
        if truth.boxes is None and truth.codes is None and seeds is None:
            return None
        look, centre = _Look(score, _sweep(self._interval)), _centre(score.shape, self._interval)
        if seeds is not None:
            maps = [scoremap(each, seeds.truth.shape) for each in seeds.cams]
            middle = centre_gaussian(seeds.truth.shape)
            self._cam.seeds.add(maps, seeds.numbers, seeds.truth)
            self._centre.seeds.add([middle] * len(maps), seeds.numbers, seeds.truth)
        self._centre.add(centre, truth, one=seeds is None)
        self._images += 1
        self._flat += not score.any()
        return self._cam.add(look, truth, one=seeds is None)

    def extend(self, other: "Scorer") -> None:
        """The images of another scorer of the same settings after those of this one."""
        if (self._hw, self._interval, self._classes) != (other._hw, other._interval, other._classes):
            raise ValueError("Only scorers of the same settings can be joined.")
        self._cam.extend(other._cam)
        self._centre.extend(other._centre)
        self._images += other._images
        self._flat += other._flat

    def against(self, other: "Scorer", *, rng: np.random.Generator) -> MapsCompared:
        """These maps less those of another scorer, to which the same images were added in the same order."""
        mine, others = self._cam, other._cam
        return MapsCompared(
            mine.boxes.difference(others.boxes, rng=rng) if len(mine.boxes) else None,
            mine.pixels.difference(others.pixels, rng=rng),
        )

    def choose(self) -> Chosen:
        """The thresholds that are best on these images, for the use on others."""
        return Chosen(
            self._cam.boxes.curve().choose() if len(self._cam.boxes) else None,
            self._cam.seeds.choose() if len(self._cam.seeds) else None,
        )

    def result(
        self, chosen: Chosen | None = None, *, rng: np.random.Generator, plain: Figures | None = None
    ) -> Localization:
        """All figures. `chosen` is another split's `choose()`; `plain` is the plain CAM's figures.

        Raises ValueError when no image with anything known of it was added.
        """
        if not self._images:
            raise ValueError("No image of which anything is known was added: there is nothing to score.")
        used = self.choose() if chosen is None else chosen
        boxes = self._cam.boxes
        return Localization(
            n=self._images,
            boxes_n=len(boxes),
            masks_n=len(self._cam.seeds),
            flat=self._flat,
            protocol=Protocol(self._interval, self._hw),
            figures=self._cam.figures(used, rng),
            centre=self._centre.figures(chosen, rng),
            plain=plain,
            chosen=used,
            chosen_elsewhere=chosen is not None,
            at_chosen=None if used.box is None or not len(boxes) else boxes.at(used.box, rng=rng),
            box_curve=boxes.curve() if len(boxes) else None,
            pixel_curve=self._cam.pixels.curve(),
        )


class _Look:
    """A score map, and what its judges need of it, made when first asked for."""

    def __init__(self, score: ScoreMap, sweep: Sweep) -> None:
        self.score = score
        self._sweep = sweep

    @cached_property
    def boxes(self) -> Proposals:
        return proposals(self.score, self._sweep.cuts)

    @cached_property
    def binned(self) -> NDArray[np.uint16]:
        return self._sweep.binning(self.score, self._cells)

    @cached_property
    def below(self) -> NDArray[np.uint16]:
        return thresholds_below(self.score, self._cells)

    @cached_property
    def _cells(self) -> NDArray[np.intp]:
        return cells(self.score)


class _Track:
    """All that is counted of one kind of map."""

    def __init__(self, sweep: Sweep, classes: int) -> None:
        self.boxes = BoxTable(sweep)
        self.pixels = PixelCounts(sweep.thresholds)
        self.seeds = Segmentation(classes)
        self.pointed: list[bool] = []

    def add(self, look: _Look, truth: _Truth, *, one: bool) -> BoxIous | None:
        """`one`: this map is also its image's only segmentation seed."""
        found = self._pointed(look.score, truth)
        self.pointed += [] if found is None else [found]
        if truth.codes is not None:
            self.pixels.add(look.binned, truth.codes)
            if one:
                self.seeds.add_one(look.below, truth.label + 1, truth.codes)
        if truth.boxes is None:
            return None
        ious = box_ious(look.boxes, truth.boxes)
        self.boxes.add(ious, truth.right)
        return ious

    def extend(self, other: "_Track") -> None:
        self.boxes.extend(other.boxes)
        self.pixels.extend(other.pixels)
        self.seeds.extend(other.seeds)
        self.pointed += other.pointed

    def figures(self, chosen: Chosen | None, rng: np.random.Generator) -> Figures:
        background = None if chosen is None else chosen.background
        return Figures(
            boxes=self.boxes.best(rng=rng) if len(self.boxes) else None,
            pxap=self.pixels.average_precision(rng=rng),
            pointing=proportion(np.array(self.pointed)) if self.pointed else None,
            miou=self.seeds.result(background, rng=rng) if len(self.seeds) else None,
        )

    @staticmethod
    def _pointed(score: ScoreMap, truth: _Truth) -> bool | None:
        """By the mask where there is one: a box also holds what is beside the object."""
        if truth.codes is not None:
            return points_into_mask(score, truth.codes)
        return None if truth.boxes is None else points_into_box(score, truth.boxes)


@lru_cache(maxsize=8)
def _sweep(interval: float) -> Sweep:
    return Sweep(interval)


@lru_cache(maxsize=8)
def _centre(hw: tuple[int, int], interval: float) -> _Look:
    return _Look(centre_gaussian(hw), _sweep(interval))


def _boxes(boxes: ArrayLike | None) -> NDArray[np.float64] | None:
    if boxes is None or not np.size(boxes):
        return None
    checked = np.asarray(boxes, np.float64)
    if checked.ndim != 2 or checked.shape[1] != 4 or not (checked[:, :2] <= checked[:, 2:]).all():
        raise ValueError(f"Boxes are rows of x0, y0, x1, y1 with x0 <= x1 and y0 <= y1, not {boxes}.")
    return checked


def _codes(mask: NDArray[np.uint8] | None, shape: tuple[int, ...]) -> NDArray[np.uint8] | None:
    if mask is None:
        return None
    if mask.shape != shape:
        raise ValueError(f"A mask must have the size of its score map: {mask.shape} for a map {shape}.")
    codes: NDArray[np.uint8] = _CODES.take(mask)
    if codes.max(initial=0) > 2:
        raise ValueError("A mask holds 1 for the object, 0 beside it and 255 for pixels left out, only.")
    return codes
