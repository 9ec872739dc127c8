"""The least squared error."""

import numpy as np

from edgecam_calibration.quantization.histogram import Histogram
from edgecam_calibration.quantization.ranges.bounds import around_zero, fake_quantized

SHARES = np.linspace(0.3, 1.0, 71)


def mse(histogram: Histogram, symmetric: bool) -> tuple[float, float]:
    """The share of min-max whose quantized values are nearest to the values, in the mean square.

    A narrower range cuts off more and steps finer. Every share of the whole range from 0.3 to 1 is tried;
    of equals the widest wins, since what was not seen may be larger.
    """
    counts, edges = histogram
    middles = (edges[:-1] + edges[1:]) / 2
    low, high = around_zero(float(edges[0]), float(edges[-1]), symmetric)
    errors = [
        float(counts @ (middles - fake_quantized(middles, low * s, high * s, symmetric)) ** 2) for s in SHARES
    ]
    best = SHARES[len(errors) - 1 - int(np.argmin(errors[::-1]))]
    return low * float(best), high * float(best)
