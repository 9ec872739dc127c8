"""One candidate beside FP32, photo by photo: what it lost, and what that says about each bound."""

import numpy as np
from numpy.typing import NDArray

from edgecam_calibration.classification.paired import compare, difference
from edgecam_calibration.criteria import Criterion, judge_figure
from edgecam_calibration.evaluate import Outputs
from edgecam_calibration.gate_boxes import box_hits
from edgecam_calibration.intervals import Estimate
from edgecam_calibration.margins import (
    error_rise,
    gaps,
    least_mean,
    least_quantile,
    least_share,
    most_f1_lost,
    most_lost,
)
from edgecam_calibration.verdict import Bounds, Reference


class Figures:
    """The figures of one candidate on the gate's photos."""

    def __init__(
        self,
        reference: Reference,
        outputs: Outputs,
        probabilities: NDArray[np.float32],
        ious: NDArray[np.float64],
        bounds: Bounds,
    ) -> None:
        fp32 = reference.outputs
        self._labels, self._bounds, self._ious = reference.labels, bounds, ious
        self._wanted, self._called = fp32.logits.argmax(axis=1), outputs.logits.argmax(axis=1)
        self.agree: NDArray[np.bool_] = self._called == self._wanted
        self._classes = fp32.logits.shape[1]
        self._before = gaps(self._labels, reference.probabilities)
        self._after = gaps(self._labels, probabilities)
        # Where no bit differs it is the same computation, and there is nothing that photos could still show.
        self._same = np.array_equal(fp32.logits, outputs.logits) and np.array_equal(fp32.maps, outputs.maps)
        self._right = (self._wanted == self._labels, self._called == self._labels)
        known = reference.boxes
        self._found = None if known is None else (known.hits, box_hits(outputs.maps, known))

    def criteria(self) -> list[Criterion]:
        n, bounds, ious, same = len(self._labels), self._bounds, self._ious, self._same
        share, p10 = float(self.agree.mean()), float(np.quantile(ious, 0.1, method="inverted_cdf"))
        return [
            _loss("top-1 loss", *self._right, bounds.max_drop, same=same),
            judge_figure(
                "agreement with FP32",
                share,
                lambda m: least_share(share, m),
                bounds.min_agreement,
                n,
                most=False,
                same=same,
            ),
            judge_figure(
                "mean CAM IoU",
                float(ious.mean()),
                lambda m: least_mean(ious, m),
                bounds.min_cam_iou,
                n,
                most=False,
                unit="IoU",
                same=same,
            ),
            judge_figure(
                "CAM IoU, 10th percentile",
                p10,
                lambda m: least_quantile(ious, 0.1, m),
                bounds.min_cam_iou_p10,
                n,
                most=False,
                unit="IoU",
                same=same,
            ),
            *self._optional(),
        ]

    def _optional(self) -> list[Criterion]:
        """Those that have a bound only where one was given."""
        n, bounds, found = len(self._labels), self._bounds, []
        if self._found is not None and bounds.max_box_drop is not None:
            found.append(_loss("box accuracy loss", *self._found, bounds.max_box_drop, same=self._same))
        if bounds.max_f1_drop is not None:
            found.append(
                judge_figure(
                    "macro F1 loss",
                    self.losses()["macro_f1"].value,
                    lambda m: most_f1_lost(self._labels, self._wanted, self._called, self._classes, m),
                    bounds.max_f1_drop / 100,
                    n,
                    most=True,
                    unit="points",
                    same=self._same,
                )
            )
        if bounds.max_ece_rise is not None:
            found.append(
                judge_figure(
                    "rise of the calibration error",
                    self._after.error - self._before.error,
                    lambda m: error_rise(self._before, self._after, m).high,
                    bounds.max_ece_rise / 100,
                    n,
                    most=True,
                    unit="points",
                    same=self._same,
                )
            )
        return found

    def losses(self) -> dict[str, Estimate]:
        """FP32 less the candidate on the same photos, with 95 % intervals; of ECE the rise."""
        rng, n = np.random.default_rng(0), len(self._labels)
        both = compare(self._labels, self._wanted, self._called, self._classes, rng=rng)
        found = {
            "top1": both.top1_difference,
            "macro_f1": both.macro_f1_difference,
            "ece_rise": error_rise(self._before, self._after, n, confidence=0.95),
        }
        if self._found is not None:
            before, after = self._found
            counts = [int((before & ~after).sum()), int((after & ~before).sum()), len(before)]
            found["box_accuracy"] = difference(*counts, rng=rng)
        return found


def _loss(
    name: str, before: NDArray[np.bool_], after: NDArray[np.bool_], bound: float, *, same: bool
) -> Criterion:
    """A loss in percentage points of photos that are right, from which ones (n,) are."""
    n = len(before)
    lost, gained = float((before & ~after).sum()) / n, float((after & ~before).sum()) / n
    return judge_figure(
        name,
        lost - gained,
        lambda m: most_lost(lost, gained, m),
        bound / 100,
        n,
        most=True,
        unit="points",
        same=same,
    )
