"""What `edgecam eval --html` leaves: one page with every figure and picture in it."""

import tempfile
from pathlib import Path

from edgecam.commands.cases import chosen_cases, write_cases
from edgecam.commands.evaluate import told_point
from edgecam_calibration import pictures
from edgecam_calibration.assess import Assessment, Located
from edgecam_calibration.intervals import Estimate
from edgecam_calibration.localization import table
from edgecam_engines.html import Report


def write_page(path: Path, found: Assessment, against: str | None, bundle: str, data: Path) -> None:
    """`against`: the comparison with another bundle, in words. Raises OutputError."""
    page = Report(f"{bundle} on {data.name}")
    report = found.report
    low, high = report.top1_ci95
    page.text(
        f"{found.engine}, {report.n} photos: {report.top1:.1%} right (95 % interval {low:.1%} to "
        f"{high:.1%}), macro F1 {_told(found.macro.f1)}, "
        f"expected calibration error {_told(found.confidence.ece)}."
    )
    if found.unreadable:
        page.text(f"{len(found.unreadable)} photos could not be read and are not in the scores.")
    if against is not None:
        page.text(against)
    with tempfile.TemporaryDirectory() as folder:
        if found.located is not None:
            _localization(page, found.located, Path(folder))
        _classification(page, found, Path(folder))
    page.save(path)


def _classification(page: Report, found: Assessment, folder: Path) -> None:
    report = found.report
    page.heading("Each class")
    page.table(
        ("Class", "Photos", "Precision", "Recall", "F1", "False positives", "AUROC", "Average precision"),
        [
            (
                *(score.name, score.support, f"{score.precision:.1%}", f"{score.recall:.1%}"),
                *(f"{score.f1:.3f}", f"{score.fpr:.2%}"),
                *(_area(found.curves[score.name].auroc), _area(found.curves[score.name].average_precision)),
            )
            for score in report.per_class
        ],
    )
    names = [score.name for score in report.per_class]
    pictures.confusion_picture(report.confusion, names, folder / "confusion.png")
    page.picture(
        folder / "confusion.png", "Confusion matrix: rows are what it is, columns what it was called"
    )
    page.heading("How sure it is")
    pictures.reliability_picture(found.confidence, folder / "reliability.png")
    page.picture(folder / "reliability.png", "Reliability: of the answers given with 80 %, are 80 % right?")
    page.heading("Thresholds")
    if found.point is not None:
        page.text(told_point(found.point))
    pictures.roc_picture(found.curves, folder / "roc.png", found.point)
    page.picture(folder / "roc.png", "ROC of each class against the rest")
    pictures.precision_recall_picture(found.curves, folder / "pr.png")
    page.picture(folder / "pr.png", "Precision and recall of each class against the rest")


def _localization(page: Report, located: Located, folder: Path) -> None:
    found = located.found
    page.heading("Where the maps point")
    header, *body = table.rows(found)
    page.table(header, body)
    for note in table.notes(found):
        page.text(note)
    pictures.localization_picture(found, folder / "localization.png")
    page.picture(
        folder / "localization.png", "Box accuracy at each threshold; precision and recall of pixels"
    )
    if located.cases and found.chosen.box is not None:
        write_cases(chosen_cases(located.cases), found.chosen.box, folder / "cases.jpg")
        page.picture(
            folder / "cases.jpg",
            f"Best, median and worst maps: box at {found.chosen.box:g} in amber, true ones green",
        )


def _told(share: Estimate) -> str:
    return f"{share.value:.3f} ({share.low:.3f} to {share.high:.3f})"


def _area(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
