"""The one place where outputs and decisions are made from settings."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from edgecam.decisions.decider import Decider
from edgecam.loop.lane import Lane
from edgecam.loop.region import Region, parse_region
from edgecam.loop.rules import Decides
from edgecam.settings import RunSettings
from edgecam.sinks.sink import Sink
from edgecam.teaching.desk import Desk
from edgecam.web.about import About
from edgecam_engines.engine import Frame
from edgecam_engines.errors import OutputError
from edgecam_engines.head import Head

Say = Callable[[str], None]


def open_sinks(
    cleanup: ExitStack,
    settings: RunSettings,
    lanes: Sequence[Lane],
    say: Say,
    about: Callable[[], About],
    desk: Desk | None = None,
) -> list[Sink]:
    """Every output that was asked for, closed by `cleanup`. A sink may be a Listener as well.

    At `desk` visitors of the page may teach.
    """
    sinks: list[Sink] = []

    def add(sink: Sink) -> None:
        sinks.append(sink)
        cleanup.callback(sink.close)

    if settings.json:
        from edgecam.sinks.jsonlines import JsonLines

        add(JsonLines(unchecked=settings.skip_check, events=settings.events, named=len(lanes) > 1))
    if settings.record is not None:
        add(_recording(settings.record, settings, lanes, say))
    if settings.tray is not None:
        from edgecam.sinks.tray import Tray

        add(Tray(settings.tray, quota_mb=settings.tray_quota_mb, say=say, view=seen_part(settings)))
    if _wants_window(settings.window):
        from edgecam.sinks.window import Window

        add(Window(say, titled=len(lanes) > 1))
    if settings.mqtt is not None:
        from edgecam.sinks.mqtt import Mqtt

        password, ca = settings.mqtt_password_file, settings.mqtt_ca
        add(Mqtt(settings.mqtt, say, password_file=password, ca=ca, with_discovery=settings.mqtt_discovery))
    if settings.serve is not None:
        from edgecam.sinks.web import Teachable, Web

        teaching = None if desk is None else Teachable(desk, settings.tray)
        add(Web(settings.serve, about(), token_file=settings.token_file, say=say, teaching=teaching))
    if settings.log == "json":
        from edgecam.sinks.journal import Journal

        add(Journal())
    elif not settings.json:
        from edgecam.sinks.notes import Notes

        add(Notes(say, named=len(lanes) > 1))
    return sinks


def _recording(path: Path, settings: RunSettings, lanes: Sequence[Lane], say: Say) -> Sink:
    from edgecam.sinks.open_recording import open_recording

    return open_recording(
        path,
        say,
        fps=max(lane.reader.fps for lane in lanes),
        live=any(lane.reader.live for lane in lanes),
        segment_s=settings.segment_s,
        pre_roll_s=settings.pre_roll_s,
        events_only=settings.record_events,
        quota_mb=settings.record_quota_mb,
    )


def make_deciders(
    settings: RunSettings, head: Head, cameras: Sequence[str], before: Mapping[str, Decides] | None = None
) -> dict[str, Decider]:
    """What decides for each camera, going on with the counts of the ones before. Raises SettingsError."""
    made = {
        camera: Decider(
            head.classes,
            camera=camera,
            threshold=settings.threshold,
            thresholds=settings.thresholds,
            smooth=settings.smooth,
            event_after=settings.event_after,
            event_end_s=settings.event_end_s,
            ignore=settings.ignore,
            alarms=settings.alarm,
        )
        for camera in cameras
    }
    for camera, old in (before or {}).items():
        if isinstance(old, Decider):
            made[camera].inherit(old)
    return made


def seen_part(settings: RunSettings) -> Callable[[Frame], Frame]:
    """What gives the part of a frame that the engine sees."""
    return partial(_seen_part, parse_region(settings.roi) if settings.roi else None)


def _seen_part(region: Region | None, frame: Frame) -> Frame:
    if region is None:
        return frame
    left, top, right, bottom = region.within((frame.shape[0], frame.shape[1]))
    return frame[top:bottom, left:right]


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
