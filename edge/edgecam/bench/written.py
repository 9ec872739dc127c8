"""A run as a CSV: a line for each query, raw. And whether files can be written, before they are."""

import csv
import io
import os
from pathlib import Path

from edgecam.bench.record import Run
from edgecam.bench.stages import Times
from edgecam_engines.errors import OutputError
from edgecam_engines.files import write_atomically


def check_place(option: str, path: Path) -> None:
    """Say so before anything is measured. Raises OutputError where no such file can be made."""
    folder = path.absolute().parent
    while not folder.exists():
        folder = folder.parent
    if path.is_dir() or not folder.is_dir() or not os.access(folder, os.W_OK):
        why = f"{path} is a folder" if path.is_dir() else f"nothing can be written to {folder}"
        raise OutputError(f"{option} {path}: {why}.\nName a file in a folder of yours: {option} {path.name}")


def write_csv(path: Path, run: Run, times: Times) -> None:
    """Seconds: scheduled, started, finished, cpu, then each stage."""
    held = io.StringIO()
    stages = dict(times.columns())
    writer = csv.writer(held, lineterminator="\n")
    writer.writerow(["query", "scheduled_s", "started_s", "finished_s", "cpu_s", *(f"{s}_s" for s in stages)])
    columns = zip(run.scheduled, run.started, run.finished, run.cpu, *stages.values(), strict=True)
    for number, values in enumerate(columns):
        writer.writerow([number, *(f"{value:.9f}" for value in values)])
    write_atomically(path, held.getvalue())
