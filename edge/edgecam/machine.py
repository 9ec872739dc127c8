"""What machine this is: without it, a measured time means nothing."""

import os
import platform
from importlib import import_module
from pathlib import Path
from typing import Final

from edgecam.board import Command, read_board, run_command
from edgecam_engines.processor import cpu_model

LIBRARIES: Final = {"numpy": "numpy", "opencv": "cv2", "onnxruntime": "onnxruntime"}
_GOVERNOR: Final = Path("sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")


def describe_machine(root: Path = Path("/"), run: Command = run_command) -> dict[str, str | int | None]:
    """Processor, cores, versions, governor, board and power mode. None where it cannot be told."""
    board = read_board(root, run)
    return {
        "cpu": cpu_model(root),
        "machine": platform.machine(),
        "cores": len(os.sched_getaffinity(0)),
        "governor": _read(root / _GOVERNOR),
        "board": board.model if board else None,
        "l4t": board.l4t if board else None,
        "power_mode": board.power_mode if board else None,
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


def _read(path: Path) -> str | None:
    try:
        return path.read_text(errors="replace").strip()
    except OSError:
        return None
