"""What a run is asked to do: one frozen dataclass, the same names in options, in TOML and here."""

from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class RunSettings:
    """Everything that `edgecam run` can be told. Units are in the names; None means: not asked for."""

    bundle: Path
    camera: tuple[str, ...] = ("0",)  # URIs; several share one engine
    # Engine
    head: str | None = None
    backend: str | None = None
    threads: int = 1
    skip_check: bool = False
    # Which frames
    fps: float | None = None  # answers a second at most, from live cameras
    every: int = 1  # only every n-th frame
    roi: str | None = None  # "left,top,width,height", pixels, or parts of the frame where all are at most 1
    on_motion: bool = False
    realtime: bool = False  # play files at their own speed
    max_frames: int | None = None
    # Decisions
    threshold: float = 0.5
    thresholds: dict[str, str] = field(default_factory=dict)  # by class: "0.8" or "0.8/0.6" (on/off)
    smooth: str = "none"  # "none", "ema:0.3" (weight of the new frame), "consensus:3/5"
    event_after: int = 3  # frames in a row that begin an event
    event_end_s: float = 1.0  # seconds without it that end one
    ignore: tuple[str, ...] = ()  # classes that make no event, such as "background"
    alarm: tuple[str, ...] = ()  # rules: "defective > 3/h @ p<0.001"
    # Outputs
    window: bool | None = None
    json: bool = False
    events: bool = False  # with json: one line an event, alarm and change of state instead of one a frame
    record: Path | None = None  # FILE.mp4, or a folder for segments
    segment_s: float = 60.0
    pre_roll_s: float = 5.0
    record_events: bool = False  # keep only what lies around events
    record_quota_mb: float = 2000.0
    serve: str | None = None  # "127.0.0.1:8080"
    token_file: Path | None = None  # asked for by any address that is not loopback
    teach: str | None = None  # name of a class head that visitors of the page may teach
    mqtt: str | None = None  # "mqtt://user@host:1883/prefix", "mqtts://..."; the password never stands here
    mqtt_password_file: Path | None = None
    mqtt_ca: Path | None = None
    mqtt_discovery: bool = True  # Home Assistant
    tray: Path | None = None  # folder for hard examples
    tray_quota_mb: float = 200.0
    log: str = "text"  # "text" or "json", on stderr
