"""What the gate says: a line a candidate, what would help, why nothing ships, and all of it as gate.json."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, Final

from edgecam_calibration.mixed.plan import Plan
from edgecam_calibration.verdict import Bounds, Reference, Verdict
from edgecam_engines.errors import GateRefused

_MARKS: Final = {"passed": "passes  ", "unproven": "unproven", "refused": "refused "}


def gate_document(
    reference: Reference,
    bounds: Bounds,
    best: Verdict,
    verdicts: Sequence[Verdict],
    *,
    accept_unproven: bool,
) -> dict[str, Any]:
    """gate.json. `chosen`, `backend` and `state` are those of what ships."""
    return {
        "bounds": asdict(bounds),
        "n": len(reference.labels),
        "boxes_n": 0 if reference.boxes is None else len(reference.boxes.at),
        "fp32_top1": reference.top1.value,
        "chosen": best.precision,
        "backend": best.backend,
        "state": best.state,
        "accept_unproven": accept_unproven,
        "reasons": best.reasons,
        "temperature": best.temperature,
        "candidates": [verdict.document() for verdict in verdicts],
    }


def verdict_line(verdict: Verdict, best: Verdict | None) -> str:
    """One candidate, for the log."""
    mark = "ships   " if verdict is best else _MARKS[verdict.state]
    why = f": {'; '.join(verdict.reasons)}" if verdict.reasons else ""
    if not verdict.ran:
        return f"{mark} {verdict.backend} {verdict.precision:<5} it does not run{why}"
    speed = (
        "judged in float, not timed: no TensorRT here"
        if verdict.latency_ms is None
        else f"{verdict.latency_ms:.2f} ms"
    )
    return (
        f"{mark} {verdict.backend} {verdict.precision:<5} top-1 {verdict.top1.value:.1%}, agreement "
        f"{verdict.agreement.value:.1%}, CAM IoU {verdict.cam_iou.mean:.3f} (10th percentile "
        f"{verdict.cam_iou.p10:.3f}), {speed}{why}"
    )


def what_would_help(verdicts: Sequence[Verdict], best: Verdict) -> str:
    """What to do about candidates that are only unproven, where that matters; else nothing."""
    if best.state == "unproven":
        return (
            f"{best.precision} ships although {best.n} images cannot prove that it is within bounds; the "
            f"bundle says so. {_more_images(best)}"
        )
    faster = [
        v
        for v in verdicts
        if v.state == "unproven" and v.latency_ms is not None and v.latency_ms < (best.latency_ms or 0.0)
    ]
    if not faster:
        return ""
    first = min(faster, key=lambda v: v.latency_ms or 0.0)
    return (
        f"{first.precision} would take {first.latency_ms:.2f} ms instead of {best.latency_ms:.2f} and is "
        f"within bounds as far as {first.n} images show, which is not enough to ship it. "
        f"{_more_images(first)} To ship it all the same: --accept-unproven"
    )


def refusal(verdicts: Sequence[Verdict], precision: str, *, plan: Plan | None = None) -> GateRefused:
    """Why nothing ships, and what to type. A mixed model whose `plan` would not pay was never written."""
    reasons = "; ".join(dict.fromkeys(reason for verdict in verdicts for reason in verdict.reasons))
    if not verdicts and plan is not None:
        reasons = plan.reason
    what = "No precision passes" if precision == "auto" else f"{precision} was asked for and does not pass"
    unproven = [v for v in verdicts if v.state == "unproven" and v.latency is not None]
    help_ = (
        f"{_more_images(unproven[0])} Or accept what is not proven with --accept-unproven.\n"
        if unproven
        else ""
    )
    return GateRefused(
        f"{what}: {reasons}.\n{help_}Nothing was written. Let edgecam choose what passes with --precision "
        f"auto, or accept the loss by name with --max-drop, --min-agreement, --min-cam-iou and "
        f"--min-cam-iou-p10."
    )


def _more_images(verdict: Verdict) -> str:
    if verdict.needs is None:
        return "It stands at a bound itself, so more images would not settle it."
    return (
        f"About {verdict.needs} images in all would settle it: put more of them, which nobody trained on, in "
        f"DIR/CLASS and give --val DIR."
    )
