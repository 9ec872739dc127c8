"""`edgecam teach`: new classes for a finished engine, from a folder or a camera, in seconds."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.markup import escape
from rich.table import Table

from edgecam.commands.teach_capture import shots_of
from edgecam.commands.teach_folder import photos_in
from edgecam.threads import one_opencv_thread
from edgecam_engines.bundle import open_bundle
from edgecam_engines.console import emit, log, out
from edgecam_engines.engine import Frame
from edgecam_training.fewshot.lesson import Lesson, Ways
from edgecam_training.fewshot.store import QUOTA_MB
from edgecam_training.fewshot.teacher import Teacher, look, open_teacher

Photo = tuple[Frame, str, str]  # a frame, its class, where it is from


@dataclass(frozen=True)
class Order:
    """What `edgecam teach` was asked for. Nothing of it: fit again what was taught."""

    head: str
    data: Path | None = None  # DATA/CLASS/*.jpg
    camera: str | None = None
    label: str | None = None  # of what the camera shows
    shots: int = 10
    remove_class: str | None = None
    export: Path | None = None  # write the photos as a folder to train on, and do nothing else
    method: str | None = None  # None: as the version before
    alone: bool | None = None
    max_false_reject: float | None = None
    keep_photos: bool = True
    quota_mb: float = QUOTA_MB
    report: Path | None = None  # otherwise beside the head
    skip_check: bool = False


def teach(bundle: Path, order: Order, *, json: bool, backend: str | None, threads: int) -> None:
    """Take photos in, fit a head, put it in use, and say how good it is.

    Raises DataError, SourceError, BundleError, EngineError, OutputError.
    """
    with (
        one_opencv_thread(),
        open_teacher(
            bundle,
            order.head,
            backend=backend,
            threads=threads,
            quota_mb=order.quota_mb,
            keep_photos=order.keep_photos,
            check=not order.skip_check,
        ) as teacher,
    ):
        if order.export is not None:
            written = teacher.store.export(order.export)
            log.print(f"{written} photos are in {order.export}.", markup=False)
            return
        if order.remove_class is not None:
            _removed(teacher, order.remove_class)
        took = _take_in(teacher, _photos(order, teacher))
        lesson = teacher.fit(_ways(teacher.ways, order))
        page = order.report or teacher.folder / "report.html"
        _draw(page, teacher, lesson)
    if json:
        emit({**_document(bundle, lesson), "taken_in": took, "report": str(page)})
    else:
        _show(bundle, lesson, page)


def undo(bundle: Path, head: str, *, json: bool) -> None:
    """Go back to the version before, and its photos."""
    with open_teacher(bundle, head) as teacher:
        done = teacher.undo()
    if json:
        emit({"head": head, **done._asdict()})
        return
    if done.version is None:
        log.print(
            f"The head {head!r} is gone, as before it was taught; its photos are put aside.", markup=False
        )
    else:
        log.print(
            f"The head {head!r} is at version {done.version} again, {done.photos} photos.", markup=False
        )
    if done.missing:
        log.print(f"{len(done.missing)} of its photos are no longer there.")


def listed(bundle: Path, *, json: bool) -> None:
    """Every head that was taught to a bundle."""
    found = look(open_bundle(bundle))
    if json:
        emit({"bundle": str(bundle), "heads": found})
        return
    if not found:
        log.print(f"{bundle} was taught nothing yet:\n    edgecam teach {bundle} PHOTOS", markup=False)
        return
    table = Table("head", "version", "photos", "classes", "method", "right when left out")
    for each in found:
        classes = ", ".join(f"{name} {n}" for name, n in each["classes"].items())
        name = each["head"] + ("" if each["fits"] else " (of another network: teach again)")
        cells = (name, each["version"], each["photos"], classes, each["method"], told(each["accuracy"]))
        table.add_row(*(escape(str(cell)) for cell in cells))
    out.print(table)


def told(estimate: dict[str, Any] | None) -> str:
    """A share with its interval."""
    if estimate is None:
        return "unknown"
    low, high = estimate["ci95"]
    return f"{100 * estimate['value']:.1f} % ({100 * low:.1f} to {100 * high:.1f}, n {estimate['n']})"


def _photos(order: Order, teacher: Teacher) -> Iterator[Photo]:
    if order.data is not None:
        yield from photos_in(order.data)
    if order.camera is not None and order.label is not None:
        yield from shots_of(order.camera, order.label, order.shots)


def _take_in(teacher: Teacher, photos: Iterator[Photo]) -> dict[str, int]:
    """How many photos were new, known already, under another class before, or nearly the same as another."""
    count: Counter[str] = Counter()
    for added in teacher.add_all(photos):
        example = added.example
        if added.was is None:
            count["new"] += 1
        elif added.was == example.label:
            count["known"] += 1
        else:
            count["relabelled"] += 1
            log.print(f"{example.source} was {added.was!r}, now {example.label!r}", markup=False)
        if added.like is not None:
            count["alike"] += 1
    if count["alike"]:
        log.print(
            f"{count['alike']} photos show nearly the same as another one of their class and teach little: "
            f"turn the thing, move it, change the background."
        )
    return {name: count[name] for name in ("new", "known", "relabelled", "alike")}


def _removed(teacher: Teacher, label: str) -> None:
    count = teacher.remove_class(label)
    log.print(f"{count} photos of {label!r} were taken out; --undo brings them back.", markup=False)


def _ways(before: Ways, order: Order) -> Ways:
    return Ways(
        before.method if order.method is None else order.method,
        before.alone if order.alone is None else order.alone,
        before.max_false_reject if order.max_false_reject is None else order.max_false_reject,
    )


def _draw(page: Path, teacher: Teacher, lesson: Lesson) -> None:
    from edgecam.commands.teach_page import write_page

    write_page(page, teacher, lesson)


def _document(bundle: Path, lesson: Lesson) -> dict[str, Any]:
    taught = lesson.taught
    return {
        "bundle": str(bundle),
        "head": taught.name,
        "version": taught.version,
        "classes": list(taught.head.classes),
        **taught.about["figures"],
    }


def _show(bundle: Path, lesson: Lesson, page: Path) -> None:
    from edgecam.commands.teach_words import sentences

    taught = lesson.taught
    table = Table("class", "photos", "right when left out", title=f"{taught.name}, version {taught.version}")
    figures = lesson.figures
    first = len(taught.head.classes) - len(lesson.taken.classes)
    for k, name in enumerate(lesson.taken.classes):
        row = figures.confusion[k]
        judged = int(row.sum())
        photos = int((lesson.taken.labels == k).sum())
        right = f"{row[first + k]} of {judged}" if judged else "unknown"
        table.add_row(escape(name), str(photos), right)
    out.print(table)
    for line in sentences(lesson):
        out.print(line, markup=False)
    log.print(
        f"In use now, as version {taught.version}; {page} shows the photos and maps. Try it:\n"
        f"    edgecam run --bundle {bundle} --head {taught.name} --camera 0\n"
        f"    edgecam teach {bundle} --undo --head {taught.name}",
        markup=False,
    )
