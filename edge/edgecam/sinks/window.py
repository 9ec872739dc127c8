"""A window where there is a display, and no crash where there is none."""

import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from typing import Final

import cv2

from edgecam.result import Result
from edgecam.sinks.sink import Finished
from edgecam_engines.engine import Frame

TITLE: Final = "edgecam"
QUIT_KEYS: Final = frozenset({ord("q"), ord("Q"), 27})  # 27 is Esc
# A display that is named but cannot be used makes Qt end the whole process, so another process tries first.
_TRIAL: Final = "import cv2; cv2.namedWindow('edgecam'); cv2.waitKey(1)"


def display_named(environ: Mapping[str, str] = os.environ) -> bool:
    """Whether the environment names a display at all."""
    return bool(environ.get("DISPLAY") or environ.get("WAYLAND_DISPLAY"))


def has_gui() -> bool:
    """Whether this OpenCV can open windows: its headless builds cannot."""
    try:
        return bool(cv2.currentUIFramework())
    except (AttributeError, cv2.error):  # older builds: the trial in another process decides
        return True


class Window:
    """Shows the newest picture; q, Esc or a window's own button ends the loop.

    The display is tried by another process while the engine opens; until it succeeds, nothing is shown.
    With `titled` each camera has a window of its own.
    """

    pictures = True

    def __init__(self, say: Callable[[str], None], trial: str = _TRIAL, *, titled: bool = False) -> None:
        self._say, self._titled = say, titled
        self._open: set[str] = set()
        self._usable: bool | None = None
        self._trial = subprocess.Popen(
            [sys.executable, "-c", trial],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C is for us, not for it
        )

    def write(self, frame: Frame, result: Result) -> None:
        if self._usable is None:
            self._decide()
        if not self._usable:
            return
        title = f"{TITLE}: {result.camera}" if self._titled else TITLE
        if title not in self._open:
            self._add(title, frame)
        cv2.imshow(title, frame)
        key = cv2.waitKey(1) & 0xFF
        if key in QUIT_KEYS or cv2.getWindowProperty(title, cv2.WND_PROP_VISIBLE) < 1:
            raise Finished

    def close(self) -> None:
        if self._trial.poll() is None:
            self._trial.kill()
        self._trial.wait()
        if self._usable:
            cv2.destroyAllWindows()
            self._usable = False

    def _decide(self) -> None:
        code = self._trial.poll()
        if code is None:
            return
        self._usable = code == 0
        if not self._usable:
            self._say("The display cannot be used, so there is no window. Everything else goes on.")

    def _add(self, title: str, frame: Frame) -> None:
        # The Qt inside OpenCV's wheels complains about fonts that nothing here uses.
        os.environ.setdefault("QT_LOGGING_RULES", "default.warning=false")
        cv2.namedWindow(title, cv2.WINDOW_NORMAL | cv2.WINDOW_KEEPRATIO | cv2.WINDOW_GUI_NORMAL)
        height, width = frame.shape[:2]
        cv2.resizeWindow(title, width, height)
        self._open.add(title)
