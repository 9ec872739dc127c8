"""`edgecam run` and `devices`: a camera that is watched, and the cameras there are."""

from pathlib import Path
from typing import Annotated, Any, Final

import typer
from typer.core import TyperCommand

from edgecam.cli.shared import Backend, Json, typed_in
from edgecam.config.about import ABOUT
from edgecam.settings import RunSettings

DEFAULT: Final = RunSettings(Path())
_CAMERA: Final = list(DEFAULT.camera)
_NONE: Final[list[str]] = []


def option(name: str) -> Any:
    """The option of a setting; its words are those of the settings file."""
    value = getattr(DEFAULT, name)
    return typer.Option(
        help=ABOUT[name].help,
        rich_help_panel=ABOUT[name].panel or None,
        show_default=not (value is False or value is None or value in ((), {})),
    )


class Grouped(TyperCommand):
    """Help in groups. rich would draw them too, but its import doubles the time that help takes."""

    def format_options(self, ctx: Any, formatter: Any) -> None:
        groups: dict[str, list[tuple[str, str]]] = {}
        for parameter in self.get_params(ctx):
            title = getattr(parameter, "rich_help_panel", None) or "Options"
            if (record := parameter.get_help_record(ctx)) is not None:
                groups.setdefault(title, []).append(record)
        for title, records in groups.items():
            with formatter.section(title):
                formatter.write_dl(records)


def run(
    ctx: typer.Context,
    bundle: Annotated[Path | None, option("bundle")] = None,
    camera: Annotated[list[str], option("camera")] = _CAMERA,
    config: Annotated[
        Path | None, typer.Option(help="A settings file; options given here go before what it says.")
    ] = None,
    print_config: Annotated[
        bool, typer.Option("--print-config", help="Write these settings as such a file, and end.")
    ] = False,
    fps: Annotated[float | None, option("fps")] = DEFAULT.fps,
    every: Annotated[int, option("every")] = DEFAULT.every,
    roi: Annotated[str | None, option("roi")] = DEFAULT.roi,
    on_motion: Annotated[bool, option("on_motion")] = DEFAULT.on_motion,
    realtime: Annotated[bool, option("realtime")] = DEFAULT.realtime,
    max_frames: Annotated[int | None, option("max_frames")] = DEFAULT.max_frames,
    threshold: Annotated[float, option("threshold")] = DEFAULT.threshold,
    thresholds: Annotated[list[str], option("thresholds")] = _NONE,
    smooth: Annotated[str, option("smooth")] = DEFAULT.smooth,
    event_after: Annotated[int, option("event_after")] = DEFAULT.event_after,
    event_end_s: Annotated[float, option("event_end_s")] = DEFAULT.event_end_s,
    ignore: Annotated[list[str], option("ignore")] = _NONE,
    alarm: Annotated[list[str], option("alarm")] = _NONE,
    window: Annotated[bool | None, option("window")] = DEFAULT.window,
    json: Annotated[bool, option("json")] = DEFAULT.json,
    events: Annotated[bool, option("events")] = DEFAULT.events,
    record: Annotated[Path | None, option("record")] = DEFAULT.record,
    segment_s: Annotated[float, option("segment_s")] = DEFAULT.segment_s,
    pre_roll_s: Annotated[float, option("pre_roll_s")] = DEFAULT.pre_roll_s,
    record_events: Annotated[bool, option("record_events")] = DEFAULT.record_events,
    record_quota_mb: Annotated[float, option("record_quota_mb")] = DEFAULT.record_quota_mb,
    serve: Annotated[str | None, option("serve")] = DEFAULT.serve,
    token_file: Annotated[Path | None, option("token_file")] = DEFAULT.token_file,
    teach: Annotated[str | None, option("teach")] = DEFAULT.teach,
    mqtt: Annotated[str | None, option("mqtt")] = DEFAULT.mqtt,
    mqtt_password_file: Annotated[Path | None, option("mqtt_password_file")] = DEFAULT.mqtt_password_file,
    mqtt_ca: Annotated[Path | None, option("mqtt_ca")] = DEFAULT.mqtt_ca,
    mqtt_discovery: Annotated[bool, option("mqtt_discovery")] = DEFAULT.mqtt_discovery,
    tray: Annotated[Path | None, option("tray")] = DEFAULT.tray,
    tray_quota_mb: Annotated[float, option("tray_quota_mb")] = DEFAULT.tray_quota_mb,
    log: Annotated[str, option("log")] = DEFAULT.log,
    head: Annotated[str | None, option("head")] = DEFAULT.head,
    backend: Annotated[Backend | None, option("backend")] = None,
    threads: Annotated[int, option("threads")] = DEFAULT.threads,
    skip_check: Annotated[bool, option("skip_check")] = DEFAULT.skip_check,
) -> None:
    """Name what cameras see and show where. Settings may stand in a file: --config edgecam.toml."""
    from edgecam.commands.run import run

    # Only what was typed goes before the file; the values above are what holds without both.
    typed = typed_in(ctx) - {"config", "print_config"}
    given = {name: ctx.params[name] for name in typed}
    if backend is not None:
        given["backend"] = backend.value
    run(given, config, print_config=print_config)


def devices(
    camera: Annotated[
        str | None, typer.Argument(help="A camera to try, as for `run`; otherwise all are listed.")
    ] = None,
    json: Json = False,
) -> None:
    """List the cameras of this machine, with their formats, or try one of any kind."""
    from edgecam.commands.devices import devices

    devices(camera, json=json)
