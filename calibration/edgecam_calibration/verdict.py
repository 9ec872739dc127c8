"""What the gate judges by, and what it finds."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from edgecam_calibration.criteria import Criterion, State
from edgecam_calibration.evaluate import Outputs
from edgecam_calibration.gate_boxes import KnownBoxes
from edgecam_calibration.intervals import Estimate
from edgecam_calibration.maps import MapAgreement
from edgecam_engines.engine import Frame


@dataclass(frozen=True)
class Bounds:
    """What a candidate may lose against FP32. None: measured and told, but no bound."""

    max_drop: float = 1.0  # percentage points of top-1
    min_cam_iou: float = 0.90  # mean IoU of the maps' masks
    min_cam_iou_p10: float = 0.75  # its 10th percentile
    min_agreement: float = 0.985  # share of photos that get FP32's label
    max_box_drop: float | None = 2.0  # percentage points of box accuracy, where boxes are given
    max_f1_drop: float | None = None  # percentage points of macro F1
    max_ece_rise: float | None = None  # percentage points of calibration error


ANYTHING_GOES: Final = Bounds(100, 0, 0, 0, None)  # for who measures and does not judge


@dataclass(frozen=True)
class Reference:
    """FP32's answers to the gate's photos: what every candidate is held against."""

    outputs: Outputs
    labels: NDArray[np.int64]  # (n,)
    frames: Sequence[Frame]  # fitted to the input
    top1: Estimate
    probabilities: NDArray[np.float32]  # (n, classes) with the temperature that its answers ask for
    boxes: KnownBoxes | None = None


class Latency(NamedTuple):
    """Milliseconds for one frame on the machine that built the bundle."""

    median: float
    p10: float
    p90: float


@dataclass(frozen=True)
class Verdict:
    """One candidate, measured."""

    precision: str
    backend: str
    state: State
    reasons: list[str]  # why not passed; empty when it is
    criteria: list[Criterion]
    n: int
    top1: Estimate
    agreement: Estimate  # share of photos that get FP32's label
    macro_f1: Estimate
    ece: Estimate
    cam_iou: MapAgreement
    losses: dict[str, Estimate]  # FP32 less this one on the same photos; of ECE the rise
    temperature: float = 1.0  # of this engine's own answers; `ece` is with it
    latency: Latency | None = None  # None when it cannot run here
    ran: bool = True  # False: it could not be opened or gave no numbers, and the figures are the worst ones
    outputs: Outputs | None = field(default=None, repr=False, compare=False)  # None when it did not run
    ious: NDArray[np.float64] | None = field(default=None, repr=False, compare=False)  # (n,) of the maps

    @property
    def passed(self) -> bool:
        """Every bound is kept, as far as can be known from these photos."""
        return self.state == "passed"

    @property
    def needs(self) -> int | None:
        """About how many photos would settle what is unproven; None where nothing is, or no number would."""
        open_ones = [criterion.needs for criterion in self.criteria if criterion.state == "unproven"]
        known = [count for count in open_ones if count is not None]
        return max(known) if self.state == "unproven" and len(known) == len(open_ones) else None

    @property
    def latency_ms(self) -> float | None:
        """Median of one frame on this machine."""
        return None if self.latency is None else self.latency.median

    def document(self) -> dict[str, Any]:
        """For `--json` and gate.json."""
        return {
            "precision": self.precision,
            "backend": self.backend,
            "passed": self.passed,
            "state": self.state,
            "reasons": self.reasons,
            "needs": self.needs,
            "n": self.n,
            "top1": self.top1.value,
            "top1_ci95": self.top1.ci95,
            "agreement": self.agreement.value,
            "agreement_ci95": self.agreement.ci95,
            "macro_f1": self.macro_f1.value,
            "macro_f1_ci95": self.macro_f1.ci95,
            "ece": self.ece.value,
            "ece_ci95": self.ece.ci95,
            "cam_iou": self.cam_iou.mean,
            "cam_iou_ci95": self.cam_iou.ci95,
            "cam_iou_p10": self.cam_iou.p10,
            "losses": {
                name: {"value": loss.value, "ci95": loss.ci95, "n": loss.n}
                for name, loss in self.losses.items()
            },
            "criteria": [criterion.document() for criterion in self.criteria],
            "latency_ms": self.latency_ms,
            "latency_p10_p90_ms": None if self.latency is None else [self.latency.p10, self.latency.p90],
        }
