"""`edgecam eval`: how well a bundle names labelled photos, how sure it is, and where its maps point."""

from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from rich.markup import escape
from rich.table import Table

from edgecam_calibration.assess import (
    Against,
    Answers,
    Assessment,
    Located,
    answer,
    assess,
    beyond,
    locate,
    point_at,
    thresholds,
)
from edgecam_calibration.classification.operating_point import OperatingPoint
from edgecam_calibration.classification.paired import Comparison, compare
from edgecam_calibration.evaluate import labelled_root, load_labelled
from edgecam_calibration.intervals import Estimate
from edgecam_calibration.localization.table import show as show_localization
from edgecam_calibration.truth import BadAnnotation, Truth, read_truth
from edgecam_engines.bundle import Bundle, open_bundle
from edgecam_engines.console import emit, log, out
from edgecam_engines.errors import DataError
from edgecam_engines.head import Head

_NAMED: Final = 20  # bad annotations that are named one by one


@dataclass(frozen=True)
class Known:
    """Where things are: boxes in any format that `truth` reads, masks, or both."""

    boxes: Path | None = None
    masks: Path | None = None

    def read(self, classes: tuple[str, ...]) -> Truth | None:
        """None when nothing was given. Names what is wrong with it on stderr. Raises DataError."""
        if self.boxes is None and self.masks is None:
            return None
        if self.boxes is None:
            assert self.masks is not None
            truth = read_truth(self.masks, "masks", classes=classes)
        else:
            truth = read_truth(self.boxes, masks=self.masks, classes=classes)
        _tell(truth.problems)
        return truth


@dataclass(frozen=True)
class Asked:
    """What `edgecam eval` was asked besides top-1."""

    known: Known = Known()
    val: Path | None = None  # photos to choose thresholds on
    val_known: Known = Known()
    max_fpr: float | None = None
    positive: str | None = None
    against: Path | None = None
    html: Path | None = None
    skip_check: bool = False


def evaluate(
    bundle: Path, data: Path, asked: Asked, *, json: bool, backend: str | None, threads: int
) -> None:
    """Score the engine that a bundle ships (or the same model on another back end) and print it.

    Raises BundleError, EngineError, DataError, OutputError.
    """
    if asked.html is not None:
        from edgecam_calibration.pictures import need_matplotlib

        need_matplotlib("--html")
    opened = open_bundle(bundle)
    head = opened.head()
    truth = asked.known.read(head.classes)
    validation = _validation(data, asked, head)
    test, val, name = _answers(opened, head, data, validation, backend, threads, asked.skip_check)
    rng = np.random.default_rng(0)
    root = labelled_root(data, head.classes)
    located = None
    if truth is not None:
        located = _located(truth, asked, test, val, root, validation, head, rng)
    point = None
    if asked.max_fpr is not None:
        assert val is not None
        point = point_at(val, test, head.classes, max_fpr=asked.max_fpr, positive=asked.positive)
    found = assess(test, head.classes, name, located=located, point=point, rng=rng)
    against = None
    if asked.against is not None:
        second, theirs = _other_answers(asked.against, head, data, backend, threads, asked.skip_check)
        maps = None
        if truth is not None and located is not None:
            beside = locate(second, truth, root, theirs.classes, rng=rng)
            maps = located.scorer.against(beside.scorer, rng=rng)
        against = Against(_labels_compared(test, head, second, theirs, rng), maps)
    if asked.html is not None:
        from edgecam.commands.evaluation_page import write_page

        told = None
        if against is not None and asked.against is not None:
            told = told_comparison(against, asked.against.name)
        write_page(asked.html, found, told, bundle.name, data)
    if json:
        emit(found.document(against) | ({"skip_check": True} if asked.skip_check else {}))
    else:
        _show(found, against, asked, bundle.name)


def _validation(data: Path, asked: Asked, head: Head) -> Path | None:
    """The folder whose photos choose thresholds: --val, else DATA/val where DATA/test is judged."""
    if asked.val is not None:
        return labelled_root(asked.val, head.classes)
    beside = data / "val"
    if labelled_root(data, head.classes) == data / "test" and beside.is_dir():
        return beside
    if asked.max_fpr is not None:
        raise DataError(
            f"A threshold for --max-fpr is chosen on photos other than those it is judged on, and {data} has "
            f"no val beside its test.\nSay where they are: --val OTHER-PHOTOS"
        )
    return None


def _answers(
    opened: Bundle,
    head: Head,
    data: Path,
    validation: Path | None,
    backend: str | None,
    threads: int,
    skip_check: bool,
) -> tuple[Answers, Answers | None, str]:
    photos = load_labelled(data, head.classes)
    with closing(opened.engine(backend, threads=threads, check=not skip_check)) as engine:
        test = answer(engine, head, photos)
        val = None if validation is None else answer(engine, head, load_labelled(validation, head.classes))
        return test, val, engine.name


def _located(
    truth: Truth,
    asked: Asked,
    test: Answers,
    val: Answers | None,
    root: Path,
    validation: Path | None,
    head: Head,
    rng: np.random.Generator,
) -> Located:
    chosen = None
    if val is not None and validation is not None:
        known = asked.val_known.read(head.classes) or beyond(truth, test, root)
        chosen = thresholds(val, known, validation, head.classes)
    located = locate(test, truth, root, head.classes, chosen=chosen, rng=rng)
    _tell(located.problems)
    if located.without:
        log.print(
            f"Of {located.without} photos it is not known where their thing is; they count for labels only."
        )
    return located


def _tell(problems: Sequence[BadAnnotation]) -> None:
    for problem in problems[:_NAMED]:
        log.print(escape(str(problem)))
    if len(problems) > _NAMED:
        log.print(f"... and {len(problems) - _NAMED} more such annotations")


def _other_answers(
    other: Path, head: Head, data: Path, backend: str | None, threads: int, skip_check: bool
) -> tuple[Answers, Head]:
    """The same photos by another bundle, and its head. Raises DataError when it knows other classes."""
    opened = open_bundle(other)
    theirs = opened.head()
    if set(theirs.classes) != set(head.classes):
        odd = sorted(set(theirs.classes) ^ set(head.classes))
        raise DataError(
            f"{other} knows other classes, so the two cannot be compared: {', '.join(odd[:8])}.\n"
            f"Compare bundles that were trained on the same folders."
        )
    answers, _, _ = _answers(opened, theirs, data, None, backend, threads, skip_check)
    return answers, theirs


def _labels_compared(
    first: Answers, head: Head, second: Answers, theirs: Head, rng: np.random.Generator
) -> Comparison:
    place = np.array([head.classes.index(name) for name in theirs.classes])
    return compare(first.labels, first.called, place[second.called], len(head.classes), rng=rng)


def _show(found: Assessment, against: Against | None, asked: Asked, bundle: str) -> None:
    report = found.report
    if found.unreadable:
        log.print(f"{len(found.unreadable)} photos could not be read and are not in the scores.")
    table = Table(title=f"{escape(bundle)} on {found.engine}: {report.n} photos", title_justify="left")
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
    f1 = found.macro.f1
    out.print(f"macro F1     {_percent(f1.value)}  ({_percent(f1.low)} to {_percent(f1.high)})")
    ece, adaptive = found.confidence.ece, found.confidence.adaptive_ece
    out.print(
        f"calibration  {_percent(ece.value)} off  (expected calibration error, 15 bins; "
        f"{_percent(adaptive.value)} in bins of equal number)"
    )
    if found.point is not None:
        out.print(told_point(found.point))
    if found.located is not None:
        show_localization(found.located.found)
    if against is not None and asked.against is not None:
        out.print(told_comparison(against, escape(asked.against.name)))
    if asked.skip_check:
        log.print("The engine was not checked here against the answers it was measured at (--skip-check).")
    if asked.html is not None:
        log.print(f"Pictures and all figures: {asked.html}", markup=False)


def told_point(point: OperatingPoint) -> str:
    """The operating point in words."""
    asked = "answers that are right" if point.positive is None else escape(point.positive)
    return (
        f"threshold    {point.threshold:.4f} for {asked}: finds {_share(point.tpr, point.tpr_ci95)}, with "
        f"{_share(point.fpr, point.fpr_ci95)} false positives "
        f"(at most {_percent(point.max_fpr)} on validation)"
    )


def told_comparison(against: Against, other: str) -> str:
    """The paired differences in words."""
    labels, maps = against.labels, against.maps
    said = [
        _moved(labels.top1_difference, "top-1"),
        _moved(labels.macro_f1_difference, "macro F1"),
        _moved(None if maps is None else maps.max_box_acc_v2, "MaxBoxAccV2"),
        _moved(None if maps is None else maps.pxap, "PxAP"),
    ]
    return (
        f"against {other}: {', '.join(filter(None, said))}; McNemar p {labels.mcnemar.p:.3g} "
        f"({labels.mcnemar.b} photos right here alone, {labels.mcnemar.c} there alone)"
    )


def _moved(difference: Estimate | None, name: str) -> str:
    if difference is None:
        return ""
    value, low, high = (_points(share) for share in difference[:3])
    return f"{value} {name} ({low} to {high})"


def _share(value: float | None, ci95: list[float]) -> str:
    if value is None:
        return "an unknown share of"
    return f"{_percent(value)} ({_percent(ci95[0])} to {_percent(ci95[1])})"


def _points(share: float) -> str:
    return f"{100 * share:+.1f} points"


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"
