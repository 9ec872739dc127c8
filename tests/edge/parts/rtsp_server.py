"""A real RTSP server on loopback: GStreamer's own, run by the system's Python, since ours has no bindings.

`with RtspServer() as server:` serves `server.uri`; `stop` and `start` switch it off and on, on the same port.
"""

import shutil
import subprocess
from functools import cache
from types import TracebackType

from edge.parts.ports import free_port, wait_for_port

SYSTEM_PYTHON = "/usr/bin/python3"
IMPORTS = """
import gi
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtspServer
"""
SCRIPT = f"""
import sys
{IMPORTS}
port, launch, user, password = sys.argv[1:]
Gst.init(None)
server = GstRtspServer.RTSPServer(address="127.0.0.1", service=port)
factory = GstRtspServer.RTSPMediaFactory(launch=launch)
if user:
    auth = GstRtspServer.RTSPAuth()
    token = GstRtspServer.RTSPToken()
    token.set_string("media.factory.role", "viewer")
    auth.add_basic(GstRtspServer.RTSPAuth.make_basic(user, password), token)
    server.set_auth(auth)
    rights = GstRtspServer.RTSPPermissions()
    rights.add_permission_for_role("viewer", "media.factory.access", True)
    rights.add_permission_for_role("viewer", "media.factory.construct", True)
    factory.set_permissions(rights)
server.get_mount_points().add_factory("/camera", factory)
server.attach(None)
GLib.MainLoop().run()
"""


def h264(width: int = 320, height: int = 240, fps: int = 15) -> str:
    """A moving test picture, as most cameras code theirs; a key frame every half second."""
    return (
        f"( videotestsrc is-live=true pattern=ball ! video/x-raw,width={width},height={height},"
        f"framerate={fps}/1 ! x264enc tune=zerolatency speed-preset=ultrafast "
        f"key-int-max={max(1, fps // 2)} ! "
        f"rtph264pay name=pay0 pt=96 config-interval=1 )"
    )


@cache
def has_rtsp_server() -> bool:
    """Whether this machine has GStreamer's RTSP server and its Python bindings."""
    if shutil.which(SYSTEM_PYTHON) is None:
        return False
    return subprocess.run([SYSTEM_PYTHON, "-c", IMPORTS], capture_output=True, check=False).returncode == 0


class RtspServer:
    """Serves one stream at `uri`, to whoever asks, or only to `user`."""

    def __init__(self, launch: str | None = None, user: str = "", password: str = "") -> None:
        self.port = free_port()
        self.uri = f"rtsp://127.0.0.1:{self.port}/camera"
        self._words = [launch or h264(), user, password]
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        # The kernel ends it if the test is killed, so no server is left behind.
        tied = ["setpriv", "--pdeathsig", "KILL", "--"] if shutil.which("setpriv") else []
        self._process = subprocess.Popen(
            [*tied, SYSTEM_PYTHON, "-c", SCRIPT, str(self.port), *self._words],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        wait_for_port(self.port)

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def __enter__(self) -> "RtspServer":
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
