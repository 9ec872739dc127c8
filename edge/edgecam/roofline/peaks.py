"""What an AGX Orin (64 GB) can do at most, by power mode: dense arithmetic, at the mode's highest clocks.

Computed from NVIDIA's numbers of units and clocks; MODE_15W is uncertain. The memory's bandwidth is that of
MAXN: lower modes may clock it down, which is not accounted for.
"""

from typing import Final, NamedTuple

BANDWIDTH: Final = 204.8e9  # bytes a second


class Mode(NamedTuple):
    """One power mode's GPU."""

    name: str
    processors: int  # streaming multiprocessors that are on
    mhz: int

    def peak(self, precision: str) -> float:
        """Operations a second, dense."""
        return _PER_CYCLE[precision] * self.processors * self.mhz * 1e6


# Operations of one multiprocessor in one cycle. 16 at 1.301 GHz: 85 INT8 TOPS, 42.5 FP16 and 5.3 FP32 TFLOPS.
_PER_CYCLE: Final = {"int8": 4096, "fp16": 2048, "fp32": 256}
BYTES: Final = {"int8": 1, "fp16": 2, "fp32": 4}
ORIN: Final = (
    Mode("MAXN", 16, 1301),
    Mode("MODE_50W", 16, 816),
    Mode("MODE_30W", 8, 612),
    Mode("MODE_15W", 6, 408),
)


def mode_named(name: str | None) -> Mode | None:
    """The mode by the name that nvpmodel gives; None for one that is not known."""
    return next((mode for mode in ORIN if mode.name == name), None)
