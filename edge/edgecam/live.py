"""The loop: newest frame -> engine -> head -> overlay -> sinks, in three threads with one-slot hand-overs.

    read (thread)  -> one slot ->  infer (thread)  -> one slot ->  draw and sinks (main thread)

The main thread draws because windows belong to it, and signals reach it.
"""

import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Final, NamedTuple, TypeAlias

from edgecam import memory, overlay
from edgecam.logs import say
from edgecam.recognise import recognise
from edgecam.result import Result
from edgecam.settings import RunSettings
from edgecam.sinks.sink import Finished, Sink
from edgecam.sources import open_source
from edgecam.sources.newest import Ended, Slot
from edgecam.sources.paced import Paced
from edgecam.sources.reader import Reader, ThreadReader
from edgecam.sources.source import Source
from edgecam.status import CameraStatus
from edgecam.threads import one_opencv_thread
from edgecam_engines.bundle import Bundle, open_bundle
from edgecam_engines.engine import Engine, Frame
from edgecam_engines.errors import OutputError
from edgecam_engines.head import Head
from edgecam_engines.signals import Stop, stop_on_signal

LOOK_S: Final = 0.05  # how often a waiting thread looks whether it should stop
RATE_OVER: Final = 30  # results that the frame rate is measured over
JOIN_S: Final = 10.0  # longest that the engine may take over its last frame


class Seen(NamedTuple):
    """What the engine's thread hands to the drawing one."""

    frame: Frame
    result: Result


class Rules(NamedTuple):
    """What answers are made by, and may change while the loop runs."""

    head: Head
    threshold: float


class Loop:
    """A loop that runs, for whoever looks after it."""

    def __init__(self, bundle: Bundle, source: Source, reader: ThreadReader, rules: Rules) -> None:
        self.bundle, self.rules = bundle, rules
        self.processed = self.skipped = 0
        self._name, self._reader, self._since = source.name, reader, time.time()

    def statuses(self) -> list[CameraStatus]:
        """How the camera is."""
        captured = self.processed + self.skipped
        lost = self._reader.lost
        return [
            CameraStatus(
                self._name, "live", self._since, "", captured, self.processed, self.skipped, lost, None
            )
        ]

    def reload(self, settings: RunSettings, head: Head) -> None:
        """Go on by other rules."""
        self.rules = Rules(head, settings.threshold)


# Given the loop before its first frame; what it returns is called between frames.
Keeper: TypeAlias = Callable[[Loop], Callable[[], object]]


class Summary(NamedTuple):
    """What a run came to."""

    frames: int  # results
    skipped: int  # frames that the source gave and nobody looked at
    seconds: float  # from the first result to the last
    lost: int  # how often the camera went away
    recorded: Path | None
    skip_check: bool = False  # the engine was not asked to answer the bundle's golden photos first

    @property
    def fps(self) -> float:
        """Results per second; 0 for fewer than two."""
        return (self.frames - 1) / self.seconds if self.frames > 1 and self.seconds > 0 else 0.0


def run(
    bundle: Path,
    camera: str,
    *,
    backend: str | None = None,
    head: str | None = None,
    record: Path | None = None,
    json_lines: bool = False,
    max_frames: int | None = None,
    threshold: float = 0.5,
    window: bool | None = None,
    realtime: bool = False,
    draw: bool | None = None,
    threads: int = 1,
    skip_check: bool = False,
    keeper: Keeper | None = None,
) -> Summary:
    """Recognise what a camera, stream, file or folder shows until it ends or somebody stops it.

    `window` None means: where there is a display. `realtime` plays a file at its own speed and skips like a
    camera; without it every frame of a file or folder is answered. `draw` None means: when a sink shows it.
    `skip_check` takes the engine as it is, though it may answer otherwise here than where it was measured.
    Raises BundleError, EngineError, SourceError, OutputError, and KeyboardInterrupt after SIGINT or
    SIGTERM: in every case the files are closed first, and complete.
    """
    opened = open_bundle(bundle)
    chosen = opened.head(head)
    with ExitStack() as cleanup:
        cleanup.enter_context(one_opencv_thread())
        memory.share()
        stop = cleanup.enter_context(stop_on_signal())
        # The engine before the camera: opening it takes more memory than it keeps, and frames would age.
        engine = opened.engine(backend, threads=threads, check=not skip_check)
        cleanup.callback(engine.close)
        memory.trim()
        reopen = _opener(camera, realtime)
        source = reopen()
        sinks = _open_sinks(
            cleanup, source, record=record, json_lines=json_lines, window=window, unchecked=skip_check
        )
        reader = ThreadReader(source, reopen, say)
        cleanup.callback(reader.stop)
        loop = Loop(opened, source, reader, Rules(chosen, threshold))
        between = keeper(loop) if keeper else _nothing
        seen = _recognising(cleanup, reader, engine, loop)
        drawn = any(sink.pictures for sink in sinks) if draw is None else draw
        frames, skipped, seconds = _show(seen, sinks, stop, max_frames, drawn, loop, between)
    recorded = record if record and frames else None
    summary = Summary(frames, skipped, seconds, reader.lost, recorded, skip_check)
    say(_in_words(summary))
    if stop.asked:
        raise KeyboardInterrupt
    return summary


def _opener(camera: str, realtime: bool) -> Callable[[], Source]:
    def reopen() -> Source:
        source = open_source(camera, say)
        return Paced(source) if realtime and not source.live else source

    return reopen


def _open_sinks(
    cleanup: ExitStack,
    source: Source,
    *,
    record: Path | None,
    json_lines: bool,
    window: bool | None,
    unchecked: bool,
) -> list[Sink]:
    """Every output that was asked for, closed by `cleanup`. The source is closed if one cannot be opened."""
    sinks: list[Sink] = []
    try:
        if json_lines:
            from edgecam.sinks.jsonlines import JsonLines

            sinks.append(JsonLines(unchecked=unchecked))
        if record is not None:
            from edgecam.sinks.recording import Recording

            sinks.append(Recording(record, fps=source.fps, live=source.live))
        if _wants_window(window):
            from edgecam.sinks.window import Window

            sinks.append(Window(say))
        if not json_lines:
            from edgecam.sinks.notes import Notes

            sinks.append(Notes(say))
    except BaseException:
        source.close()
        raise
    finally:
        for sink in sinks:
            cleanup.callback(sink.close)
    return sinks


def _wants_window(window: bool | None) -> bool:
    from edgecam.sinks.window import display_named, has_gui

    usable = display_named() and has_gui()
    if window and not usable:
        why = "this OpenCV was built without them" if display_named() else "this session has no display"
        raise OutputError(
            f"There can be no window: {why}.\n"
            f"Leave --window out, and use --record FILE.mp4 or --json instead."
        )
    return usable if window is None else window


def _nothing() -> None:
    pass


def _recognising(cleanup: ExitStack, reader: Reader, engine: Engine, loop: Loop) -> Slot[Seen]:
    """Start the thread that infers; what it finds, or what went wrong, comes out of the slot.

    From here to the end of `cleanup` the engine belongs to that thread.
    """
    results: Slot[Seen] = Slot(replace=False)
    going = threading.Event()
    going.set()

    def answer_one() -> None:
        # A function of its own, so that no frame is kept alive while the next one is waited for.
        shot = reader.take(LOOK_S)
        if shot is not None:
            rules = loop.rules  # once, so that no frame sees parts of two
            results.put(Seen(shot.frame, recognise(shot, engine, rules.head, rules.threshold)))

    def work() -> None:
        try:
            while going.is_set():
                answer_one()
        except Ended:
            results.close()
        except BaseException as error:
            results.close(error)

    thread = threading.Thread(target=work, name="edgecam-infer", daemon=True)

    def end() -> None:
        going.clear()
        results.abandon()
        thread.join(JOIN_S)

    thread.start()
    cleanup.callback(end)
    return results


def _show(
    seen: Slot[Seen],
    sinks: list[Sink],
    stop: Stop,
    max_frames: int | None,
    drawn: bool,
    loop: Loop,
    between: Callable[[], object],
) -> tuple[int, int, float]:
    """Draw and write until the end; results, skipped frames, and seconds from first to last result."""
    frames, skipped, first = 0, 0, 0.0
    times: deque[float] = deque(maxlen=RATE_OVER)

    def show_one() -> None:
        nonlocal frames, skipped, first
        item = seen.take(LOOK_S)
        if item is None:
            return
        times.append(time.monotonic())
        first = first if frames else times[0]
        frames, skipped = frames + 1, item.result.skipped
        if drawn:
            overlay.draw(item.frame, item.result, _rate(times))
        for sink in sinks:
            sink.write(item.frame, item.result)
        loop.processed, loop.skipped = frames, skipped

    with suppress(Ended, Finished):
        while not stop.asked and (max_frames is None or frames < max_frames):
            show_one()
            between()
    return frames, skipped, times[-1] - first if times else 0.0


def _rate(times: deque[float]) -> float:
    """Frames per second over the last results; 0 for the first."""
    passed = times[-1] - times[0]
    return (len(times) - 1) / passed if passed > 0 else 0.0


def _in_words(summary: Summary) -> str:
    words = f"{summary.frames} frames"
    if summary.fps:
        words += f" in {summary.seconds:.1f} s ({summary.fps:.1f} frames/s)"
    words += f", {summary.skipped} skipped"
    if summary.lost:
        words += f", the camera was lost {summary.lost} times"
    if summary.skip_check:
        words += ", by an engine that was not checked here (--skip-check)"
    return words + (f". Recorded: {summary.recorded}" if summary.recorded else ".")
