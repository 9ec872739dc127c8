"""A real HTTP server of MJPEG on loopback, which can damage, stall, resize, and write parts in many ways.

`with MjpegServer() as server:` serves `server.uri`; its attributes may be changed while it runs. Every photo
carries its number (`number_of` in edgecam.sources.fixed reads it), which goes on counting over restarts.
"""

import base64
import hashlib
import re
import ssl
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import NamedTuple

import cv2
import numpy as np

from edge.parts.ports import free_port
from edgecam.sources.fixed import numbered

Damage = Callable[[bytes, int], bytes]  # a photo and its number


class Wire(NamedTuple):
    """How the parts are written."""

    content_type: str = "multipart/x-mixed-replace; boundary=frame"
    before: bytes = b"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: %LENGTH%\r\n\r\n"
    after: bytes = b"\r\n"

    def part(self, photo: bytes) -> bytes:
        return self.before.replace(b"%LENGTH%", str(len(photo)).encode()) + photo + self.after


USUAL = Wire()
NONCE = "once"


def md5(text: str) -> str:
    return hashlib.md5(text.encode()).hexdigest()


def photo_of(number: int, width: int = 320, height: int = 240) -> bytes:
    """A JPEG with its number on top and noise below, so that every part of the file matters."""
    frame = numbered(number, width, height)
    noise = np.random.default_rng(number).integers(0, 255, (height // 2, width, 3), dtype=np.uint8)
    frame[height // 2 : height // 2 + len(noise)] = noise
    return bytes(cv2.imencode(".jpg", frame, [cv2.IMWRITE_JPEG_QUALITY, 80])[1])


class MjpegServer:
    """One camera. `user` makes it ask for a password: Basic, or Digest as most cameras do."""

    def __init__(
        self, wire: Wire = USUAL, user: str = "", password: str = "", *, digest: bool = False
    ) -> None:
        self.wire = wire
        self.fps = 50.0
        self.size = (320, 240)  # width, height
        self.damage: Damage | None = None
        self.stalled = False
        self.lasts: int | None = None  # photos until it hangs up
        self.number = 0  # of the next photo
        self.port = free_port()
        self.uri = f"http://127.0.0.1:{self.port}/stream.mjpg?key=k3y"
        self._who = (user, password)
        self._digest = digest
        self.tls: ssl.SSLContext | None = None  # from the next start on; `uri` must then say https
        self._server: ThreadingHTTPServer | None = None
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        camera = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                camera.answer(self)

            def log_message(self, format: str, *args: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        if self.tls is not None:
            self._server.socket = self.tls.wrap_socket(self._server.socket, server_side=True)
        self._server.daemon_threads = False  # `stop` waits for them, so nothing is left behind
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._going = True
        self._thread.start()

    def stop(self) -> None:
        self._going = False
        if self._server is not None and self._thread is not None:
            self._server.shutdown()
            self._thread.join()
            self._server.server_close()
            self._server = self._thread = None

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        if self._who[0] and not self._may_watch(request):
            request.send_response(401)
            more = f', nonce="{NONCE}", qop="auth"' if self._digest else ""
            kind = "Digest" if self._digest else "Basic"
            request.send_header("WWW-Authenticate", f'{kind} realm="camera"{more}')
            request.end_headers()
            return
        request.send_response(200)
        request.send_header("Content-Type", self.wire.content_type)
        request.end_headers()
        try:
            self._stream(request)
        except OSError:  # the viewer went away
            return

    def _may_watch(self, request: BaseHTTPRequestHandler) -> bool:
        given = request.headers.get("Authorization", "")
        if not self._digest:
            return given == "Basic " + base64.b64encode(":".join(self._who).encode()).decode()
        field = dict(re.findall(r'(\w+)="?([^",]*)"?', given))
        secret = md5(f"{self._who[0]}:camera:{self._who[1]}")
        asked = md5(f"GET:{request.path}")
        proof = md5(f"{secret}:{NONCE}:{field.get('nc')}:{field.get('cnonce')}:auth:{asked}")
        return given.startswith("Digest ") and field.get("response") == proof

    def _stream(self, request: BaseHTTPRequestHandler) -> None:
        sent = 0
        while self._going and (self.lasts is None or sent < self.lasts):
            if not self.stalled:
                photo = photo_of(self.number, *self.size)
                photo = self.damage(photo, self.number) if self.damage else photo
                request.wfile.write(self.wire.part(photo))
                self.number, sent = self.number + 1, sent + 1
            time.sleep(1 / self.fps)

    def __enter__(self) -> "MjpegServer":
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
