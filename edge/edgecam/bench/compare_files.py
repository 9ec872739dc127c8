"""Two saved results against each other."""

from pathlib import Path
from typing import Final

import numpy as np

from edgecam.bench.compare import Comparison, Metric, unpaired
from edgecam.bench.samples import Kept, load
from edgecam.bench.timing import Floats
from edgecam_engines.errors import MeasurementError

# What must be alike for the times to mean the same.
_SAME: Final = ("scenario", "frames_per_query")
_SAME_PLACE: Final = ("cpu", "board", "power_mode", "threads", "frame")


def compare_files(first: Path, second: Path) -> tuple[Comparison, list[str]]:
    """The verdict, and what a reader should know besides. Raises DataError, MeasurementError."""
    a, b = load(first), load(second)
    for key in _SAME:
        if a.document.get(key) != b.document.get(key):
            raise MeasurementError(
                f"{first.name} and {second.name} cannot be compared: their {key} is {a.document.get(key)} and "
                f"{b.document.get(key)}.\nMeasure both in the same way with `edgecam bench ... --out FILE.json`."
            )
    metric = _metric(a, b)
    try:
        return unpaired(_times(a, b, metric), _times(b, a, metric), metric), list(_warnings(a, b))
    except ValueError as error:
        raise MeasurementError(f"{first.name} and {second.name} cannot be compared: {error}.") from error


def _metric(a: Kept, b: Kept) -> Metric:
    """Processor time is the steadier figure, but says nothing where a GPU does the work."""
    return "cpu" if all(k.run.cpu.sum() > 0.5 * k.run.service.sum() for k in (a, b)) else "latency"


def _times(kept: Kept, other: Kept, metric: Metric) -> Floats:
    """(n,), in units of the yardstick where both have one: what slowed the machine is then in neither."""
    if metric == "latency":
        return kept.run.latency
    if len(kept.yardstick) and len(other.yardstick):
        return np.asarray(kept.run.cpu / kept.yardstick)
    return kept.run.cpu


def _warnings(a: Kept, b: Kept) -> list[str]:
    found = []
    for letter, kept in (("A", a), ("B", b)):
        found += [f"{letter} is INVALID: {reason}" for reason in kept.document.get("invalid", [])]
    first, second = (kept.document.get("provenance", {}) for kept in (a, b))
    found += [
        f"another {key}: {first.get(key)} and {second.get(key)}"
        for key in _SAME_PLACE
        if first.get(key) != second.get(key)
    ]
    return found
