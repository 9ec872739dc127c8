"""How long one picture should take an AGX Orin's GPU: a prediction, never a measurement.

At these sizes the GPU waits for launches and for activations, not for arithmetic:

    time = launch * kernels + traffic * activation bytes / memory bandwidth

and never less than the roofline. `launch` and `traffic` are fitted to ten latencies published for MAXN
(`published.py`); both are taken to follow the GPU's clock in other modes.
"""

from typing import Final, NamedTuple

from edgecam.roofline.cost import Cost
from edgecam.roofline.peaks import BANDWIDTH, BYTES, ORIN, Mode

LAUNCH_S: Final = 5.23e-6  # a kernel
TRAFFIC: Final = 3.15  # times what activations would take at the memory's full bandwidth
WITHIN: Final = 0.25  # of the published latencies that it was not fitted to
ASSUMPTIONS: Final = (
    "AGX Orin 64 GB, clocks held at the mode's highest, one picture at a time, the engine alone; launches "
    "and activations follow the GPU's clock, the memory keeps its bandwidth"
)


class Prediction(NamedTuple):
    """For one mode. Seconds."""

    mode: Mode
    seconds: float
    roofline: float  # no device can be faster

    @property
    def reached(self) -> float:
        """The share of the roofline that is expected to be reached, in (0, 1]."""
        return self.roofline / self.seconds


def roofline(cost: Cost, precision: str, mode: Mode) -> float:
    """Seconds that arithmetic, or traffic where it is more, takes layer by layer at the device's peaks."""
    peak, size = mode.peak(precision), BYTES[precision]
    return sum(
        max(layer.flops / peak, (layer.activations + layer.weights) * size / BANDWIDTH)
        for layer in cost.layers
    )


def predict(cost: Cost, precision: str, mode: Mode) -> Prediction:
    """One picture on the GPU in one mode."""
    slower = ORIN[0].mhz / mode.mhz
    least = roofline(cost, precision, mode)
    bound = LAUNCH_S * cost.kernels + TRAFFIC * traffic(cost, precision)
    return Prediction(mode, max(least, bound * slower), least)


def traffic(cost: Cost, precision: str) -> float:
    """Seconds that the activations would take at the memory's full bandwidth."""
    return cost.activations * BYTES[precision] / BANDWIDTH
