"""The gate: a candidate engine is measured against FP32 on photos nobody trained on, and passes or not."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from edgecam_calibration.classification.scores import classification_report
from edgecam_calibration.classification.temperature import fit_temperature
from edgecam_calibration.evaluate import Outputs, run_engine
from edgecam_calibration.intervals import Estimate, proportion
from edgecam_calibration.maps import MapAgreement, cam_ious, summarise
from edgecam_engines.engine import Engine, Frame
from edgecam_engines.errors import EngineError
from edgecam_engines.head import Head

LATENCY_RUNS: Final = 40


@dataclass(frozen=True)
class Bounds:
    """What a candidate may lose against FP32."""

    max_drop: float = 1.0  # percentage points of top-1
    min_cam_iou: float = 0.90  # mean IoU of the maps' masks


@dataclass(frozen=True)
class Reference:
    """FP32's answers to the gate's photos: what every candidate is held against."""

    outputs: Outputs
    labels: NDArray[np.int64]  # (n,)
    frames: Sequence[Frame]  # fitted to the input
    top1: Estimate


@dataclass(frozen=True)
class Verdict:
    """One candidate, measured."""

    precision: str
    backend: str
    passed: bool
    reasons: list[str]  # why not; empty when it passed
    n: int
    top1: Estimate
    agreement: Estimate  # share of photos that get FP32's label
    macro_f1: float
    ece: float
    cam_iou: MapAgreement
    temperature: float = 1.0  # of this engine's own answers; `ece` is with it
    latency_ms: float | None = None  # median of one frame on this machine; None when it cannot run here
    ran: bool = True  # False: it could not be opened or gave no numbers, and the figures are the worst ones

    def document(self) -> dict[str, Any]:
        """For `--json` and gate.json."""
        return {
            "precision": self.precision,
            "backend": self.backend,
            "passed": self.passed,
            "reasons": self.reasons,
            "n": self.n,
            "top1": self.top1.value,
            "top1_ci95": self.top1.ci95,
            "agreement": self.agreement.value,
            "agreement_ci95": self.agreement.ci95,
            "macro_f1": self.macro_f1,
            "ece": self.ece,
            "cam_iou": self.cam_iou.mean,
            "cam_iou_ci95": self.cam_iou.ci95,
            "cam_iou_p10": self.cam_iou.p10,
            "latency_ms": self.latency_ms,
        }


def refer(engine: Engine, head: Head, frames: Sequence[Frame], labels: NDArray[np.int64]) -> Reference:
    """Run FP32 over the gate's photos."""
    outputs = run_engine(engine, head, frames)
    return Reference(outputs, labels, frames, proportion(outputs.logits.argmax(axis=1) == labels))


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
    try:
        outputs = run_engine(engine, head, reference.frames, map_class=reference.outputs.map_class)
    except EngineError as error:
        return failed(error, reference, precision=precision, backend=backend)
    called, wanted = outputs.logits.argmax(axis=1), reference.outputs.logits.argmax(axis=1)
    # Rounding changes how sure an engine is: each is given the temperature that its own answers ask for.
    temperature = fit_temperature(outputs.logits, reference.labels).value
    probabilities = replace(head, temperature=temperature).probabilities(outputs.logits)
    report = classification_report(reference.labels, probabilities, head.classes)
    ious = cam_ious(reference.outputs.maps, outputs.maps, engine.input_hw)
    top1 = proportion(called == reference.labels)
    cam_iou = summarise(ious, rng=np.random.default_rng(0))
    reasons = _reasons(reference.top1.value, top1.value, cam_iou.mean, bounds)
    return Verdict(
        precision=precision,
        backend=backend,
        passed=not reasons,
        reasons=reasons,
        n=len(reference.labels),
        top1=top1,
        agreement=proportion(called == wanted),
        macro_f1=report.macro_f1,
        ece=report.ece,
        cam_iou=cam_iou,
        temperature=temperature,
    )


def _reasons(fp32: float, top1: float, cam_iou: float, bounds: Bounds) -> list[str]:
    reasons = []
    if (drop := 100 * (fp32 - top1)) > bounds.max_drop + 1e-9:
        reasons.append(f"top-1 falls by {drop:.1f} points, more than {bounds.max_drop:g}")
    if cam_iou < bounds.min_cam_iou:
        reasons.append(f"its maps agree with FP32's at IoU {cam_iou:.3f}, below {bounds.min_cam_iou:g}")
    return reasons


def failed(error: EngineError, reference: Reference, *, precision: str, backend: str) -> Verdict:
    """The verdict on a candidate that could not be opened or gave no numbers."""
    n, reason = len(reference.labels), str(error).splitlines()[0]
    nothing, empty = Estimate(0.0, 0.0, 1.0, n), MapAgreement(0.0, [0.0, 1.0], 0.0, n)
    return Verdict(precision, backend, False, [reason], n, nothing, nothing, 0.0, 0.0, empty, ran=False)


def time_engines(
    engines: Sequence[Engine], frame: Frame, *, clock: Callable[[], float], runs: int = LATENCY_RUNS
) -> list[float]:
    """Median ms for one frame, engines in turn so that a slow spell of the machine hits all alike."""
    batch = frame[None]
    taken: list[list[float]] = [[] for _ in engines]
    for turn in range(runs + 5):
        for engine, times in zip(engines, taken, strict=True):
            before = clock()
            engine.infer(batch)
            if turn >= 5:  # the first ones warm up
                times.append(1000 * (clock() - before))
    return [float(np.median(times)) for times in taken]
