"""`edgecam bench`: how long frames take with a bundle on this machine."""

import os
import secrets
import shlex
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np

from edgecam import overlay
from edgecam.bench import FRAME_HW, order_statistic, synthetic_frame
from edgecam.bench.against import rival, serve_lines
from edgecam.bench.duel import LEAST_FRAMES, PROCESSES, Side, duel
from edgecam.bench.live import open_camera
from edgecam.bench.loop import Loop, Publish, nobody
from edgecam.bench.names import OFFLINE, SINGLE_STREAM
from edgecam.bench.order import Order
from edgecam.bench.page import write_page
from edgecam.bench.pictures import draw_cdf, draw_histogram, need_matplotlib
from edgecam.bench.publish import publisher
from edgecam.bench.report import report
from edgecam.bench.samples import columns_of, save
from edgecam.bench.session import Outcome, conduct
from edgecam.bench.table import show
from edgecam.bench.timeline import write_timeline
from edgecam.bench.timing import REAL
from edgecam.bench.written import check_place, write_csv
from edgecam.machine import describe_machine
from edgecam.result import Result
from edgecam.roofline.of_bundle import of_bundle
from edgecam.telemetry.meter import open_meter
from edgecam.threads import one_opencv_thread
from edgecam_engines.bundle import Bundle, open_bundle
from edgecam_engines.checked import device_of
from edgecam_engines.console import emit, log, out
from edgecam_engines.engine import Frame
from edgecam_engines.golden import ANSWERS, load_golden

PHOTO_EVERY = 8  # frames
SHOWN_FPS = 30.0  # a number for the status line, so that drawing it costs what it costs in the loop


@dataclass(frozen=True)
class Outputs:
    """Files that were asked for, beside what is printed."""

    out: Path | None = None  # JSON, with raw samples beside
    csv: Path | None = None
    histogram: Path | None = None
    cdf: Path | None = None
    timeline: Path | None = None  # for Perfetto
    html: Path | None = None

    def check(self) -> None:
        """Before anything is measured. Raises OutputError for pictures without matplotlib, and bad paths."""
        pictures = {"--histogram": self.histogram, "--cdf": self.cdf, "--html": self.html}
        for option, path in pictures.items():
            if path is not None:
                need_matplotlib(option)
        others = {"--out": self.out, "--csv": self.csv, "--timeline": self.timeline}
        for option, path in {**others, **pictures}.items():
            if path is not None:
                check_place(option, path)

    def write(self, document: dict[str, Any], outcome: Outcome) -> None:
        run, title = outcome.run, f"{document['engine']}, {document['scenario']}, {document['runs']} queries"
        times = 1e3 * (run.service if run.scenario == OFFLINE else run.latency)
        if self.csv is not None:
            write_csv(self.csv, run, outcome.times)
        if self.histogram is not None:
            draw_histogram(times, title, self.histogram)
        if self.cdf is not None:
            draw_cdf(times, title, self.cdf)
        if self.timeline is not None:
            write_timeline(self.timeline, run, outcome.times, outcome.began, str(document["engine"]))
        if self.html is not None:
            write_page(self.html, document, times)
        if self.out is not None:
            save(self.out, document, columns_of(run, outcome.times))


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
    with ExitStack() as cleanup:
        # The meter first: without one nothing needs to be measured.
        meter = cleanup.enter_context(open_meter()) if order.energy else None
        camera = None if order.camera is None else cleanup.enter_context(open_camera(order.camera))
        publish = cleanup.enter_context(
            publisher(None if order.record is None else Path(order.record), order.fps)
        )
        ready = cleanup.enter_context(opened(path, order, publish))
        busy = os.getloadavg()[0]  # before our own work counts in it
        if camera is not None:
            order = replace(order, fps=camera.fps)
        outcome = conduct(order, ready.loop, REAL, meter, take=camera and camera.take)
        where = _provenance(ready.bundle, order, busy)
        if camera is not None:
            h, w = ready.loop.seen_hw or (0, 0)
            where["frame"] = f"{w}x{h} from {camera.name}"
        document = report(ready.name, outcome, order, where)
    if order.roofline:
        document["roofline"] = _roofline(ready.bundle, document)
    # Printed first: a full disk must not take what was measured with it.
    if json:
        emit(document)
    else:
        show(document)
    outputs.write(document, outcome)


def against(path: Path, command: str, order: Order, saved: Path | None = None, *, json: bool) -> None:
    """Measure a bundle and another program in turn, frame by frame, and say which is faster.

    `saved` gets ours, and theirs beside it as NAME-against. Raises BundleError, MeasurementError.
    """
    bundle = open_bundle(path)
    ours = [sys.executable, "-m", "edgecam", "bench", str(path), "--lines", *_as_options(order)]
    fought = duel(
        lambda: rival(shlex.join(ours)),
        lambda: rival(command),
        frames=max(LEAST_FRAMES, -(-order.runs // PROCESSES)),
        warm_up=order.warm_up,
    )
    told = fought.compared(on_cpu=_on_cpu(bundle, order))
    about = {"session": secrets.token_hex(8), "provenance": _provenance(bundle, order, os.getloadavg()[0])}
    if saved is not None:
        for file, side in ((saved, fought.a), (saved.with_stem(f"{saved.stem}-against"), fought.b)):
            cpu = np.zeros_like(side.wall) if side.cpu is None else side.cpu
            save(file, {**_side(side), **about}, {"wall": side.wall, "cpu": cpu})
    if json:
        emit({"a": _side(fought.a), "b": _side(fought.b), **told.document(), **about})
        return
    for letter, side in (("A", fought.a), ("B", fought.b)):
        times = " and ".join(f"{p} {ms:.2f} ms" for p, ms in _side(side)["latency_ms"].items())
        out.print(f"{letter} {side.name}: {times}", markup=False)
    out.print(told.in_words())


def _side(side: Side) -> dict[str, Any]:
    return {
        "scenario": SINGLE_STREAM,
        "engine": side.name,
        "frames_per_query": 1,
        "processes": len(side.wall),
        "runs": side.wall.size,
        "latency_ms": {f"p{p}": round(1e3 * order_statistic(side.wall.ravel(), p), 3) for p in (50, 99)},
    }


def _as_options(order: Order) -> list[str]:
    backend = ["--backend", order.backend] if order.backend else []
    return [*backend, "--threads", str(order.threads), *(["--skip-check"] if order.skip_check else [])]


def _roofline(bundle: Bundle, document: dict[str, Any]) -> dict[str, Any]:
    backend, model = bundle.model(document["order"]["backend"])
    infer_ms = document["stages_ms"]["infer"] / document["frames_per_query"]
    # The peaks are the GPU's: what a processor did reaches no share of them.
    mode = document["provenance"]["power_mode"] if backend.startswith("tensorrt") else None
    return of_bundle(bundle, model.precision).document(infer_ms, mode)


def lines(path: Path, order: Order) -> None:
    """Be the other program: answer `run N` on stdin until it ends."""
    with opened(path, order) as ready:
        serve_lines(ready.loop, REAL, ready.name, sys.stdin, sys.stdout, warm_up=order.warm_up)


@contextmanager
def opened(path: Path, order: Order, publish: Publish = nobody) -> Iterator[Opened]:
    bundle = open_bundle(path)
    engine = bundle.engine(order.backend, threads=order.threads, check=not order.skip_check)
    try:
        with one_opencv_thread():
            loop = Loop(engine, bundle.head(), _frames(bundle), _draw, publish=publish)
            yield Opened(bundle, engine.name, loop)
    finally:
        engine.close()


def _frames(bundle: Bundle) -> list[Frame]:
    """The synthetic frame, and now and then one of the bundle's own photos: there is more to check then."""
    frame = synthetic_frame()
    if ANSWERS not in bundle.manifest.files:
        return [frame]
    height, width = FRAME_HW
    photos = [
        np.asarray(cv2.resize(photo, (width, height), interpolation=cv2.INTER_LINEAR), dtype=np.uint8)
        for photo in load_golden(bundle.path, bundle.input_hw).frames
    ]
    return [each for photo in photos for each in (*[frame] * (PHOTO_EVERY - 1), photo)]


def _draw(frame: Frame, result: Result) -> None:
    overlay.draw(frame, result, SHOWN_FPS)


def _on_cpu(bundle: Bundle, order: Order) -> bool:
    backend = order.backend or bundle.manifest.engine["backend"]
    return backend in {"onnxruntime", "onnxruntime-openvino", "fixed"}


def _provenance(bundle: Bundle, order: Order, load: float) -> dict[str, Any]:
    backend, model = bundle.model(order.backend, threads=order.threads)
    device = device_of(backend, model)
    file = model.path.relative_to(bundle.path).as_posix()
    h, w = FRAME_HW
    return {
        "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "bundle": bundle.manifest.name,
        "model": file,
        "model_sha256": bundle.manifest.files[file]["sha256"],
        "device": "cpu" if _on_cpu(bundle, order) else "gpu",
        "threads": order.threads,
        "frame": f"{w}x{h} synthetic",
        "percentiles": "order statistics, not interpolated",
        "load_average": round(load, 2),
        "skip_check": order.skip_check,
        "runs_on": device.about if device else None,  # device, library and, of TensorRT, the plan's hash
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
