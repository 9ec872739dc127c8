"""The figures of localization, and the JSON that they are printed as."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

from edgecam_calibration.intervals import Estimate
from edgecam_calibration.localization.box_accuracy import IOU_LEVELS, BoxCurve, BoxFigures
from edgecam_calibration.localization.pxap import PrecisionRecall
from edgecam_calibration.localization.segmentation import MeanIou


class Protocol(NamedTuple):
    """What figures depend on besides maps and truth: two sets of maps are compared under the same one."""

    interval: float  # between thresholds
    hw: tuple[int, int] | None  # what maps were resampled to; None: each was judged at its own size

    def document(self) -> dict[str, Any]:
        return {"threshold_interval": self.interval, "map_hw": None if self.hw is None else list(self.hw)}


class MapsCompared(NamedTuple):
    """One set of maps less another one on the same images; None where the truth for it is not there."""

    max_box_acc_v2: Estimate | None
    pxap: Estimate | None

    def document(self) -> dict[str, Any]:
        return {
            name: None if moved is None else {"difference": moved.value, "ci95": moved.ci95}
            for name, moved in self._asdict().items()
        }


class Chosen(NamedTuple):
    """Thresholds found on one split, to be used on another."""

    box: float | None  # of the map's maximum; None where no image had boxes
    background: float | None  # None where no image had a mask


@dataclass(frozen=True)
class Figures:
    """The figures of one kind of map; None where the truth that they need is not there."""

    boxes: BoxFigures | None  # each accuracy at its own best threshold
    pxap: Estimate | None
    pointing: Estimate | None
    miou: MeanIou | None  # at the background threshold chosen elsewhere, else the best one

    def values(self) -> dict[str, Any]:
        """The figures alone, by the names they have in reports."""
        return self._told(lambda share: share.value)

    def intervals(self) -> dict[str, Any]:
        """The 95 % interval of each, by the same names."""
        return self._told(lambda share: share.ci95)

    def _told(self, tell: Callable[[Estimate], Any]) -> dict[str, Any]:
        return {
            **_boxes(self.boxes, ("max_box_acc_v2", "max_box_acc"), tell),
            "pxap": None if self.pxap is None else tell(self.pxap),
            "pointing": None if self.pointing is None else tell(self.pointing),
            "miou": None if self.miou is None else tell(self.miou.value),
        }


@dataclass(frozen=True)
class Localization:
    """What a set of maps is worth, and what maps that know nothing of the images would be."""

    n: int  # images
    boxes_n: int  # of them with boxes
    masks_n: int  # of them with a mask
    flat: int  # of them with a map that is constant or not finite
    protocol: Protocol
    figures: Figures
    centre: Figures  # the centre-Gaussian baseline on the same images
    plain: Figures | None  # the plain CAM on the same images, where a model is there to make it
    chosen: Chosen
    chosen_elsewhere: bool  # False: on these very images
    at_chosen: BoxFigures | None  # all accuracies at the one threshold `chosen.box`
    box_curve: BoxCurve | None
    pixel_curve: PrecisionRecall | None

    def document(self) -> dict[str, Any]:
        """The object `localization`; scripts rely on its keys down to `n`."""
        threshold = self.chosen.background if self.chosen.box is None else self.chosen.box
        return {
            **self.figures.values(),
            "threshold": threshold,
            "baselines": {
                "center": self.centre.values(),
                "cam": None if self.plain is None else self.plain.values(),
            },
            "n": self.n,
            "protocol": self.protocol.document(),
            "ci95": self.figures.intervals(),
            "at_threshold": self._at_threshold(),
            "best_thresholds": self._best_thresholds(),
            "counts": {"boxes": self.boxes_n, "masks": self.masks_n, "flat_maps": self.flat},
            "absent_classes": None if self.figures.miou is None else self.figures.miou.absent,
        }

    def _at_threshold(self) -> dict[str, Any] | None:
        if self.at_chosen is None:
            return None
        names = ("box_acc_v2", "box_acc")
        return {
            "threshold": self.chosen.box,
            "chosen_on": "another split" if self.chosen_elsewhere else "these images",
            **_boxes(self.at_chosen, names, lambda share: share.value),
            "ci95": _boxes(self.at_chosen, names, lambda share: share.ci95),
        }

    def _best_thresholds(self) -> dict[str, float | None]:
        boxes, miou = self.figures.boxes, self.figures.miou
        names = [*(f"{level:g}" for level in IOU_LEVELS), "gt_known"]
        found: dict[str, float | None] = dict.fromkeys(names)
        return {
            **(found if boxes is None else boxes.thresholds),
            "background": None if miou is None else miou.best_threshold,
        }


def _boxes(
    boxes: BoxFigures | None, names: tuple[str, str], tell: Callable[[Estimate], Any]
) -> dict[str, Any]:
    mean, levels = names
    if boxes is None:
        missing = {f"{level:g}": None for level in IOU_LEVELS}
        return {mean: None, levels: missing, "top1_loc": None, "gt_known_loc": None}
    return {
        mean: tell(boxes.v2),
        levels: {name: tell(share) for name, share in boxes.levels.items()},
        "top1_loc": None if boxes.top1 is None else tell(boxes.top1),
        "gt_known_loc": tell(boxes.gt_known),
    }
