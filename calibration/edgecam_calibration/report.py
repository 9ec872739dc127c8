"""The gate's findings as one page that needs no other file."""

import tempfile
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

from edgecam_calibration.mixed.plan import COLUMNS as PLAN_COLUMNS
from edgecam_calibration.mixed.plan import Plan
from edgecam_calibration.verdict import Reference, Verdict
from edgecam_engines.html import Report

COLUMNS: Final = (
    *("Engine", "Verdict", "Top-1", "95 % interval", "Loss, points", "Agreement"),
    *("Macro F1", "ECE", "CAM IoU", "10th percentile", "ms a frame"),
)
CRITERIA: Final = ("Engine", "What", "Measured", "May be", "Bound", "Images", "Verdict")


def write_gate_report(
    path: Path,
    gate: dict[str, Any],
    reference: Reference,
    verdicts: Sequence[Verdict],
    plan: Plan | None = None,
) -> None:
    """Every candidate, what it was measured at, why it ships or not, and what a low IoU looks like."""
    report = Report("Which engine ships, and why")
    report.text(_summary(gate))
    shown = gate["chosen"], gate["backend"]
    report.table(COLUMNS, [_row(candidate, shown) for candidate in gate["candidates"]])
    report.text(
        "Loss: FP32's top-1 less this engine's on the same photos, with its 95 % interval. Agreement: share "
        "of photos that get FP32's label. CAM IoU: overlap of the areas where the class activation map is "
        "above half of its range, for the class that FP32 ranks first. ms a frame: median on the machine "
        "that built this bundle. ECE is measured on the photos that the temperature was fitted on, so it "
        "flatters a little: measure it with edgecam eval on others."
    )
    report.heading("Each bound")
    report.text(
        "A bound is kept when even the bad end of the figure keeps it (may be: one-sided, 95 %). Where only "
        "the figure as measured does, too few images were asked, and about how many would do is told."
    )
    report.table(CRITERIA, [line for candidate in gate["candidates"] for line in _criteria(candidate)])
    if find_spec("matplotlib") is None:
        report.text("Pictures are drawn where matplotlib is installed: pip install matplotlib")
    else:
        _pictures(report, reference, verdicts)
    if plan is not None:
        _show_plan(report, plan)
    _show_layers(report, path.with_name("layers.png"))
    report.save(path)


def _summary(gate: dict[str, Any]) -> str:
    chosen = f"{gate['backend']} {gate['chosen']}"
    if gate["state"] == "passed":
        why = "is the fastest candidate that passes"
    elif gate["accept_unproven"]:
        why = "ships though it is not proven, which was accepted with --accept-unproven"
    else:
        why = "ships though it is not proven, since nothing is surer"
    reasons = f" ({'; '.join(gate['reasons'])})" if gate["reasons"] else ""
    return (
        f"{chosen} {why}{reasons}. Every figure comes from {gate['n']} photos that were never trained on, "
        f"run through the engine as it is deployed."
    )


def _show_plan(report: Report, plan: Plan) -> None:
    report.heading("Mixed precision: what stays in float, and why")
    report.text(f"{plan.reason[:1].upper()}{plan.reason[1:]}.")
    if plan.kept:
        report.table(PLAN_COLUMNS, plan.rows())
    report.text(
        f"Error: relative L2 between class maps and FP32's, {plan.int8_error:.3f} with everything in INT8 "
        f"({plan.photos_ranked} calibration photos). Sets of layers were compared on "
        f"{plan.photos_checked} calibration photos, {len(plan.trials)} sets in all; plan.json has every one. "
        f"The table above has what the gate then measured on other photos."
    )


def _show_layers(report: Report, picture: Path) -> None:
    if picture.is_file():
        what = "What 8 bits cost each convolution, from the camera to the features (layers.json)"
        report.picture(picture, what)


def _row(candidate: dict[str, Any], chosen: tuple[str, str]) -> list[str]:
    shipped = (candidate["precision"], candidate["backend"]) == chosen
    verdict = "ships" if shipped else {"passed": "passes"}.get(candidate["state"], candidate["state"])
    latency, loss = candidate["latency_ms"], candidate["losses"].get("top1")
    told = "unknown"
    if loss is not None:
        low, high = (100 * bound for bound in loss["ci95"])
        told = f"{100 * loss['value']:.1f} ({low:.1f} to {high:.1f})"
    return [
        f"{candidate['backend']} {candidate['precision']}",
        verdict,
        f"{candidate['top1']:.1%}",
        " to ".join(f"{bound:.1%}" for bound in candidate["top1_ci95"]),
        told,
        f"{candidate['agreement']:.1%}",
        f"{candidate['macro_f1']:.3f}",
        f"{candidate['ece']:.3f}",
        f"{candidate['cam_iou']:.3f}",
        f"{candidate['cam_iou_p10']:.3f}",
        "not timed" if latency is None else f"{latency:.2f}",
    ]


def _criteria(candidate: dict[str, Any]) -> list[list[str]]:
    name = f"{candidate['backend']} {candidate['precision']}"
    if not candidate["criteria"]:  # it did not run
        return [[name, "; ".join(candidate["reasons"]), "", "", "", str(candidate["n"]), candidate["state"]]]
    return [_criterion(name, criterion) for criterion in candidate["criteria"]]


def _criterion(engine: str, criterion: dict[str, Any]) -> list[str]:
    verdict = criterion["state"]
    if verdict == "unproven":
        needs = criterion["needs"]
        verdict = f"not enough images: {'no number would do' if needs is None else f'need about {needs}'}"
    value, end, bound = (f"{criterion[key]:.4f}" for key in ("value", "bad_end95", "bound"))
    side = "at most" if criterion["bound_is"] == "most" else "at least"
    return [engine, criterion["name"], value, end, f"{side} {bound}", str(criterion["n"]), verdict]


def _pictures(report: Report, reference: Reference, verdicts: Sequence[Verdict]) -> None:
    from edgecam_calibration.gate_pictures import iou_picture, latency_picture, worst_photos, worst_picture

    with tempfile.TemporaryDirectory() as folder:
        here = Path(folder)
        if any(verdict.latency is not None for verdict in verdicts):
            report.heading("Speed")
            latency_picture(verdicts, here / "latency.png")
            report.picture(
                here / "latency.png",
                "One frame, median, with the middle 80 of 100; engines in turn, one thread",
            )
        judged = [verdict for verdict in verdicts if verdict.ious is not None and verdict.precision != "fp32"]
        if not judged:
            return
        report.heading("Do they look at the same place?")
        iou_picture(judged, here / "iou.png")
        report.picture(here / "iou.png", "Overlap of each photo's map with FP32's")
        for number, verdict in enumerate(judged):
            worst = worst_photos(verdict)
            if not len(worst):
                continue
            file = here / f"worst-{number}.png"
            worst_picture(verdict, reference, worst, file)
            report.picture(
                file,
                f"{verdict.backend} {verdict.precision}: where its maps overlap least with FP32's. Left the "
                f"photo, in the middle FP32's map, right this engine's; the line surrounds what counts",
            )
