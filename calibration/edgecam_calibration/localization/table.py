"""The figures of localization as a table for people."""

from typing import Final

from rich.table import Table

from edgecam_calibration.intervals import Estimate
from edgecam_calibration.localization.report import Figures, Localization
from edgecam_engines.console import out

_NAMES: Final = (
    *("MaxBoxAccV2", "  IoU 0.3", "  IoU 0.5", "  IoU 0.7", "Top-1 Loc"),
    *("GT-known Loc", "PxAP", "pointing", "mIoU"),
)


def show(result: Localization) -> None:
    """Print every figure that there is, with its interval and the baselines beside it."""
    others = {"centre": result.centre, **({} if result.plain is None else {"plain CAM": result.plain})}
    table = Table(title=f"Localization on {result.n} images", title_justify="left")
    table.add_column("")
    for name in ("score", "95 % interval", *others):
        table.add_column(name, justify="right")
    ours, *baselines = (_rows(figures) for figures in (result.figures, *others.values()))
    for k, (name, share) in enumerate(zip(_NAMES, ours, strict=True)):
        if share is not None:
            interval = f"{_percent(share.low)} to {_percent(share.high)}"
            table.add_row(name, _percent(share.value), interval, *(_percent(_value(b[k])) for b in baselines))
    out.print(table)
    out.print("centre: a bump in the middle of every image. Box figures are at their best thresholds.")
    if result.at_chosen is not None:
        where = "another split" if result.chosen_elsewhere else "these images"
        out.print(
            f"At the one threshold {result.chosen.box:g}, the best on {where}: "
            f"{_percent(result.at_chosen.v2.value)} is the mean of the three levels, "
            f"{_percent(result.at_chosen.gt_known.value)} is GT-known."
        )
    if result.flat:
        out.print(f"{result.flat} maps are constant or not finite: they mark nothing.")


def _rows(figures: Figures) -> list[Estimate | None]:
    """In the order of _NAMES."""
    boxes, miou = figures.boxes, figures.miou
    found: list[Estimate | None] = [None] * 6
    if boxes is not None:
        found = [boxes.v2, *boxes.levels.values(), boxes.top1, boxes.gt_known]
    return [*found, figures.pxap, figures.pointing, None if miou is None else miou.value]


def _value(share: Estimate | None) -> float | None:
    return None if share is None else share.value


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.1f} %"
