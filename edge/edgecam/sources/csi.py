"""A Jetson's ribbon-cable camera: csi://0?width=1920&height=1080&fps=30&flip=2."""

from collections.abc import Callable
from dataclasses import dataclass

from edgecam.sources import gstreamer
from edgecam.sources.gst import open_pipelines
from edgecam.sources.options import option, read_options, whole
from edgecam.sources.source import Source
from edgecam.sources.uri import split_scheme
from edgecam_engines.errors import SourceError


@dataclass(frozen=True)
class CsiOptions:
    """What the sensor is asked for; it takes the nearest of its own modes and scales."""

    width: int = option(whole(16, 16384), 1280)
    height: int = option(whole(16, 16384), 720)
    fps: int = option(whole(1, 1000), 30)
    flip: int = option(whole(0, 7), 0)  # nvvidconv: 1 a quarter turn left, 2 half, 3 right, 4 mirrored, ...


def open_csi(uri: str, say: Callable[[str], None]) -> Source:
    """Open a CSI camera. Raises SourceError that names the stage that failed."""
    sensor, given = split_scheme(uri)
    asked = read_options(CsiOptions, given, f"csi://{sensor}")
    if not (sensor or "0").isdecimal():
        raise SourceError(f"csi://{sensor} names no CSI camera. Write csi://0 for the first one.")
    if not (gstreamer.on_jetson() or gstreamer.has_element("nvarguscamerasrc")):
        raise SourceError(
            f"csi://{sensor} needs a Jetson, where GStreamer has nvarguscamerasrc, and it is not here.\n"
            f"In a container: use NVIDIA's l4t images, --runtime nvidia, and the host's argus_socket."
        )
    body = gstreamer.csi(int(sensor or "0"), asked.width, asked.height, asked.fps, asked.flip)
    try:
        return open_pipelines([body], f"csi://{sensor or 0}", say)
    except SourceError as error:
        raise SourceError(
            f"{error}\nCheck the ribbon cable and the sensor's driver, then restart the service:\n"
            f"    sudo systemctl restart nvargus-daemon"
        ) from error
