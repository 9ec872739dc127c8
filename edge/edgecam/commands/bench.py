"""`edgecam bench`: how long frames take with a bundle on this machine."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, NamedTuple

from edgecam import overlay
from edgecam.bench import FRAME_HW, order_statistic, synthetic_frame
from edgecam.bench.against import interleave, rival, serve_lines
from edgecam.bench.compare import Comparison, paired
from edgecam.bench.loop import Loop
from edgecam.bench.order import Order
from edgecam.bench.pictures import draw_cdf, draw_histogram, need_matplotlib
from edgecam.bench.record import Run
from edgecam.bench.report import report
from edgecam.bench.samples import save
from edgecam.bench.session import Outcome, conduct
from edgecam.bench.table import show
from edgecam.bench.timing import REAL
from edgecam.bench.written import write_csv
from edgecam.machine import describe_machine
from edgecam.result import Result
from edgecam.threads import one_opencv_thread
from edgecam_engines.bundle import Bundle, open_bundle
from edgecam_engines.console import emit, log, out
from edgecam_engines.engine import Frame

SHOWN_FPS = 30.0  # a number for the status line, so that drawing it costs what it costs in the loop


@dataclass(frozen=True)
class Outputs:
    """Files that were asked for, beside what is printed."""

    out: Path | None = None  # JSON, with raw samples beside
    csv: Path | None = None
    histogram: Path | None = None
    cdf: Path | None = None

    def check(self) -> None:
        """Raises OutputError for pictures without matplotlib, before anything is measured."""
        for option, path in (("--histogram", self.histogram), ("--cdf", self.cdf)):
            if path is not None:
                need_matplotlib(option)

    def write(self, document: dict[str, Any], outcome: Outcome) -> None:
        run, title = outcome.run, f"{document['engine']}, {document['scenario']}, {document['runs']} queries"
        if self.csv is not None:
            write_csv(self.csv, run, outcome.stages)
        if self.histogram is not None:
            draw_histogram(run.latency * 1e3, title, self.histogram)
        if self.cdf is not None:
            draw_cdf(run.latency * 1e3, title, self.cdf)
        if self.out is not None:
            save(self.out, document, run, outcome.stages, outcome.yardstick)


class Opened(NamedTuple):
    """A bundle, ready to be measured."""

    bundle: Bundle
    name: str  # of the engine
    loop: Loop


def bench(path: Path, order: Order, outputs: Outputs = Outputs(), *, json: bool) -> None:
    """Measure a bundle on this machine and print what was found.

    Raises BundleError, EngineError, OutputError, MeasurementError.
    """
    outputs.check()
    with _opened(path, order) as opened:
        busy = os.getloadavg()[0]  # before our own work counts in it
        outcome = conduct(order, opened.loop, REAL)
    document = report(opened.name, outcome, order, _provenance(opened.bundle, order, busy))
    outputs.write(document, outcome)
    if json:
        emit(document)
    else:
        show(document)


def against(path: Path, command: str, order: Order, *, json: bool) -> None:
    """Measure a bundle and another program in turn, and say which is faster.

    Raises BundleError, EngineError, MeasurementError.
    """
    with _opened(path, order) as opened, rival(command) as other:
        pairs = interleave(opened.loop, other, REAL, pairs=order.runs, warm_up=order.warm_up)
        verdict = _verdict(pairs.ours, pairs.wall, pairs.cpu)
        document = {
            "a": {"name": opened.name, **_told(pairs.ours.service)},
            "b": {"name": other.name, **_told(pairs.wall)},
            **verdict.document(),
            "provenance": _provenance(opened.bundle, order, os.getloadavg()[0]),
        }
    if json:
        emit(document)
        return
    for letter in "ab":
        told = document[letter]
        out.print(
            f"{letter.upper()} {told['name']}: p50 {told['p50_ms']} ms, p99 {told['p99_ms']} ms", markup=False
        )
    out.print(verdict.in_words())


def lines(path: Path, order: Order) -> None:
    """Be the other program: answer `run N` on stdin until it ends."""
    with _opened(path, order) as opened:
        serve_lines(opened.loop, REAL, opened.name, sys.stdin, sys.stdout, warm_up=order.warm_up)


@contextmanager
def _opened(path: Path, order: Order) -> Iterator[Opened]:
    bundle = open_bundle(path)
    engine = bundle.engine(order.backend, threads=order.threads, check=not order.skip_check)
    try:
        with one_opencv_thread():
            yield Opened(bundle, engine.name, Loop(engine, bundle.head(), [synthetic_frame()], _draw))
    finally:
        engine.close()


def _draw(frame: Frame, result: Result) -> None:
    overlay.draw(frame, result, SHOWN_FPS)


def _verdict(ours: Run, wall: Any, cpu: Any) -> Comparison:
    # Processor time is the steadier figure, but says nothing where a GPU does the work.
    on_cpu = cpu is not None and ours.cpu.sum() > 0.5 * ours.service.sum() and cpu.sum() > 0.5 * wall.sum()
    return paired(ours.cpu, cpu, "cpu") if on_cpu else paired(ours.service, wall, "latency")


def _told(seconds: Any) -> dict[str, float]:
    return {f"p{p}_ms": round(1e3 * order_statistic(seconds, p), 3) for p in (50, 99)}


def _provenance(bundle: Bundle, order: Order, load: float) -> dict[str, Any]:
    _, model = bundle.model(order.backend, threads=order.threads)
    file = model.path.relative_to(bundle.path).as_posix()
    h, w = FRAME_HW
    return {
        "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "bundle": bundle.manifest.name,
        "model": file,
        "model_sha256": bundle.manifest.files[file]["sha256"],
        "threads": order.threads,
        "frame": f"{w}x{h} synthetic",
        "percentiles": "order statistics, not interpolated",
        "load_average": round(load, 2),
        "skip_check": order.skip_check,
        **describe_machine(),
    }


def compare(first: Path, second: Path, *, json: bool) -> None:
    """Say whether one saved result is slower than the other. Raises DataError, MeasurementError."""
    from edgecam.bench.compare_files import compare_files

    verdict, warnings = compare_files(first, second)
    for words in warnings:
        log.print(words, markup=False)
    if json:
        emit({"a": str(first), "b": str(second), **verdict.document(), "warnings": warnings})
    else:
        out.print(f"A {first}\nB {second}", markup=False)
        out.print(verdict.in_words())
