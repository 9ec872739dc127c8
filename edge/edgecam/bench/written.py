"""A run as a CSV: a line for each query, raw."""

import csv
import io
from pathlib import Path

from edgecam.bench.loop import Stages
from edgecam.bench.record import Run
from edgecam.bench.timing import Floats
from edgecam_engines.files import write_atomically


def write_csv(path: Path, run: Run, stages: Floats) -> None:
    """Seconds: scheduled, started, finished, cpu, then each stage."""
    held = io.StringIO()
    writer = csv.writer(held, lineterminator="\n")
    writer.writerow(
        ["query", "scheduled_s", "started_s", "finished_s", "cpu_s", *(f"{s}_s" for s in Stages._fields)]
    )
    columns = zip(run.scheduled, run.started, run.finished, run.cpu, stages, strict=True)
    for number, (scheduled, started, finished, cpu, parts) in enumerate(columns):
        values = (scheduled, started, finished, cpu, *parts)
        writer.writerow([number, *(f"{value:.9f}" for value in values)])
    write_atomically(path, held.getvalue())
