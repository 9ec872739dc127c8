"""`edgecam data composite`: a localization data set with exact masks and boxes, made here."""

import os
from pathlib import Path
from typing import Any

from rich.markup import escape
from rich.table import Table

from edgecam.threads import one_opencv_thread
from edgecam_engines.console import emit
from edgecam_engines.console import out as stdout
from edgecam_training.composite.gather import gather
from edgecam_training.composite.make import Order, check_out, make
from edgecam_training.composite.terms import PARTS
from edgecam_training.data import cache_folder


def composite(
    out: Path,
    *,
    classes: int | None,
    order: Order,
    cutouts: Path | None,
    backgrounds: Path | None,
    json: bool,
) -> None:
    """Make the data set in `out` and say what it holds. Raises DataError, OutputError."""
    check_out(out)
    with one_opencv_thread():
        material = gather(cutouts, backgrounds, classes=classes, size=order.size, cache=cache_folder())
        about = make(material, order, out, workers=os.cpu_count() or 1)
    if json:
        emit({"out": str(out), **about})
    else:
        _show(out, about)


def _show(out: Path, about: dict[str, Any]) -> None:
    table = Table(title=f"{escape(str(out))}: photos (cut-outs that they show)", title_justify="left")
    table.add_column("class")
    for part in PARTS:
        table.add_column(part.split, justify="right")
    made_of, photos = about["made_of"], about["photos_per_class"]
    for name in about["classes"]:
        cells = [f"{photos[p.folder]} ({len(made_of[p.folder]['cutouts'][name])})" for p in PARTS]
        table.add_row(escape(name), *cells)
    stdout.print(table)
    grounds = " / ".join(str(len(made_of[part.folder]["backgrounds"])) for part in PARTS)
    stdout.print(
        f"Backgrounds: {grounds}. No part shares a cut-out or a background with another.\n"
        f"{about['licence']}\n"
        f"Look at {out / 'contact.jpg'}. Next, type:\n"
        f"    edgecam train {out} --size {about['size'] // 32 * 32}\n"
        f"    edgecam build-engine run --out model.edgecam\n"
        f"    edgecam eval model.edgecam {out} --boxes {out / 'boxes' / 'test.csv'} "
        f"--val-boxes {out / 'boxes' / 'val.csv'}",
        markup=False,
    )
