"""What kinds of hardware want of their Q/DQ pairs."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final


@dataclass(frozen=True)
class Profile:
    """How one kind of hardware wants its Q/DQ pairs."""

    name: str
    signed: bool  # activations S8 and symmetric, or U8 with a zero point
    reduce_range: bool  # weights in 7 bits
    quantize_bias: bool

    @property
    def most(self) -> int:
        """The largest integer that a weight may become."""
        return 64 if self.reduce_range else 127


TENSORRT: Final = Profile("int8-tensorrt", signed=True, reduce_range=False, quantize_bias=False)


def cpu_profile(cpuinfo: Path = Path("/proc/cpuinfo")) -> Profile:
    """For this processor: weights lose a bit on x86 without VNNI, where full range would saturate."""
    text = cpuinfo.read_text(errors="replace") if cpuinfo.exists() else ""
    is_x86 = "sse2" in text  # every x86-64 has it, whoever made it
    return Profile("int8-cpu", signed=False, reduce_range=is_x86 and "vnni" not in text, quantize_bias=True)
