"""Two saved results against each other."""

from pathlib import Path
from typing import Any, Final

from edgecam.bench.compare import Comparison, Metric, unpaired
from edgecam.bench.duel import Duel, Side
from edgecam.bench.names import OPEN
from edgecam.bench.samples import Kept, load
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
                f"{first.name} and {second.name} cannot be compared: their {key} is {a.document.get(key)} "
                f"and {b.document.get(key)}.\n"
                f"Measure both in the same way with `edgecam bench ... --out FILE.json`."
            )
    warnings = [*_invalid("A", a), *_invalid("B", b), *_elsewhere(a, b)]
    on_cpu = all(kept.document.get("provenance", {}).get("device") == "cpu" for kept in (a, b))
    session = a.document.get("session")
    if session is not None and session == b.document.get("session"):
        return Duel(_side(first, a), _side(second, b)).compared(on_cpu=on_cpu), warnings
    apart = "They were measured apart; --against measures in turn, which tells far smaller differences."
    try:
        return _apart(a, b, on_cpu), [*warnings, apart]
    except ValueError as error:
        raise MeasurementError(f"{first.name} and {second.name} cannot be compared: {error}.") from error


def _apart(a: Kept, b: Kept, on_cpu: bool) -> Comparison:
    if a.document.get("scenario") in OPEN:
        # What waits is part of the figure there.
        first, second = (kept.columns["finished"] - kept.columns["scheduled"] for kept in (a, b))
        return unpaired(first, second, "latency")
    metric: Metric = "cpu" if on_cpu and all(kept.columns["cpu"].any() for kept in (a, b)) else "latency"
    first, second = (kept.columns["cpu" if metric == "cpu" else "wall"].ravel() for kept in (a, b))
    return unpaired(first, second, metric)


def _side(path: Path, kept: Kept) -> Side:
    cpu = kept.columns["cpu"]
    return Side(path.name, kept.columns["wall"], cpu if cpu.any() else None)


def _invalid(letter: str, kept: Kept) -> list[str]:
    return [f"{letter} is INVALID: {reason}" for reason in kept.document.get("invalid", [])]


def _elsewhere(a: Kept, b: Kept) -> list[str]:
    places: list[dict[str, Any]] = [kept.document.get("provenance", {}) for kept in (a, b)]
    first, second = places
    return [
        f"another {key}: {first.get(key)} and {second.get(key)}"
        for key in _SAME_PLACE
        if first.get(key) != second.get(key)
    ]
