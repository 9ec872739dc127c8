"""A run on a time axis, for https://ui.perfetto.dev or chrome://tracing: Chrome's trace format.

Source: the Trace Event Format. Times are microseconds from the first query. Of an engine that tells its
stages each length was measured; where they lie within its call follows from their order alone, since the
device has a clock of its own: copies at both ends, computing up to the copy out, enqueueing from the copy in.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

from edgecam.bench.names import OPEN
from edgecam.bench.record import Run
from edgecam.bench.stages import CAPTURE, Stages, Times
from edgecam.bench.timing import Floats
from edgecam_engines.engine import EngineStages
from edgecam_engines.files import write_atomically

MOST: Final = 20_000  # queries, so that a browser bears it


class _Row(NamedTuple):
    """A line of the picture."""

    number: int
    words: str


_STAGES: Final = _Row(1, "stages")
_DEVICE: Final = _Row(2, "engine: copies and device")
_HOST: Final = _Row(3, "engine: enqueue")
_BEFORE: Final = 4  # the number of the row of what was before: waiting, or capturing


def write_timeline(path: Path, run: Run, times: Times, began: Floats, name: str) -> None:
    """Each stage of each query, and in an open loop how long it had waited."""
    before = None
    if run.scenario in OPEN:
        before = _Row(_BEFORE, "waiting" if times.capture is None else CAPTURE)
    rows = [_STAGES, *([_DEVICE, _HOST] if times.engine is not None else []), *([before] if before else [])]
    events = [*_names(run, name, rows), *_events(run, times, began, before)]
    document = {"displayTimeUnit": "ms", "traceEvents": events}
    write_atomically(path, json.dumps(document, separators=(",", ":"), allow_nan=False))


def _names(run: Run, name: str, rows: list[_Row]) -> Iterator[dict[str, Any]]:
    yield {"ph": "M", "pid": 1, "name": "process_name", "args": {"name": f"{name}, {run.scenario}"}}
    for row in rows:
        yield {"ph": "M", "pid": 1, "tid": row.number, "name": "thread_name", "args": {"name": row.words}}


def _events(run: Run, times: Times, began: Floats, before: _Row | None) -> Iterator[dict[str, Any]]:
    zero = began[0]
    for number, (start, spent) in enumerate(zip(began[:MOST], times.loop[:MOST], strict=True)):
        at = start - zero
        for stage, seconds in zip(Stages._fields, spent, strict=True):
            yield _span(_STAGES, stage, at, seconds, number)
            if stage == "infer" and times.engine is not None:
                yield from _within(EngineStages(*times.engine[number]), at, at + seconds, number)
            at += seconds
        waited = run.started[number] - run.scheduled[number]
        if before is not None and waited > 0:
            yield from _waited(before, start - zero - waited, start - zero, number)


def _within(spent: EngineStages, begin: float, end: float, query: int) -> Iterator[dict[str, Any]]:
    yield _span(_DEVICE, "copy in", begin, spent.copy_in, query)
    yield _span(_HOST, "enqueue", begin + spent.copy_in, spent.enqueue, query)
    yield _span(_DEVICE, "compute", end - spent.copy_out - spent.compute, spent.compute, query)
    yield _span(_DEVICE, "copy out", end - spent.copy_out, spent.copy_out, query)


def _waited(row: _Row, begin: float, end: float, query: int) -> Iterator[dict[str, Any]]:
    # One row cannot hold spans that overlap, so those that wait are asynchronous.
    name = CAPTURE if row.words == CAPTURE else "wait"
    about = {"cat": name, "id": query, "name": name, "pid": 1, "tid": row.number}
    for phase, moment in (("b", begin), ("e", end)):
        yield {"ph": phase, **about, "ts": _microseconds(moment)}


def _span(row: _Row, name: str, at: float, seconds: float, query: int) -> dict[str, Any]:
    return {
        "ph": "X",
        "pid": 1,
        "tid": row.number,
        "name": name,
        "ts": _microseconds(at),
        "dur": _microseconds(seconds),
        "args": {"query": query},
    }


def _microseconds(seconds: float) -> float:
    return round(float(seconds) * 1e6, 3)
