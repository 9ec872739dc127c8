"""Which processor this is, as far as it decides what an INT8 kernel computes."""

import platform
from collections.abc import Collection
from pathlib import Path
from typing import Final

# ONNX Runtime chooses its integer kernels by these; one of them can be masked in a virtual machine.
_INSTRUCTIONS: Final = frozenset(
    {"avx2", "avx512f", "avx512bw", "avx512_vnni", "avx_vnni", "amx_int8", "asimddp", "i8mm", "sve"}
)


def cpu_model(root: Path = Path("/")) -> str | None:
    """The processor's name; on Arm, where the kernel gives none, the parts' numbers."""
    fields = _fields(root)
    if named := fields.get("model name"):
        return _joined(named)
    parts = fields.get("CPU part")
    return (
        f"Arm implementer {_joined(fields.get('CPU implementer', ()))} part {_joined(parts)}"
        if parts
        else None
    )


def instructions(root: Path = Path("/")) -> list[str]:
    """Those of the processor's instruction sets that INT8 kernels are chosen by, in order."""
    fields = _fields(root)
    said = {word for key in ("flags", "Features") for words in fields.get(key, ()) for word in words.split()}
    return sorted(said & _INSTRUCTIONS)


def describe_cpu(root: Path = Path("/")) -> str:
    """Model and instruction sets in one line: two machines that say the same run the same kernels."""
    return f"{cpu_model(root) or platform.machine()} ({' '.join(instructions(root)) or 'no INT8 extensions'})"


def _fields(root: Path) -> dict[str, set[str]]:
    fields: dict[str, set[str]] = {}
    try:
        text = (root / "proc/cpuinfo").read_text(errors="replace")
    except OSError:
        return fields
    for line in text.splitlines():
        key, _, value = line.partition(":")
        fields.setdefault(key.strip(), set()).add(value.strip())
    return fields


def _joined(words: Collection[str]) -> str:
    return ", ".join(sorted(words))
