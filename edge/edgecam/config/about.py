"""What each setting means, in words: for the help of `run`, a settings file's comments, and complaints."""

from typing import Final, NamedTuple

FRAMES: Final = "Frames"
DECISIONS: Final = "Decisions"
OUTPUTS: Final = "Outputs"
ENGINE: Final = "Engine"
SIZE: Final = "a number above 0"


class About(NamedTuple):
    """One setting. Its name is a field of `RunSettings`; with dashes it is the option and the TOML key."""

    panel: str  # where the help shows it; "" above all others
    help: str
    allowed: str  # "must be ..."
    example: str  # what stands after `key = ` in TOML


ABOUT: Final[dict[str, About]] = {
    "bundle": About(
        "", "A bundle from `edgecam build-engine`; needed here or in --config.", "a path", '"line.edgecam"'
    ),
    "camera": About(
        "",
        "One or several: camera number, /dev/videoN, video file, folder of photos, or URL.",
        "a camera or a list of them",
        '["rtsp://10.0.0.7/stream", "/dev/video0"]',
    ),
    "head": About(
        ENGINE, "One of the bundle's class heads; otherwise its own choice.", "a name", '"default"'
    ),
    "backend": About(ENGINE, "Otherwise what the bundle ships.", "the name of a back end", '"onnxruntime"'),
    "threads": About(ENGINE, "CPU threads of the engine.", "a whole number, 1 or more", "2"),
    "skip_check": About(
        ENGINE,
        "Take the engine as it is, though it may answer otherwise here; it is noted.",
        "true or false",
        "false",
    ),
    "fps": About(FRAMES, "Answers a second at most, from live cameras.", SIZE, "5.0"),
    "every": About(FRAMES, "Look at every n-th frame only.", "a whole number, 1 or more", "2"),
    "roi": About(
        FRAMES,
        "LEFT,TOP,WIDTH,HEIGHT to look at: pixels, or parts of the frame where none is above 1.",
        "four numbers from 0, the last two above 0, beginning inside the frame",
        '"0.25,0,0.5,1"',
    ),
    "on_motion": About(FRAMES, "Look only where something moves.", "true or false", "true"),
    "realtime": About(FRAMES, "Play a file at its own speed.", "true or false", "true"),
    "max_frames": About(FRAMES, "Stop after this many.", "a whole number, 1 or more", "1000"),
    "threshold": About(
        DECISIONS, "Below this confidence the answer is unknown.", "a number from 0 to 1", "0.5"
    ),
    "thresholds": About(
        DECISIONS,
        "One or several classes' own, CLASS=ON or CLASS=ON/OFF: named from ON on, until below OFF.",
        "a table of classes, each with ON or ON/OFF, from 0 to 1, OFF not above ON",
        '{ defective = "0.8/0.6" }',
    ),
    "smooth": About(
        DECISIONS,
        "none, ema:WEIGHT (of the new frame), or consensus:K/N (at least K of the last N agree).",
        "none, ema:WEIGHT above 0 and up to 1, or consensus:K/N with K more than half of N, below 1000",
        '"consensus:3/5"',
    ),
    "event_after": About(DECISIONS, "Frames in a row that begin an event.", "a whole number, 1 or more", "3"),
    "event_end_s": About(
        DECISIONS, "Seconds without the class that end its event.", "a number, 0 or more", "1.0"
    ),
    "ignore": About(
        DECISIONS,
        "One or several classes that make no event, such as background.",
        "a class or a list of them",
        '["background"]',
    ),
    "alarm": About(
        DECISIONS,
        "One or several rules, 'CLASS > N/h @ p<P': more events than chance explains.",
        "'CLASS > RATE/UNIT', with units s, min, h, day, or so and ' in 30min' or ' @ p<0.001'; p from "
        "1e-12 and below 1, a window with 100,000 expected events at most",
        '["defective > 3/h @ p<0.001"]',
    ),
    "window": About(OUTPUTS, "Show a window; otherwise where there is a display.", "true or false", "false"),
    "json": About(OUTPUTS, "One JSON line a frame on stdout.", "true or false", "true"),
    "events": About(
        OUTPUTS,
        "With --json: one line an event, alarm and change of state, not one a frame.",
        "true or false",
        "true",
    ),
    "record": About(
        OUTPUTS, "Save the overlay to FILE.mp4, or in segments to a folder.", "a path", '"recordings"'
    ),
    "segment_s": About(OUTPUTS, "Seconds of one segment.", SIZE, "60.0"),
    "pre_roll_s": About(
        OUTPUTS, "Seconds kept from before an event, with --record-events.", "a number, 0 or more", "5.0"
    ),
    "record_events": About(
        OUTPUTS, "Of a recording in segments, keep only what lies around events.", "true or false", "true"
    ),
    "record_quota_mb": About(OUTPUTS, "Megabytes of segments to keep; the oldest go first.", SIZE, "2000.0"),
    "serve": About(
        OUTPUTS,
        "HOST:PORT of the web page; for other machines than this one it needs --token-file.",
        "HOST:PORT or :PORT, with a port from 0 to 65535",
        '"127.0.0.1:8080"',
    ),
    "token_file": About(
        OUTPUTS, "A file with the token that visitors of the page need.", "a path", '"token"'
    ),
    "teach": About(
        OUTPUTS,
        "Let every visitor of the page teach classes, into a head of this name, which answers from then on.",
        "letters, digits, dots, - and _, 64 at most",
        '"taught"',
    ),
    "mqtt": About(
        OUTPUTS,
        "Broker to publish to: mqtt://USER@HOST:1883/PREFIX, or mqtts:// for TLS; never with a password.",
        "mqtt://USER@HOST:PORT/PREFIX or mqtts://..., with no password in it",
        '"mqtts://line3@broker.example/edgecam"',
    ),
    "mqtt_password_file": About(OUTPUTS, "A file with the broker's password.", "a path", '"mqtt-password"'),
    "mqtt_ca": About(
        OUTPUTS, "Certificates to trust, for a broker with mqtts://.", "a path", '"broker-ca.pem"'
    ),
    "mqtt_discovery": About(OUTPUTS, "Announce it to Home Assistant.", "true or false", "true"),
    "tray": About(OUTPUTS, "Folder for hard examples, to be labelled.", "a path", '"tray"'),
    "tray_quota_mb": About(OUTPUTS, "Megabytes of them to keep.", SIZE, "200.0"),
    "log": About(OUTPUTS, "What stderr holds: text or json (lines).", "text or json, in quotes", '"json"'),
}


def key_of(name: str) -> str:
    """A field's name as it is written in a settings file: max_frames -> max-frames."""
    return name.replace("_", "-")


def option_of(name: str) -> str:
    """And on the command line: max_frames -> --max-frames."""
    return f"--{key_of(name)}"
