"""What is installed and plugged in here: facts alone. What they mean is `doctor`'s business.

A library that cannot be imported is a fact too: the field then holds the reason in words.
"""

import os
import platform
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from importlib import import_module, metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final, TypeVar

from edgecam.board import Board, Command, read_board, run_command
from edgecam.telemetry.state import State, read_state

OPENCV_PACKAGES: Final = (
    "opencv-python",
    "opencv-python-headless",
    "opencv-contrib-python",
    "opencv-contrib-python-headless",
)
ONNXRUNTIME_PACKAGES: Final = ("onnxruntime", "onnxruntime-gpu")
TENSORRT_PACKAGES: Final = ("tensorrt", "tensorrt-cu12", "tensorrt-cu13")

Fact = TypeVar("Fact")


@dataclass(frozen=True)
class OpenCV:
    version: str
    path: str
    gstreamer: bool
    gui: str  # "QT5", "GTK3"; "" when it was built without windows
    packages: tuple[str, ...]  # from pip; a system's OpenCV has none


@dataclass(frozen=True)
class OnnxRuntime:
    version: str
    providers: tuple[str, ...]
    packages: tuple[str, ...]


@dataclass(frozen=True)
class Camera:
    path: str
    name: str  # as the driver calls it; "" when it does not tell
    usable: bool  # may this user read and write it
    group: str  # that may; "" when unknown


@dataclass(frozen=True)
class Inventory:
    """One machine. A string in place of a record is the reason why there is none."""

    python: tuple[int, int, int]
    opencv: OpenCV | str
    onnxruntime: OnnxRuntime | str
    cuda: str  # the GPU in words; "" without one
    no_cuda: str  # why there is none; "" with one
    tensorrt: str | None  # its version, "unknown" when it cannot be told safely; None when not installed
    board: Board | None
    cameras: tuple[Camera, ...]
    display: bool  # does the session name one
    torch: str | None  # version; None when not installed
    state: State = field(default_factory=State)


def take_inventory(root: Path = Path("/"), run: Command = run_command) -> Inventory:
    """Look at everything. Never raises for what is missing or broken."""
    major, minor, patch = (int(re.sub(r"\D.*", "", part)) for part in platform.python_version_tuple())
    cuda, no_cuda = _cuda()
    return Inventory(
        python=(major, minor, patch),
        opencv=_or_reason(_opencv),
        onnxruntime=_or_reason(_onnxruntime),
        cuda=cuda,
        no_cuda=no_cuda,
        tensorrt=_tensorrt(importable=bool(cuda)),
        board=read_board(root, run),
        cameras=find_cameras(root),
        display=bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")),
        torch=installed_version("torch") if find_spec("torch") else None,
        state=read_state(root),
    )


def find_cameras(root: Path, may_use: Callable[[Path], bool] | None = None) -> tuple[Camera, ...]:
    """Every /dev/videoN under `root`, by number."""
    allowed = may_use or (lambda path: os.access(path, os.R_OK | os.W_OK))
    found = [path for path in (root / "dev").glob("video*") if path.name[5:].isdecimal()]
    return tuple(
        Camera(
            path=f"/dev/{path.name}",
            name=_line(root / "sys/class/video4linux" / path.name / "name"),
            usable=allowed(path),
            group=_group(path),
        )
        for path in sorted(found, key=lambda path: int(path.name[5:]))
    )


def installed(packages: Sequence[str]) -> tuple[str, ...]:
    """Which of these distributions pip knows here."""
    return tuple(name for name in packages if installed_version(name))


def installed_version(package: str) -> str | None:
    """A distribution's version, read without importing it."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def gui_of(build: str) -> str:
    """The window toolkit in OpenCV's build information; "" for none."""
    found = re.search(r"^\s*GUI:[ \t]*(\S.*?)\s*$", build, re.MULTILINE)
    if found:
        return "" if found[1] == "NONE" else found[1]
    # Older builds leave the heading empty and list every toolkit below it.
    listed = re.search(r"^\s*(QT|GTK\+):\s*YES", build, re.MULTILINE)
    return listed[1] if listed else ""


def has_gstreamer(build: str) -> bool:
    """Whether OpenCV's build information says that GStreamer is in."""
    return re.search(r"^\s*GStreamer:\s*YES", build, re.MULTILINE) is not None


def _opencv() -> OpenCV:
    cv2: Any = import_module("cv2")
    build = cv2.getBuildInformation()
    return OpenCV(
        version=cv2.__version__,
        path=str(Path(cv2.__file__).parent),
        gstreamer=has_gstreamer(build),
        gui=gui_of(build),
        packages=installed(OPENCV_PACKAGES),
    )


def _onnxruntime() -> OnnxRuntime:
    ort: Any = import_module("onnxruntime")
    return OnnxRuntime(ort.__version__, tuple(ort.get_available_providers()), installed(ONNXRUNTIME_PACKAGES))


def _cuda() -> tuple[str, str]:
    from edgecam_engines.cuda.find import probe

    device, reason = probe()
    if device is None:
        return "", reason
    sm = device.compute_capability
    return f"{device.name}, compute capability {sm}, driver for CUDA {device.driver} ({device.binding})", ""


def _tensorrt(*, importable: bool) -> str | None:
    """TensorRT's version. Its libraries crash without a GPU, so without one it is not imported."""
    if find_spec("tensorrt") is None:
        return None
    if importable:
        try:
            return str(import_module("tensorrt").__version__)
        except Exception as error:  # a library that it links to may be missing: say which
            return f"broken ({error})"
    return next((version for name in TENSORRT_PACKAGES if (version := installed_version(name))), "unknown")


def _or_reason(look: Callable[[], Fact]) -> Fact | str:
    try:
        return look()
    except Exception as error:  # a broken library may raise anything at import; all of it is a finding
        return f"{type(error).__name__}: {error}"


def _line(path: Path) -> str:
    try:
        return path.read_text(errors="replace").strip()
    except OSError:
        return ""


def _group(path: Path) -> str:
    try:
        return path.group()
    except (KeyError, OSError):
        return ""
