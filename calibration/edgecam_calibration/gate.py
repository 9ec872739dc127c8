"""The gate: a candidate engine is measured against FP32 on photos nobody trained on, and passes or not.

It passes when every bound is kept by the bad end of its figure's interval (one-sided, 95 %), not by the
figure as measured: a small validation set proves little, and says so. Since all bounds must be kept, a
candidate that breaks one of them slips through in at most one of twenty such sets, without a correction for
their number (an intersection-union test: Berger, Technometrics 24 (1982), 295-300). That holds for photos
that had no part in making the candidate: what is searched for on the gate's own photos passes too easily.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from edgecam_calibration.classification.reliability import ECE_BINS, answers, ece_estimate, equal_width
from edgecam_calibration.classification.scores import classification_report, macro_estimates
from edgecam_calibration.classification.temperature import fit_temperature
from edgecam_calibration.criteria import Criterion, State
from edgecam_calibration.evaluate import run_engine
from edgecam_calibration.figures import Figures
from edgecam_calibration.intervals import Estimate, proportion
from edgecam_calibration.maps import MapAgreement, cam_ious, summarise
from edgecam_calibration.verdict import ANYTHING_GOES, Bounds, Latency, Reference, Verdict
from edgecam_engines.engine import Engine, Frame
from edgecam_engines.errors import EngineError
from edgecam_engines.head import Head

__all__ = [
    "ANYTHING_GOES",
    "Bounds",
    "Latency",
    "Reference",
    "Verdict",
    "failed",
    "judge",
    "refer",
    "time_engines",
    "winner",
]

LATENCY_RUNS: Final = 40


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
    figures = Figures(reference, outputs, probabilities, ious, bounds)
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


def _worst(criteria: Sequence[Criterion]) -> State:
    """A candidate is what its worst figure is."""
    order: tuple[State, ...] = ("refused", "unproven", "passed")
    return next(state for state in order if state in {criterion.state for criterion in criteria})


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
