"""The gate: a candidate engine is measured against FP32 on photos nobody trained on, and passes or not.

It passes when every bound is kept by the bad end of its figure's interval (one-sided, 95 %), not by the
figure as measured: a small validation set proves little, and says so. Since all bounds must be kept, a
candidate that breaks one of them slips through in at most one of twenty such sets, without a correction for
their number (an intersection-union test: Berger, Technometrics 24 (1982), 295-300). That holds for photos
that had no part in making the candidate: what is searched for on the gate's own photos passes too easily.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from edgecam_calibration.classification.paired import compare, difference
from edgecam_calibration.classification.reliability import ECE_BINS, answers, ece_estimate, equal_width
from edgecam_calibration.classification.scores import classification_report, macro_estimates
from edgecam_calibration.classification.temperature import fit_temperature
from edgecam_calibration.criteria import Criterion, State, judge_figure
from edgecam_calibration.evaluate import Outputs, run_engine
from edgecam_calibration.gate_boxes import KnownBoxes, box_hits
from edgecam_calibration.intervals import Estimate, proportion
from edgecam_calibration.maps import MapAgreement, cam_ious, summarise
from edgecam_calibration.margins import (
    error_rise,
    gaps,
    least_mean,
    least_quantile,
    least_share,
    most_f1_lost,
    most_lost,
)
from edgecam_engines.engine import Engine, Frame
from edgecam_engines.errors import EngineError
from edgecam_engines.head import Head

LATENCY_RUNS: Final = 40


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


def refer(engine: Engine, head: Head, frames: Sequence[Frame], labels: NDArray[np.int64]) -> Reference:
    """Run FP32 over the gate's photos."""
    outputs = run_engine(engine, head, frames)
    temperature = fit_temperature(outputs.logits, labels).value
    probabilities = replace(head, temperature=temperature).probabilities(outputs.logits)
    top1 = proportion(outputs.logits.argmax(axis=1) == labels)
    return Reference(outputs, labels, frames, top1, probabilities)


def judge(
    engine: Engine,
    head: Head,
    reference: Reference,
    bounds: Bounds,
    *,
    precision: str,
    backend: str,
) -> Verdict:
    """Measure a candidate with the engine as it will be deployed. Never raises for a bad engine."""
    fp32, labels = reference.outputs, reference.labels
    try:
        outputs = run_engine(engine, head, reference.frames, map_class=fp32.map_class)
    except EngineError as error:
        return failed(error, reference, precision=precision, backend=backend)
    # Rounding changes how sure an engine is: each is given the temperature that its own answers ask for.
    temperature = fit_temperature(outputs.logits, labels).value
    probabilities = replace(head, temperature=temperature).probabilities(outputs.logits)
    ious = cam_ious(fp32.maps, outputs.maps, engine.input_hw)
    figures = _Figures(reference, outputs, probabilities, ious, bounds)
    criteria = figures.criteria()
    state = _worst(criteria)
    report = classification_report(labels, probabilities, head.classes)
    confidence, right = answers(labels, probabilities)
    rng = np.random.default_rng(0)
    return Verdict(
        precision=precision,
        backend=backend,
        state=state,
        # More images would help an unproven candidate, but none that is refused for another figure.
        reasons=[criterion.reason for criterion in criteria if criterion.state == state != "passed"],
        criteria=criteria,
        n=len(labels),
        top1=proportion(outputs.logits.argmax(axis=1) == labels),
        agreement=proportion(figures.agree),
        macro_f1=macro_estimates(report.confusion, rng=rng).f1,
        ece=ece_estimate(confidence, right, equal_width(confidence, ECE_BINS), rng=rng),
        cam_iou=summarise(ious, rng=rng),
        losses=figures.losses(),
        temperature=temperature,
        outputs=outputs,
        ious=ious,
    )


def failed(error: EngineError, reference: Reference, *, precision: str, backend: str) -> Verdict:
    """The verdict on a candidate that could not be opened or gave no numbers."""
    n, reason = len(reference.labels), str(error).splitlines()[0]
    nothing, empty = Estimate(0.0, 0.0, 1.0, n), MapAgreement(0.0, [0.0, 1.0], 0.0, n)
    return Verdict(
        precision=precision,
        backend=backend,
        state="refused",
        reasons=[reason],
        criteria=[],
        n=n,
        top1=nothing,
        agreement=nothing,
        macro_f1=nothing,
        ece=nothing,
        cam_iou=empty,
        losses={},
        ran=False,
    )


def winner(verdicts: Sequence[Verdict], *, accept_unproven: bool, fall_back: bool) -> Verdict | None:
    """The fastest candidate that may ship; None when there is none.

    What passed may, and what is unproven where that was accepted. Where nothing may and `fall_back` is
    asked for, FP32 ships if it is merely unproven: the same graph in the arithmetic that it was trained
    with, and nothing surer could take its place.
    """
    allowed = [v for v in verdicts if v.passed or (accept_unproven and v.state == "unproven")]
    if not allowed and fall_back:
        allowed = [v for v in verdicts if v.precision == "fp32" and v.state == "unproven"]
    return min(allowed, key=lambda v: v.latency_ms or 0.0, default=None)


def _worst(criteria: Sequence[Criterion]) -> State:
    """A candidate is what its worst figure is."""
    order: tuple[State, ...] = ("refused", "unproven", "passed")
    return next(state for state in order if state in {criterion.state for criterion in criteria})


class _Figures:
    """One candidate beside FP32, photo by photo, and what that says about each bound."""

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
                "10th percentile of CAM IoU",
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


def time_engines(
    engines: Sequence[Engine], frame: Frame, *, clock: Callable[[], float], runs: int = LATENCY_RUNS
) -> list[Latency]:
    """Time one frame, engines in turn so that a slow spell of the machine hits all alike."""
    batch = frame[None]
    taken: list[list[float]] = [[] for _ in engines]
    for turn in range(runs + 5):
        for engine, times in zip(engines, taken, strict=True):
            before = clock()
            engine.infer(batch)
            if turn >= 5:  # the first ones warm up
                times.append(1000 * (clock() - before))
    return [_latency(times) for times in taken]


def _latency(ms: list[float]) -> Latency:
    """Order statistics but for the median; microseconds are the last digit told."""
    p10, p90 = np.quantile(ms, [0.1, 0.9], method="inverted_cdf")
    return Latency(round(float(np.median(ms)), 3), round(float(p10), 3), round(float(p90), 3))
