"""What machine this is: without it, a measured time means nothing."""

import os
import platform
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Final

from edgecam.board import Command, read_board, run_command

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


def cpu_model(root: Path = Path("/")) -> str | None:
    """The processor's name; on Arm, where the kernel gives none, the parts' numbers."""
    fields: dict[str, set[str]] = {}
    for line in (_read(root / "proc/cpuinfo") or "").splitlines():
        key, _, value = line.partition(":")
        fields.setdefault(key.strip(), set()).add(value.strip())
    if named := fields.get("model name"):
        return _joined(named)
    parts = fields.get("CPU part")
    return (
        f"Arm implementer {_joined(fields.get('CPU implementer', ()))} part {_joined(parts)}"
        if parts
        else None
    )


def version_of(module: str) -> str | None:
    """A library's version as it says itself; None when it is not here.

    Not from the package's metadata: JetPack's OpenCV has none.
    """
    try:
        return str(import_module(module).__version__)
    except (ImportError, AttributeError):
        return None


def _joined(words: Sequence[str] | set[str]) -> str:
    return ", ".join(sorted(words))


def _read(path: Path) -> str | None:
    try:
        return path.read_text(errors="replace").strip()
    except OSError:
        return None
