"""The gate's findings as a page."""

from pathlib import Path
from typing import Any, Final

from edgecam_engines.html import Report

COLUMNS: Final = (
    *("Engine", "Verdict", "Top-1", "95 % interval", "Agreement"),
    *("Macro F1", "ECE", "CAM IoU", "10th percentile", "ms a frame"),
)


def write_gate_report(path: Path, gate: dict[str, Any]) -> None:
    """One table: every candidate, what it was measured at, and why it was or was not shipped."""
    report = Report("Which engine ships, and why")
    chosen, bounds = (gate["chosen"], gate["backend"]), gate["bounds"]
    report.text(
        f"{gate['backend']} {gate['chosen']} is the fastest candidate that loses at most "
        f"{bounds['max_drop']:g} points of top-1 and whose maps agree with FP32's at a mean IoU of at least "
        f"{bounds['min_cam_iou']:g}. Every figure comes from {gate['n']} photos that were never trained on, "
        f"run through the engine as it is deployed."
    )
    report.table(
        COLUMNS,
        [_row(candidate, chosen) for candidate in gate["candidates"]],
    )
    report.text(
        "Agreement: share of photos that get FP32's label. CAM IoU: overlap of the areas where the class "
        "activation map is above half of its range, for the class that FP32 ranks first. ms a frame: "
        "median on the machine that built this bundle, one thread. ECE is measured on the photos that the "
        "temperature was fitted on, so it flatters a little: measure it with edgecam eval on others."
    )
    report.save(path)


def _row(candidate: dict[str, Any], chosen: tuple[str, str]) -> list[str]:
    shipped = candidate["passed"] and (candidate["precision"], candidate["backend"]) == chosen
    verdict = "ships" if shipped else "passes" if candidate["passed"] else "; ".join(candidate["reasons"])
    latency = candidate["latency_ms"]
    return [
        f"{candidate['backend']} {candidate['precision']}",
        verdict,
        f"{candidate['top1']:.1%}",
        " to ".join(f"{bound:.1%}" for bound in candidate["top1_ci95"]),
        f"{candidate['agreement']:.1%}",
        f"{candidate['macro_f1']:.3f}",
        f"{candidate['ece']:.3f}",
        f"{candidate['cam_iou']:.3f}",
        f"{candidate['cam_iou_p10']:.3f}",
        "not timed" if latency is None else f"{latency:.2f}",
    ]
