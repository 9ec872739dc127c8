"""`edgecam data augment`: things of photos on other grounds, where a teacher still names them."""

from pathlib import Path
from typing import Any, Final

from rich.markup import escape
from rich.table import Table

from edgecam.threads import one_opencv_thread
from edgecam_engines.console import emit, log
from edgecam_engines.console import out as stdout
from edgecam_training.items import Problem
from edgecam_training.recompose.fill import Brush, open_fills
from edgecam_training.recompose.journal import told
from edgecam_training.recompose.make import make
from edgecam_training.recompose.order import Order, Tools
from edgecam_training.recompose.photos import find, find_grounds
from edgecam_training.recompose.place import check_places
from edgecam_training.recompose.teacher import open_teacher

_NAMED: Final = 20  # photos left out that are named one by one


def augment(
    data: Path,
    out: Path,
    teacher: Path,
    order: Order,
    brush: Brush,
    *,
    backgrounds: Path | None,
    threads: int,
    json: bool,
) -> None:
    """Make the photos and say what came of each class.

    Raises DataError, OutputError, TrainingError, BundleError, EngineError.
    """
    check_places(data, out, [path for path in (teacher, backgrounds, brush.model) if path is not None])
    with one_opencv_thread(), open_teacher(teacher, threads=threads) as opened:
        photos = find(data, seed=order.seed)
        _left_out(photos.problems)
        grounds = None if backgrounds is None else find_grounds(backgrounds, order.size)
        about = make(photos, order, Tools(opened, *open_fills(brush), grounds), out)
    if json:
        emit({"out": str(out), **about})
    else:
        _show(data, out, teacher, about)


def _left_out(problems: list[Problem]) -> None:
    for path, reason in problems[:_NAMED]:
        log.print(f"Left out {path}: {reason}", markup=False)
    if len(problems) > _NAMED:
        log.print(f"... and {len(problems) - _NAMED} more; log.jsonl names them all.")


def _show(data: Path, out: Path, teacher: Path, about: dict[str, Any]) -> None:
    table = Table(title=f"{escape(str(out))}: new photos", title_justify="left")
    table.add_column("class")
    for column in ("taken apart", "things", "grounds", "tried", "made"):
        table.add_column(column, justify="right")
    for name, found in about["classes"].items():
        cells = [str(found[key]) for key in ("photos", "things", "grounds", "tried", "made")]
        table.add_row(escape(name), *cells)
    stdout.print(table)
    for name, found in about["classes"].items():
        if found["refused"]:
            stdout.print(f"Not used of {name}: {told(found)}.", markup=False)
    per_class = about["per_class"]
    if fewer := [name for name, found in about["classes"].items() if found["made"] < per_class]:
        stdout.print(f"Fewer than {per_class} were accepted of: {', '.join(fewer)}.", markup=False)
    stdout.print(
        f"The teacher gives each new photo its class with a probability of at least {about['agree']:g} "
        f"(--agree).\nLook at {out / 'contact.jpg'} before you train; {out / 'log.jsonl'} has every reason.\n"
        f"{_next(data, out, teacher, about)}",
        markup=False,
    )


def _next(data: Path, out: Path, teacher: Path, about: dict[str, Any]) -> str:
    if about["with_originals"]:
        return (
            f"Your photos stand beside the new ones in {out / 'train'}, and {out / 'val'} is as it was. "
            f"Next, type:\n    edgecam train {out}"
        )
    return (
        f"To train on these and on your photos together, make them again with your photos beside them:\n"
        f"    edgecam data augment {data} --out {out} --per-class {about['per_class']} --teacher {teacher} "
        f"--with-originals\n    edgecam train {out}"
    )
