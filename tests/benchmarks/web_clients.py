"""What viewers cost the loop: its frame rate with nobody and with 20 MJPEG clients, in turns.

    python tests/benchmarks/web_clients.py NAME.edgecam [--clients 20] [--rounds 6] [--seconds 3] [--fps 30]

The loop answers 720p frames with the bundle's engine as `edgecam run` does, paced like a camera, or with
`--fps 0` as fast as it can, and hands each to the page's sink. The clients live in another process, since
real ones live on other machines; here they share the processor, as nicely as can be. Each round
measures without and then with them. CPU seconds are this process's own, all threads.
"""

import argparse
import multiprocessing
import os
import selectors
import socket
import statistics
import time
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import NamedTuple

import numpy as np
from table import show

from edgecam.recognise import recognise
from edgecam.sinks.web import Web
from edgecam.sources.source import Shot
from edgecam.status import CameraStatus
from edgecam.threads import one_opencv_thread
from edgecam.web.about import About
from edgecam_engines.bundle import open_bundle
from edgecam_engines.engine import Engine, Frame
from edgecam_engines.head import Head

HW = (720, 1280)
HEADER = ("watching", "loop's CPU ms a frame", "CPU s a second, all threads", "frames/s", "sink's slowest ms")
COLUMNS = ("loop_cpu_ms", "cpu_s", "fps", "slowest_ms")


class Measured(NamedTuple):
    """One stretch of the loop."""

    fps: float
    cpu_s: float  # a second, of all threads
    loop_cpu_ms: float  # a frame, of the loop's own thread
    encodes: int
    offered: int  # frames that were copied for viewers
    slowest_ms: float  # the longest that the sink kept the loop


def watch(
    host: str, port: int, clients: int, going: Event, stop: Event, received: "multiprocessing.Queue[int]"
) -> None:
    """Open streams while `going` is set and throw away what comes, as nicely as can be."""
    os.nice(19)
    total = 0
    while not stop.is_set():
        if not going.wait(0.1):
            continue
        selector = selectors.DefaultSelector()
        sockets = [socket.create_connection((host, port)) for _ in range(clients)]
        for client in sockets:
            client.sendall(b"GET /stream.mjpg?overlay=cam HTTP/1.1\r\nHost: localhost\r\n\r\n")
            selector.register(client, selectors.EVENT_READ)
        while going.is_set() and not stop.is_set():
            for key, _ in selector.select(0.1):
                total += len(key.fileobj.recv(1 << 18))  # type: ignore[union-attr]
        for client in sockets:
            client.close()
        selector.close()
    received.put(total)
    received.put(round(1000 * time.process_time()))


def stretch(
    web: Web, engine: Engine, head: Head, frames: list[Frame], seconds: float, fps: float
) -> Measured:
    """Run the loop for a while."""
    encodes, offered = web.hub.pictures.encodes, web.hub.pictures.taken("front")
    began, cpu, own, count, slowest = time.monotonic(), time.process_time(), time.thread_time(), 0, 0.0
    while (now := time.monotonic()) - began < seconds:
        shot = Shot(frames[count % len(frames)], count, now, time.time(), 0)
        result = recognise(shot, engine, head, 0.0)._replace(camera="front")
        before = time.monotonic()
        web.write(shot.frame, result)
        if count % 30 == 0:
            web.status(CameraStatus("front", "live", time.time(), "", count, count, 0, 0, time.time()))
        slowest = max(slowest, time.monotonic() - before)
        count += 1
        if fps:
            time.sleep(max(0.0, began + count / fps - time.monotonic()))
    passed = time.monotonic() - began
    return Measured(
        count / passed,
        (time.process_time() - cpu) / passed,
        1e3 * (time.thread_time() - own) / count,
        web.hub.pictures.encodes - encodes,
        web.hub.pictures.taken("front") - offered,
        slowest * 1e3,
    )


def scenes(count: int = 8) -> list[Frame]:
    """Frames that compress like photos: smooth shapes and a little noise."""
    rng = np.random.default_rng(0)
    rows, columns = np.mgrid[0 : HW[0], 0 : HW[1]]
    made = []
    for number in range(count):
        waves = [127 + 90 * np.sin(rows / (40 + 9 * c) + columns / (60 + 7 * number) + c) for c in range(3)]
        made.append(np.clip(np.stack(waves, -1) + rng.normal(0, 6, (*HW, 3)), 0, 255).astype(np.uint8))
    return made


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--clients", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--fps", type=float, default=30.0)
    given = parser.parse_args()
    opened = open_bundle(given.bundle)
    context = multiprocessing.get_context("spawn")
    going, stop, received = context.Event(), context.Event(), context.Queue()
    web = Web("127.0.0.1:0", About(opened.path.stem, "", "", (), {}), say=lambda _: None)
    host, port = web.url.removeprefix("http://").rstrip("/").split(":")
    process = context.Process(
        target=watch, args=(host, int(port), given.clients, going, stop, received), daemon=True
    )
    alone, watched = [], []
    engine, head, frames = opened.engine(None, threads=1), opened.head(None), scenes()
    with one_opencv_thread():
        process.start()
        stretch(web, engine, head, frames, 3.0, given.fps)  # warm up, and let the other process start
        for _ in range(given.rounds):
            going.clear()
            stretch(web, engine, head, frames, 2.5, given.fps)  # until nobody counts as a viewer any more
            alone.append(stretch(web, engine, head, frames, given.seconds, given.fps))
            going.set()
            while web.hub.watchers.taken < given.clients:
                stretch(web, engine, head, frames, 0.5, given.fps)
            watched.append(stretch(web, engine, head, frames, given.seconds, given.fps))
    stop.set()
    total, spent_ms = received.get(timeout=10), received.get(timeout=10)
    process.join()
    web.close()
    engine.close()
    report(alone, watched, total, spent_ms, given)


def report(
    alone: list[Measured], watched: list[Measured], total: int, spent_ms: int, given: argparse.Namespace
) -> None:
    """The table, and the line."""
    ratios = [b.fps / a.fps for a, b in zip(alone, watched, strict=True)]
    kinds = ("nobody", alone), (f"{given.clients} clients", watched)
    rows = [(name, *(f"{median(field, kind):.2f}" for field in COLUMNS)) for name, kind in kinds]
    encodes, offered = sum(m.encodes for m in watched), sum(m.offered for m in watched)
    document = {
        "clients": given.clients,
        "paced_fps": given.fps,
        "fps_ratio": round(statistics.median(ratios), 4),
        "fps_ratio_worst": round(min(ratios), 4),
        "fps_ratio_best": round(max(ratios), 4),
        "cpu_s_per_s_nobody": round(median("cpu_s", alone), 3),
        "cpu_s_per_s_watched": round(median("cpu_s", watched), 3),
        "encodes_per_frame": round(encodes / offered, 3),
        "pictures_per_s": round(offered / (given.seconds * given.rounds), 2),
        "mb_received": round(total / 1e6, 1),
        "clients_cpu_s": spent_ms / 1e3,
        "loop_cpu_ratio": round(median("loop_cpu_ms", watched) / median("loop_cpu_ms", alone), 3),
    }
    show("What viewers cost", HEADER, rows, document)


def median(field: str, kind: list[Measured]) -> float:
    return statistics.median(float(getattr(one, field)) for one in kind)


if __name__ == "__main__":
    main()
