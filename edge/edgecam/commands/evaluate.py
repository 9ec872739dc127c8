"""`edgecam eval`: how well a bundle names labelled photos."""

from contextlib import closing
from pathlib import Path

from rich.markup import escape
from rich.table import Table

from edgecam_calibration.classification import ClassificationReport
from edgecam_calibration.evaluate import document, evaluate_photos, load_labelled
from edgecam_engines.bundle import open_bundle
from edgecam_engines.console import emit, log, out


def evaluate(bundle: Path, data: Path, *, json: bool, backend: str | None, threads: int) -> None:
    """Score the engine that a bundle ships (or the same model on another back end) and print it.

    Raises BundleError, EngineError, DataError.
    """
    opened = open_bundle(bundle)
    head = opened.head()
    photos = load_labelled(data, head.classes)
    with closing(opened.engine(backend, threads=threads)) as engine:
        report, unreadable = evaluate_photos(engine, head, photos)
        name = engine.name
    if unreadable:
        log.print(f"{len(unreadable)} of {len(photos)} photos could not be read and are not in the scores.")
    if json:
        emit(document(report, name))
    else:
        _show(report, bundle.name, name)


def _show(report: ClassificationReport, bundle: str, engine: str) -> None:
    table = Table(title=f"{escape(bundle)} on {engine}: {report.n} photos", title_justify="left")
    table.add_column("class")
    for column in ("photos", "precision", "recall", "F1", "false positives"):
        table.add_column(column, justify="right")
    for score in report.per_class:
        shares = (score.precision, score.recall, score.f1, score.fpr)
        told = (
            [_percent(share) for share in shares] if score.support else ["-", "-", "-", _percent(score.fpr)]
        )
        table.add_row(escape(score.name), str(score.support), *told)
    out.print(table)
    low, high = report.top1_ci95
    out.print(f"right        {_percent(report.top1)}  (95 % interval {_percent(low)} to {_percent(high)})")
    out.print(f"macro F1     {_percent(report.macro_f1)}  (mean over the classes that have photos)")
    out.print(f"calibration  {_percent(report.ece)} off  (expected calibration error, 15 bins)")


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"
