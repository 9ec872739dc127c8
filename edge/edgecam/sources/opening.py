"""How long a source may take to open before whoever reads it is taken for frozen."""

from typing import Final

from edgecam.sources import gstreamer, kind_of
from edgecam.sources.options import real
from edgecam_engines.errors import SourceError

# Pipelines of GStreamer, the first of which on a machine scans all plugins, and network cameras: several
# attempts, each with a limit of its own.
USUAL_S: Final = 20.0
V4L2_S: Final = (
    8.0  # one attempt without anything between the driver and us; slow cameras take 2 or 3 seconds
)
TIMEOUTS: Final = 4  # of a network camera's own: to connect, to open in two ways, for the first frame
LONGEST_TIMEOUT_S: Final = 60.0


def opening_s(uri: str) -> float:
    """Seconds for one attempt. What cannot be read here is told by the attempt itself."""
    try:
        kind = kind_of(uri)
    except SourceError:
        return USUAL_S
    if kind == "camera" and not gstreamer.on_jetson():
        return V4L2_S
    if kind in ("rtsp", "http"):
        return max(USUAL_S, TIMEOUTS * _timeout_s(uri))
    return USUAL_S


def _timeout_s(uri: str) -> float:
    """What stands after # as timeout; 0 where nothing does, or nothing that is one."""
    for pair in uri.rpartition("#")[2].split("&"):
        name, _, value = pair.partition("=")
        if name == "timeout":
            try:
                return real(0.0, LONGEST_TIMEOUT_S)(value)
            except ValueError:
                return 0.0
    return 0.0
