"""All but the rarest values."""

import numpy as np

from edgecam_calibration.quantization.histogram import Histogram
from edgecam_calibration.quantization.ranges.bounds import around_zero


def percentile(histogram: Histogram, symmetric: bool, *, kept: float = 0.9999) -> tuple[float, float]:
    """The range that holds `kept` of the values, the rest cut off evenly at both ends.

    Symmetric: the half-width that holds `kept` of the magnitudes.
    """
    counts, edges = histogram
    if not counts.sum():
        return around_zero(float(edges[0]), float(edges[-1]), symmetric)
    if symmetric:
        middles = abs(edges[:-1] + edges[1:]) / 2
        order = np.argsort(middles)
        share = np.cumsum(counts[order]) / counts.sum()
        last = order[min(int(np.searchsorted(share, kept)), len(order) - 1)]
        most = float(max(abs(edges[last]), abs(edges[last + 1])))
        return around_zero(-most, most, True)
    share = np.cumsum(counts) / counts.sum()
    spare = (1 - kept) / 2
    low = float(edges[int(np.searchsorted(share, spare, side="right"))])
    high = float(edges[min(int(np.searchsorted(share, 1 - spare)), len(counts) - 1) + 1])
    return around_zero(low, high, False)
