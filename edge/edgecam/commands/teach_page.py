"""The page that a lesson leaves: figures, what was taken for what, and the photos with their maps."""

import tempfile
from importlib.util import find_spec
from pathlib import Path
from typing import Final

import cv2
import numpy as np

from edgecam.commands.teach_tile import SIDE, tile_of
from edgecam.commands.teach_words import sentences
from edgecam_engines.engine import Frame
from edgecam_engines.files import write_atomically
from edgecam_engines.html import Report
from edgecam_training.fewshot.lesson import Lesson
from edgecam_training.fewshot.teacher import Teacher

SHOWN: Final = 12  # photos a class
ACROSS: Final = 8


def write_page(path: Path, teacher: Teacher, lesson: Lesson) -> None:
    """One file, to be opened anywhere. Raises OutputError."""
    taught, classes = lesson.taught, lesson.taken.classes
    page = Report(f"{teacher.bundle.path.name}: {taught.name}, version {taught.version}")
    for line in sentences(lesson):
        page.text(line)
    with tempfile.TemporaryDirectory() as folder:
        _confusion(page, lesson, Path(folder))
        _curve(page, lesson)
        suspicious = [lesson.ids[pull.photo] for pull in lesson.figures.pulls if pull.suspicious]
        if suspicious:
            page.heading("Photos that pull wrongly")
            _sheet(
                page, teacher, lesson, suspicious[:SHOWN], Path(folder) / "odd.jpg", "Look at their labels"
            )
        for k, name in enumerate(classes):
            page.heading(name)
            ids = [lesson.ids[i] for i in np.flatnonzero(lesson.taken.labels == k)]
            said = next((b for b in lesson.figures.backgrounds if b.label == k), None)
            if said is not None:
                page.text(
                    f"Left out, {said.by_whole:.0%} of its photos are named rightly, by their edge alone "
                    f"{said.by_border:.0%}; its map is on the edge {said.mass:.2f} times what the area is."
                )
            _sheet(page, teacher, lesson, ids[:SHOWN], Path(folder) / f"{k}.jpg", f"{name}, with its map")
    page.save(path)


def _confusion(page: Report, lesson: Lesson, folder: Path) -> None:
    classes, called = lesson.taken.classes, lesson.fitted.head.classes
    counts = lesson.figures.confusion
    page.heading("What left-out photos were called")
    first = len(called) - len(classes)
    if find_spec("matplotlib") is not None:
        from edgecam_calibration.pictures import confusion_picture

        square = np.zeros((len(called), len(called)), np.int64)
        square[first:] = counts
        confusion_picture(square, called, folder / "confusion.png")
        page.picture(folder / "confusion.png", "Rows are what it is, columns what it was called")
    wrong: list[tuple[str, str, int]] = [
        (classes[row], called[column], int(counts[row, column]))
        for row, column in zip(*np.nonzero(counts), strict=True)
        if column != first + row
    ]
    if wrong:
        wrong.sort(key=lambda cells: cells[2], reverse=True)
        page.table(("Is", "Was called", "Photos"), wrong)


def _curve(page: Report, lesson: Lesson) -> None:
    curve = lesson.figures.curve
    if not curve.shots:
        return
    page.heading("What more photos would bring")
    page.text(
        "Wrong among the photos that were not drawn, when only some of each class teach a ridge regression."
    )
    rows = [(shots, f"{error:.1%}") for shots, error in zip(curve.shots, curve.errors, strict=True)]
    page.table(("Photos a class", "Wrong"), rows)


def _sheet(page: Report, teacher: Teacher, lesson: Lesson, ids: list[str], file: Path, caption: str) -> None:
    tiles: list[Frame] = [
        tile
        for each in ids
        if (tile := tile_of(teacher.store.examples[each], lesson.taught.head)) is not None
    ]
    if not tiles:
        return
    across = min(ACROSS, len(tiles))
    while len(tiles) % across:
        tiles.append(np.full((SIDE, SIDE, 3), 255, np.uint8))
    rows = [np.hstack(tiles[start : start + across]) for start in range(0, len(tiles), across)]
    write_atomically(file, cv2.imencode(".jpg", np.vstack(rows))[1].tobytes())
    page.picture(file, caption)
