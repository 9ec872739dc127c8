"""A network camera over HTTP: http://USER:PASSWORD@ADDRESS/stream.mjpg#timeout=5.

Photos in a multipart answer are read here, damaged ones counted and left out. Whatever else a web server
gives as video, FFmpeg takes.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from http.client import HTTPException, HTTPResponse
from typing import Final

import cv2

from edgecam.sources.capture import USUAL_FPS, Attempt, LiveCapture, first_to_open, gives_frames
from edgecam.sources.jpeg import DamagedJpeg, decode
from edgecam.sources.multipart import BadMultipart, Parts
from edgecam.sources.newest import Ended
from edgecam.sources.options import option, read_options, real, yes
from edgecam.sources.over_http import Hangup, connect
from edgecam.sources.pump import Pump, Received
from edgecam.sources.source import Source
from edgecam.sources.uri import Address, split_url
from edgecam_engines.engine import Frame
from edgecam_engines.errors import SourceError

PORTS: Final = {"http": 80, "https": 443}


@dataclass(frozen=True)
class HttpOptions:
    """Behind the #, since the query belongs to the camera."""

    timeout: float = option(real(0.2, 60), 5.0)  # seconds without a photo, at opening and later
    strict: bool = option(yes, True)  # leave damaged photos out
    verify: bool = option(yes, True)  # the certificate of https


class Mjpeg:
    """A live source: the newest whole photo of a multipart answer."""

    live = True
    fps = USUAL_FPS  # nobody announces it
    counts_all = True  # TCP loses none on the way

    def __init__(
        self, answer: HTTPResponse, name: str, say: Callable[[str], None], asked: HttpOptions
    ) -> None:
        self.name = name
        self.damaged = 0  # photos that were left out
        self.missed = 0
        self._say, self._asked = say, asked
        self._answer, self._hang_up = answer, Hangup(answer)
        self._parts: Pump[bytes] = Pump(Parts(answer.read1).next)
        self._frame: Frame | None = None
        self._at: float | None = None
        try:
            self.grab()
        except BaseException:
            self.close()
            raise
        self.missed = 0

    def grab(self) -> bool:
        """Decodes as well: only a whole photo counts as one."""
        until = time.monotonic() + self._asked.timeout
        before = self.damaged
        while (left := until - time.monotonic()) > 0:
            part = self._newest(left)
            if part is None:
                break
            self.missed += part.missed
            try:
                self._frame, self._at = decode(part.item, strict=self._asked.strict), part.at
            except DamagedJpeg as damage:
                self._note(damage)
            else:
                return True
        raise SourceError(self._silent(self.damaged - before))

    def retrieve(self) -> Frame:
        frame, self._frame = self._frame, None
        if frame is None:
            raise SourceError(f"{self.name}: no frame was grabbed.")
        return frame

    def stamp(self) -> float | None:
        return self._at  # when it was here; the camera tells nothing better

    def close(self) -> None:
        self._hang_up()
        self._parts.stop()
        self._answer.close()

    def _newest(self, seconds: float) -> Received[bytes] | None:
        try:
            return self._parts.take(seconds)
        except (EOFError, Ended):
            raise SourceError(f"{self.name} ended its stream.") from None
        except BadMultipart as error:
            raise SourceError(f"{self.name} gives no MJPEG stream that can be read: {error}.") from None
        except (OSError, HTTPException, ValueError) as error:
            raise SourceError(
                f"{self.name} broke off: {getattr(error, 'strerror', None) or error}."
            ) from None

    def _note(self, damage: DamagedJpeg) -> None:
        self.damaged, self.missed = self.damaged + 1, self.missed + 1
        if str(self.damaged).strip("0") == "1":  # the 1st, 10th, 100th, ...
            self._say(
                f"{self.name}: {self.damaged} damaged photos left out so far; of the last one, {damage}."
            )

    def _silent(self, damaged: int) -> str:
        seconds = f"{self._asked.timeout:g} s"
        if damaged:
            return (
                f"{self.name} gave only damaged photos for {seconds} ({damaged} of them).\n"
                f"Its network may lose data. To see them as they are, add #strict=0 to its URL."
            )
        return f"{self.name} gives no photos within {seconds}."


def open_http(uri: str, say: Callable[[str], None]) -> Source:
    """Open http:// or https://. Raises SourceError that names the stage that failed."""
    address = split_url(uri, PORTS)
    asked = read_options(HttpOptions, address.options, address.name)
    answer = connect(address, timeout=asked.timeout, verify=asked.verify)
    kind = answer.headers.get_content_type()
    if kind.startswith("multipart/"):
        return Mjpeg(answer, address.name, say, asked)
    answer.close()
    if kind.startswith(("image/", "text/")):
        what = "one photo" if kind.startswith("image/") else "a page or a text"
        raise SourceError(
            f"{address.name} gives {what} ({kind}), not a stream.\n"
            f"The camera's manual names the path of its MJPEG stream; try also rtsp://{address.host}/"
        )
    return _by_ffmpeg(address, asked, kind)


def _by_ffmpeg(address: Address, asked: HttpOptions, kind: str) -> LiveCapture:
    limit = round(asked.timeout * 1000)
    limits = (cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, limit, cv2.CAP_PROP_READ_TIMEOUT_MSEC, limit)
    capture = first_to_open([Attempt(address.url, cv2.CAP_FFMPEG, limits)])
    if capture is None or not gives_frames(capture):
        if capture is not None:
            capture.release()
        raise SourceError(
            f"{address.name} gives {kind}, which is no video that can be read.\n"
            f"The camera's manual names the path of its MJPEG or RTSP stream."
        )
    return LiveCapture(capture, address.name)
