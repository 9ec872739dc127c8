"""What the facts about a machine mean for edgecam, each with what to do about it.

One pure function a subject: `Inventory` in, `Finding` out. DIAGNOSES lists them in the order of a report.
"""

from collections.abc import Callable
from dataclasses import asdict
from typing import Any, Final

from edgecam.doctor_finding import Finding, Status
from edgecam.doctor_state import clocks, heat, memory, storage
from edgecam.inventory import Inventory

OLDEST_PYTHON: Final = (3, 10)
OLDEST_TENSORRT: Final = (10, 3)
_PIP_ORT: Final = "pip install onnxruntime"
_JETSON_ORT: Final = (
    "Install the onnxruntime-gpu wheel that NVIDIA publishes for your JetPack, or for the CPU alone:\n"
    "    pip install onnxruntime"
)
_SYSTEM_PACKAGES: Final = (
    "JetPack's packages are seen only from a virtual environment that was made with:\n"
    "    python3 -m venv --system-site-packages .venv"
)


def diagnose(machine: Inventory) -> list[Finding]:
    """Every subject, in the order of the report."""
    return [judge(machine) for judge in DIAGNOSES]


def usable(findings: list[Finding]) -> bool:
    """Whether edgecam can work here at all."""
    return all(finding.status != "problem" for finding in findings)


def document(findings: list[Finding]) -> dict[str, Any]:
    """What `edgecam doctor --json` prints."""
    return {"usable": usable(findings), "findings": [asdict(finding) for finding in findings]}


def python(machine: Inventory) -> Finding:
    version = ".".join(str(part) for part in machine.python)
    if machine.python < OLDEST_PYTHON:
        return Finding(
            "Python",
            "problem",
            f"{version}; edgecam needs 3.10 or later",
            "Install a newer Python. JetPack 5 brings 3.8: use JetPack 6 or later.",
        )
    return Finding("Python", "ok", version)


def opencv(machine: Inventory) -> Finding:
    cv = machine.opencv
    if isinstance(cv, str):
        return Finding("OpenCV", "problem", f"cannot be imported: {cv}", _opencv_remedy(machine, cv))
    windows = f"windows by {cv.gui}" if cv.gui else "no windows"
    found = f"{cv.version} in {cv.path}, {'with' if cv.gstreamer else 'without'} GStreamer, {windows}"
    if len(cv.packages) > 1:
        return Finding(
            "OpenCV",
            "note",
            f"{found}; {len(cv.packages)} packages write over each other: {', '.join(cv.packages)}",
            f"Keep one:\n    pip uninstall {' '.join(cv.packages)}\n    pip install opencv-python",
        )
    if machine.board and cv.packages:
        return Finding(
            "OpenCV",
            "note",
            f"{found}; {cv.packages[0]} from pip hides JetPack's OpenCV and its hardware decoders",
            f"Remove it:\n    pip uninstall {cv.packages[0]}\n    sudo apt install python3-opencv\n"
            f"{_SYSTEM_PACKAGES}",
        )
    if machine.board and not cv.gstreamer:
        return Finding(
            "OpenCV",
            "note",
            f"{found}; CSI cameras and the hardware decoders need GStreamer",
            "Use JetPack's OpenCV: sudo apt install python3-opencv",
        )
    return Finding("OpenCV", "ok", found)


def onnxruntime(machine: Inventory) -> Finding:
    ort = machine.onnxruntime
    remedy = _JETSON_ORT if machine.board else _PIP_ORT
    if isinstance(ort, str):
        status: Status = "note" if _tensorrt_works(machine) else "problem"
        role = "TensorRT works, but " if status == "note" else ""
        return Finding("ONNX Runtime", status, f"{role}it cannot be imported: {ort}", remedy)
    found = f"{ort.version}, providers: {', '.join(ort.providers)}"
    if len(ort.packages) > 1:
        return Finding(
            "ONNX Runtime",
            "note",
            f"{found}; {' and '.join(ort.packages)} are both installed and write over each other",
            "Keep one:\n    pip uninstall onnxruntime onnxruntime-gpu\n    pip install onnxruntime",
        )
    if "CPUExecutionProvider" not in ort.providers:
        return Finding(
            "ONNX Runtime", "problem", f"{found}; it cannot use the CPU", f"Install it again: {remedy}"
        )
    return Finding("ONNX Runtime", "ok", found)


def cuda(machine: Inventory) -> Finding:
    if machine.cuda:
        return Finding("CUDA", "ok", machine.cuda)
    todo = "Nothing, if this machine has no NVIDIA GPU: edgecam then uses the CPU."
    if machine.board:
        todo = "Install the bindings into this environment:\n    pip install 'edgecam[tensorrt]'"
    return Finding("CUDA", "note", machine.no_cuda, todo)


def tensorrt(machine: Inventory) -> Finding:
    version = machine.tensorrt
    if version is None:
        todo = "Nothing without an NVIDIA GPU. With one: pip install 'edgecam[tensorrt]'"
        if machine.board:
            todo = f"Install JetPack's: sudo apt install tensorrt python3-libnvinfer\n{_SYSTEM_PACKAGES}"
        return Finding("TensorRT", "note", "not installed; engines run on ONNX Runtime", todo)
    if version.startswith("broken"):
        return Finding(
            "TensorRT", "note", f"installed, but {version}", "Install it again as JetPack or NVIDIA gives it."
        )
    if not machine.cuda:
        return Finding(
            "TensorRT",
            "note",
            f"installed ({version}), not loaded: without CUDA its libraries crash",
            "See CUDA, above. Until then engines run on ONNX Runtime.",
        )
    if numbers(version) < OLDEST_TENSORRT:
        return Finding(
            "TensorRT",
            "note",
            f"{version}; edgecam's builder is written for 10.3 and later",
            "Update to JetPack 6.1 or later, or use --backend onnxruntime.",
        )
    return Finding("TensorRT", "ok", version)


def jetpack(machine: Inventory) -> Finding:
    board = machine.board
    if board is None:
        return Finding("JetPack", "ok", "not a Jetson")
    if board.l4t is None:
        return Finding(
            "JetPack",
            "note",
            f"{board.model}; its release cannot be read",
            "In a container, add: -v /etc/nv_tegra_release:/etc/nv_tegra_release:ro",
        )
    if board.jetpack is None:
        return Finding(
            "JetPack",
            "note",
            f"{board.model}, L4T {board.l4t}, of which this edgecam does not know the JetPack",
            "Nothing, if the rest of this report is fine.",
        )
    found = f"{board.jetpack} (L4T {board.l4t}) on {board.model}"
    if board.jetpack.startswith("5."):
        return Finding(
            "JetPack",
            "note",
            f"{found}; its Python 3.8 and TensorRT 8.5 are too old for edgecam",
            "Flash JetPack 6.1 or later with NVIDIA's SDK Manager.",
        )
    if board.jetpack.startswith("6.0"):
        return Finding(
            "JetPack",
            "note",
            f"{found}; its TensorRT 8.6 is too old, so engines run on ONNX Runtime",
            "Update to JetPack 6.1 or later for TensorRT 10.3.",
        )
    return Finding("JetPack", "ok", found)


def power(machine: Inventory) -> Finding:
    board = machine.board
    if board is None:
        return Finding("Power mode", "ok", "only a Jetson has them")
    if board.power_mode is None:
        return Finding(
            "Power mode",
            "note",
            "cannot be read: nvpmodel gives no answer",
            "Run this outside the container to see it; times measured in an unknown mode mean little.",
        )
    if not board.power_mode.startswith("MAXN"):
        return Finding(
            "Power mode",
            "note",
            f"{board.power_mode}: this board can be faster, for more power",
            "List its modes, then set one by its ID:\n"
            "    grep 'POWER_MODEL ID' /etc/nvpmodel.conf\n    sudo nvpmodel -m ID",
        )
    return Finding("Power mode", "ok", board.power_mode)


def cameras(machine: Inventory) -> Finding:
    if not machine.cameras:
        return Finding(
            "Cameras",
            "note",
            "no /dev/video* here",
            "Plug a camera in (in a container: --device /dev/video0), or give --camera a file or rtsp://...",
        )
    found = ", ".join(f"{c.path} ({c.name})" if c.name else c.path for c in machine.cameras)
    closed = [camera for camera in machine.cameras if not camera.usable]
    if closed:
        group = closed[0].group or "video"
        return Finding(
            "Cameras",
            "note",
            f"{found}; you may not use {', '.join(camera.path for camera in closed)}",
            f"Join the group {group}, then log out and in again:\n    sudo usermod -aG {group} $USER",
        )
    return Finding("Cameras", "ok", found)


def window(machine: Inventory) -> Finding:
    if not machine.display:
        return Finding(
            "Window", "note", "this session has no display", "Nothing: use --record FILE.mp4 or --json."
        )
    if not isinstance(machine.opencv, str) and not machine.opencv.gui:
        return Finding(
            "Window",
            "note",
            "there is a display, but this OpenCV was built without windows",
            "Use --record FILE.mp4 or --json, or an OpenCV with windows: opencv-python, not -headless.",
        )
    return Finding("Window", "ok", "this session has a display")


def training(machine: Inventory) -> Finding:
    if machine.torch is None:
        return Finding(
            "Training",
            "note",
            "PyTorch is not installed: `edgecam train` does not work here, all else does",
            "Nothing on a camera. Where you train: pip install 'edgecam[train]'",
        )
    return Finding("Training", "ok", f"PyTorch {machine.torch}")


DIAGNOSES: Final[tuple[Callable[[Inventory], Finding], ...]] = (
    python, opencv, onnxruntime, cuda, tensorrt, jetpack, power, clocks, heat, memory, storage, cameras,
    window, training,
)  # fmt: skip


def _tensorrt_works(machine: Inventory) -> bool:
    version = machine.tensorrt
    return bool(machine.cuda and version and numbers(version) >= OLDEST_TENSORRT)


def numbers(version: str) -> tuple[int, ...]:
    """ "10.3.0" -> (10, 3); what is no version at all comes before every version."""
    return tuple(int(part) for part in version.split(".")[:2] if part.isdecimal())


def _opencv_remedy(machine: Inventory, why: str) -> str:
    if machine.board:
        return f"Install JetPack's: sudo apt install python3-opencv\n{_SYSTEM_PACKAGES}"
    if "libGL" in why or ".so" in why:
        return (
            "A library of the desktop is missing. Take the build that needs none:\n"
            "    pip uninstall opencv-python\n    pip install opencv-python-headless"
        )
    return "pip install opencv-python"
