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
    header, *body = rows(result)
    table = Table(title=f"Localization on {result.n} images", title_justify="left")
    for k, name in enumerate(header):
        table.add_column(name, justify="right" if k else "left")
    for row in body:
        table.add_row(*row)
    out.print(table)
    out.print("\n".join(notes(result)))


def rows(result: Localization) -> list[tuple[str, ...]]:
    """The header, then each figure that there is: its name, value, interval and those of the baselines."""
    others = {"centre": result.centre, **({} if result.plain is None else {"plain CAM": result.plain})}
    ours, *baselines = (_in_order(figures) for figures in (result.figures, *others.values()))
    table: list[tuple[str, ...]] = [("", "score", "95 % interval", *others)]
    for k, (name, share) in enumerate(zip(_NAMES, ours, strict=True)):
        if share is not None:
            interval = f"{_percent(share.low)} to {_percent(share.high)}"
            table.append(
                (name, _percent(share.value), interval, *(_percent(_value(b[k])) for b in baselines))
            )
    return table


def notes(result: Localization) -> list[str]:
    """What must be known to read the table, a sentence or two each."""
    said = ["centre: a bump in the middle of every image. Box figures are at their best thresholds."]
    if result.at_chosen is not None:
        where = "another split" if result.chosen_elsewhere else "these images"
        said.append(
            f"At the one threshold {result.chosen.box:g}, the best on {where}: "
            f"{_percent(result.at_chosen.v2.value)} is the mean of the three levels, "
            f"{_percent(result.at_chosen.gt_known.value)} is GT-known."
        )
    if result.flat:
        said.append(f"{result.flat} maps are constant or not finite: they mark nothing.")
    return said


def _in_order(figures: Figures) -> list[Estimate | None]:
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
