"""The one place where outputs and decisions are made from settings."""

from collections.abc import Callable, Sequence
from contextlib import ExitStack

from edgecam.loop.lane import Lane
from edgecam.loop.rules import Decides
from edgecam.settings import RunSettings
from edgecam.sinks.sink import Sink
from edgecam_engines.errors import OutputError
from edgecam_engines.head import Head

Say = Callable[[str], None]


def open_sinks(cleanup: ExitStack, settings: RunSettings, lanes: Sequence[Lane], say: Say) -> list[Sink]:
    """Every output that was asked for, closed by `cleanup`. A sink may be a Listener as well."""
    sinks: list[Sink] = []

    def add(sink: Sink) -> None:
        sinks.append(sink)
        cleanup.callback(sink.close)

    if settings.json:
        from edgecam.sinks.jsonlines import JsonLines

        add(JsonLines(unchecked=settings.skip_check))
    if settings.record is not None:
        from edgecam.sinks.recording import Recording

        reader = lanes[0].reader
        add(Recording(settings.record, fps=reader.fps, live=reader.live))
    if _wants_window(settings.window):
        from edgecam.sinks.window import Window

        add(Window(say, titled=len(lanes) > 1))
    if not settings.json:
        from edgecam.sinks.notes import Notes

        add(Notes(say))
    return sinks


def make_deciders(settings: RunSettings, head: Head, cameras: Sequence[str]) -> dict[str, Decides]:
    """What decides for each camera; without one an answer is shown as it is."""
    return {}


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
