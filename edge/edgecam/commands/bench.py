"""`edgecam bench`: how long one frame takes with a bundle on this machine."""

import os
from contextlib import closing
from datetime import datetime, timezone
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.markup import escape
from rich.table import Table

from edgecam import overlay
from edgecam.bench import FRAME_HW, Stages, measure, order_statistic, report, synthetic_frame, upper_bound
from edgecam.machine import describe_machine
from edgecam.threads import one_opencv_thread
from edgecam_engines.bundle import Bundle, open_bundle
from edgecam_engines.console import emit, log, out
from edgecam_engines.errors import OutputError
from edgecam_engines.files import write_atomically

SHOWN_FPS = 30.0  # a number for the status line, so that drawing it costs what it costs in the loop


def bench(
    bundle: Path,
    *,
    runs: int,
    json: bool,
    backend: str | None,
    threads: int,
    histogram: Path | None = None,
    skip_check: bool = False,
) -> None:
    """Time a bundle's engine, head and overlay on this machine and print it.

    Raises BundleError, EngineError, OutputError.
    """
    if histogram is not None:
        _need_matplotlib()
    opened = open_bundle(bundle)
    busy = os.getloadavg()[0]  # before our own work counts in it
    with (
        closing(opened.engine(backend, threads=threads, check=not skip_check)) as engine,
        one_opencv_thread(),
    ):
        measured = measure(
            engine,
            opened.head(),
            synthetic_frame(),
            lambda frame, result: overlay.draw(frame, result, SHOWN_FPS),
            runs=runs,
        )
    document = report(measured, _provenance(opened, backend, threads, busy, skip_check))
    if histogram is not None:
        _draw_histogram(measured.latency_ms, measured.engine, histogram)
    _warn_if_busy(busy)
    if json:
        emit(document)
    else:
        _show(document, measured.seconds, upper_bound(measured.latency_ms, 99))


def _provenance(
    bundle: Bundle, backend: str | None, threads: int, load: float, skip_check: bool
) -> dict[str, Any]:
    _, model = bundle.model(backend, threads=threads)
    file = model.path.relative_to(bundle.path).as_posix()
    h, w = FRAME_HW
    return {
        "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "bundle": bundle.manifest.name,
        "model": file,
        "model_sha256": bundle.manifest.files[file]["sha256"],
        "threads": threads,
        "frame": f"{w}x{h} synthetic",
        "percentiles": "order statistics, not interpolated",
        "load_average": round(load, 2),
        "skip_check": skip_check,
        **describe_machine(),
    }


def _show(document: dict[str, Any], seconds: NDArray[np.float64], bound: float | None) -> None:
    table = Table(title=f"{escape(document['engine'])}: {document['runs']} frames of 1280x720, one at a time")
    table.title_justify = "left"
    for column in ("ms", "p50", "p90", "p95", "p99"):
        table.add_column(column, justify="left" if column == "ms" else "right")
    for name, column in zip(Stages._fields, (seconds * 1e3).T, strict=True):
        table.add_row(name, *(f"{order_statistic(column, p):.2f}" for p in (50, 90, 95, 99)))
    table.add_section()
    table.add_row("one frame", *(f"{ms:.2f}" for ms in document["latency_ms"].values()))
    out.print(table)
    out.print(f"{document['throughput_per_s']:.1f} frames/s, the four stages one after another")
    if bound is None:
        out.print("These are too few runs to bound the p99; 662 or more are needed (--runs 700).")
    else:
        out.print(f"With 99 % confidence the true p99 is below {bound:.2f} ms.")
    machine = document["provenance"]
    where = [machine["board"] or machine["cpu"] or machine["machine"], f"{machine['cores']} cores"]
    where += [f"power mode {machine['power_mode']}"] if machine["power_mode"] else []
    out.print(", ".join([*where, f"threads {machine['threads']}"]), markup=False)


def _warn_if_busy(load: float) -> None:
    if load > 0.5:
        log.print(
            f"This machine was busy before the first run (load {load:.1f}): these times are too long. "
            f"Close other programs and run it again."
        )


def _need_matplotlib() -> None:
    if find_spec("matplotlib") is None:
        raise OutputError(
            "--histogram needs matplotlib, which is not installed. Leave it out, or:\n"
            "    pip install matplotlib"
        )


def _draw_histogram(latency_ms: NDArray[np.float64], engine: str, path: Path) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 4), layout="constrained")
    axes = figure.subplots()
    axes.hist(latency_ms, bins=60, color="#3b6ea5")
    for percent in (50, 99):
        at = order_statistic(latency_ms, percent)
        axes.axvline(at, color="#222222", linestyle="--", label=f"p{percent} {at:.2f} ms")
    axes.set(title=f"{engine}, {len(latency_ms)} frames", xlabel="latency of one frame, ms", ylabel="frames")
    axes.legend()
    write_atomically(path, lambda file: figure.savefig(file, dpi=120))
