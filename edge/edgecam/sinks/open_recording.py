"""One option, `--record`: a file, or a folder of segments."""

from collections.abc import Callable
from pathlib import Path

from edgecam.sinks.behind import Behind
from edgecam.sinks.recording import Recording
from edgecam.sinks.sink import Sink
from edgecam_engines.errors import OutputError


def open_recording(
    path: Path,
    say: Callable[[str], None],
    *,
    fps: float,
    live: bool,
    segment_s: float,
    pre_roll_s: float,
    events_only: bool,
    quota_mb: float,
) -> Sink:
    """Something that ends in `.mp4` is a file, a name without an ending a folder. Raises OutputError."""
    if path.suffix and not path.is_dir():
        if events_only:
            raise OutputError(
                f"Recording around events makes many files, and {path} is one.\n"
                f"Name a folder: --record {path.with_suffix('')} --record-events"
            )
        return Behind(Recording(path, fps=fps, live=live), live=live)
    from edgecam.recorder import gstreamer
    from edgecam.recorder.encoder import OpenCVEncoder
    from edgecam.recorder.recorder import Plan
    from edgecam.sinks.recording_folder import RecordingFolder

    element = gstreamer.hardware()
    return RecordingFolder(
        path,
        Plan(fps, live, segment_s, round(quota_mb * 1e6), events_only, pre_roll_s),
        say,
        open_encoder=OpenCVEncoder if element is None else gstreamer.opener(element),
    )
