"""What machine this is: without it, a measured time means nothing."""

import json
import os
import platform
from importlib import import_module
from pathlib import Path
from typing import Any, Final

from edgecam.board import Command, read_board, run_command
from edgecam.inventory import TENSORRT_PACKAGES, installed_version
from edgecam.telemetry.clocks import all_pinned, as_document, read_clocks
from edgecam.telemetry.thermal import temperatures
from edgecam_engines.processor import cpu_model

LIBRARIES: Final = {"numpy": "numpy", "opencv": "cv2", "onnxruntime": "onnxruntime"}
_GOVERNOR: Final = Path("sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")


def describe_machine(root: Path = Path("/"), run: Command = run_command) -> dict[str, Any]:
    """Processor, cores, versions, clocks, heat, board and power mode. None where it cannot be told."""
    board, clocks = read_board(root, run), read_clocks(root)
    return {
        "cpu": cpu_model(root),
        "machine": platform.machine(),
        "cores": len(os.sched_getaffinity(0)),
        "governor": _read(root / _GOVERNOR),
        "board": board.model if board else None,
        "l4t": board.l4t if board else None,
        "jetpack": board.jetpack if board else None,
        "power_mode": board.power_mode if board else None,
        "clocks": as_document(clocks),
        "clocks_pinned": all_pinned(clocks),  # as `jetson_clocks` does
        "celsius": temperatures(root),
        "cuda": cuda_version(root),
        "tensorrt": tensorrt_version(run),
        "edgecam": installed_version("edgecam"),
        "commit": commit(run),
        "python": platform.python_version(),
        **{name: version_of(module) for name, module in LIBRARIES.items()},
    }


def version_of(module: str) -> str | None:
    """A library's version as it says itself; None when it is not here.

    Not from the package's metadata: JetPack's OpenCV has none.
    """
    try:
        return str(import_module(module).__version__)
    except (ImportError, AttributeError):
        return None


def cuda_version(root: Path = Path("/")) -> str | None:
    """Of the toolkit that JetPack, or the desktop's installer, put there."""
    try:
        told = json.loads((root / "usr/local/cuda/version.json").read_text())
        return str(told["cuda"]["version"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def tensorrt_version(run: Command = run_command) -> str | None:
    """By its package, pip's or Debian's: importing it crashes where there is no GPU."""
    found = next((version for name in TENSORRT_PACKAGES if (version := installed_version(name))), None)
    if found is not None:
        return found
    # "10.3.0.30-1+cuda12.5" -> "10.3.0.30"
    return run(["dpkg-query", "--showformat=${Version}", "--show", "libnvinfer-bin"]).split("-")[0] or None


def commit(run: Command = run_command) -> str | None:
    """The commit that this code is of, with + where files were changed; None for an installed package."""
    here = str(Path(__file__).parent)
    words = run(["git", "-C", here, "describe", "--always", "--abbrev=12", "--dirty=+", "--exclude=*"])
    tracked = run(["git", "-C", here, "ls-files", Path(__file__).name])
    return words.strip() or None if tracked.strip() else None


def _read(path: Path) -> str | None:
    try:
        return path.read_text(errors="replace").strip()
    except OSError:
        return None
