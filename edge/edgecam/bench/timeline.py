"""A run on a time axis, for https://ui.perfetto.dev or chrome://tracing: Chrome's trace format.

Source: the Trace Event Format. Times are microseconds from the first query.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from edgecam.bench.loop import Stages
from edgecam.bench.names import OPEN
from edgecam.bench.record import Run
from edgecam.bench.timing import Floats
from edgecam_engines.files import write_atomically

_STAGES, _WAITING = 1, 2  # rows
MOST: Final = 20_000  # queries, so that a browser bears it


def write_timeline(path: Path, run: Run, stages: Floats, began: Floats, name: str) -> None:
    """Each stage of each query, and in an open loop how long it had waited."""
    events = [*_names(run, name), *_events(run, stages, began)]
    document = {"displayTimeUnit": "ms", "traceEvents": events}
    write_atomically(path, json.dumps(document, separators=(",", ":"), allow_nan=False))


def _names(run: Run, name: str) -> Iterator[dict[str, Any]]:
    rows = {_STAGES: "stages", **({_WAITING: "waiting"} if run.scenario in OPEN else {})}
    yield {"ph": "M", "pid": 1, "name": "process_name", "args": {"name": f"{name}, {run.scenario}"}}
    for row, words in rows.items():
        yield {"ph": "M", "pid": 1, "tid": row, "name": "thread_name", "args": {"name": words}}


def _events(run: Run, stages: Floats, began: Floats) -> Iterator[dict[str, Any]]:
    zero = began[0]
    for number, (start, row) in enumerate(zip(began[:MOST], stages[:MOST], strict=True)):
        at = start - zero
        for stage, seconds in zip(Stages._fields, row, strict=True):
            yield _event(_STAGES, stage, at, seconds, number)
            at += seconds
        waited = run.started[number] - run.scheduled[number]
        if run.scenario in OPEN and waited > 0:
            # One row cannot hold spans that overlap, so those that wait are asynchronous.
            due = start - zero - waited
            for phase, moment in (("b", due), ("e", start - zero)):
                yield {
                    "ph": phase,
                    "cat": "wait",
                    "id": number,
                    "name": "wait",
                    "pid": 1,
                    "tid": _WAITING,
                    "ts": _microseconds(moment),
                }


def _event(row: int, name: str, at: float, seconds: float, number: int) -> dict[str, Any]:
    return {
        "ph": "X",
        "pid": 1,
        "tid": row,
        "name": name,
        "ts": _microseconds(at),
        "dur": _microseconds(seconds),
        "args": {"query": number},
    }


def _microseconds(seconds: float) -> float:
    return round(float(seconds) * 1e6, 3)
