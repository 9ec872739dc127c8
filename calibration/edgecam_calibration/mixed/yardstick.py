"""How far an engine's answers are from FP32's, on the same photos."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from edgecam_calibration.intervals import proportion
from edgecam_calibration.maps import cam_ious
from edgecam_engines.engine import Features
from edgecam_engines.head import Head


class Likeness(NamedTuple):
    """How alike two engines answer, each in [0, 1]."""

    cam_iou: float  # mean over photos
    cam_iou_p10: float  # one photo in ten is at or below it
    agreement: float  # share of photos with the same label
    agreement_at_best: float  # upper end of its 95 % interval


@dataclass(frozen=True)
class Target:
    """What may be lost against FP32."""

    min_cam_iou: float = 0.95
    min_cam_iou_p10: float = 0.90
    min_agreement: float = 0.985

    def meets(self, found: Likeness) -> bool:
        """Whether these photos speak for it. On labels they only may not speak against it.

        Among 72 photos two other labels are as likely to be chance as not, where 98.5 % is asked for.
        What is shipped is judged by the gate, on more photos.
        """
        return (
            found.cam_iou >= self.min_cam_iou
            and found.cam_iou_p10 >= self.min_cam_iou_p10
            and found.agreement_at_best >= self.min_agreement
        )


class Yardstick:
    """FP32's answers to some photos, to hold others against."""

    def __init__(self, head: Head, features: Features, input_hw: tuple[int, int]) -> None:
        self._head, self._input_hw = head, input_hw
        self._called = head.logits(features).argmax(axis=1)
        self._maps = head.cam(features, self._called)
        centred = self._maps - self._maps.mean(axis=(1, 2), keepdims=True)
        self._spread = float(np.square(centred, dtype=np.float64).sum())

    def error(self, features: Features) -> float:
        """Relative L2 of the maps of the class that FP32 ranks first; 0 is FP32 itself.

        It is the difference over the spread of FP32's maps about their means, since masks are cut by a
        map's range, not by its height. It is smooth where IoU and agreement jump, so a few photos rank
        layers by it; and the squares of errors that do not know of each other add up.
        """
        difference = self._maps_of(features) - self._maps
        return float(np.sqrt(np.square(difference, dtype=np.float64).sum() / max(self._spread, 1e-30)))

    def likeness(self, features: Features) -> Likeness:
        """What the gate judges by."""
        ious = cam_ious(self._maps, self._maps_of(features), self._input_hw)
        p10 = float(np.quantile(ious, 0.1, method="inverted_cdf"))
        same = proportion(self._head.logits(features).argmax(axis=1) == self._called)
        return Likeness(float(ious.mean()), p10, same.value, same.ci95[1])

    def _maps_of(self, features: Features) -> NDArray[np.float32]:
        return self._head.cam(features, self._called)
