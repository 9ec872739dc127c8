"""A run as a CSV: a line for each query, raw."""

import csv
import io
from pathlib import Path

from edgecam.bench.record import Run
from edgecam.bench.stages import Times
from edgecam_engines.files import write_atomically


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
