"""gst:PIPELINE, and every other kind that is a GStreamer pipeline: which runner takes it, and why."""

from collections.abc import Callable, Sequence
from typing import Final

import cv2

from edgecam.sources import gstreamer
from edgecam.sources.capture import Attempt, LiveCapture, first_to_open, gives_frames
from edgecam.sources.gst_process import GstProcess
from edgecam.sources.hiding import hide
from edgecam.sources.source import Source
from edgecam_engines.errors import SourceError

_JETPACK: Final = "pip uninstall opencv-python && sudo apt install python3-opencv"


def open_gst(uri: str, say: Callable[[str], None]) -> Source:
    """Open gst:PIPELINE, any pipeline that gives raw video. Raises SourceError."""
    pipeline = uri.partition(":")[2].removeprefix("//").strip()
    name = hide(f"gst:{pipeline}")
    if not pipeline:
        raise SourceError(
            f"{name} holds no pipeline. Write one that ends in video:\n    'gst:videotestsrc is-live=true'"
        )
    return open_pipelines([gstreamer.any_pipeline(pipeline)], name, say)


def open_pipelines(bodies: Sequence[str], name: str, say: Callable[[str], None]) -> Source:
    """The first of these pipelines that gives frames, inside OpenCV if it can, else in a process."""
    if gstreamer.built_in():
        return _inside(bodies, name)
    if not gstreamer.can_launch():
        raise SourceError(
            f"{name} needs GStreamer: this OpenCV was built without it, and {gstreamer.LAUNCH} with its "
            f"element gdppay is not here either.\nInstall it:\n    sudo apt install {gstreamer.PACKAGES}"
        )
    source = _beside(bodies, name)
    say(
        f"{name}: this OpenCV has no GStreamer, so {gstreamer.LAUNCH} runs beside edgecam and hands its "
        f"frames over a pipe, which costs a copy of each. An OpenCV with GStreamer saves it"
        f"{f': {_JETPACK}' if gstreamer.on_jetson() else ''}."
    )
    return source


def _inside(bodies: Sequence[str], name: str) -> LiveCapture:
    capture = first_to_open([Attempt(gstreamer.in_opencv(body), cv2.CAP_GSTREAMER) for body in bodies])
    if capture is None or not gives_frames(capture):
        if capture is not None:
            capture.release()
        raise SourceError(
            f"{name} gives no frames.\nSee what GStreamer says of it: GST_DEBUG=3 edgecam run ..."
        )
    return LiveCapture(capture, name)


def _beside(bodies: Sequence[str], name: str) -> GstProcess:
    failed: SourceError | None = None
    for body in bodies:
        try:
            return GstProcess(body, name)
        except SourceError as error:
            failed = failed or error
    assert failed is not None
    raise failed
