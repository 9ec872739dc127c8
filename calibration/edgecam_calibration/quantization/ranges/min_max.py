"""Everything that was seen."""

from edgecam_calibration.quantization.histogram import Histogram
from edgecam_calibration.quantization.ranges.bounds import around_zero


def min_max(histogram: Histogram, symmetric: bool) -> tuple[float, float]:
    """From the smallest to the largest value. One outlier makes every step coarse."""
    return around_zero(float(histogram.edges[0]), float(histogram.edges[-1]), symmetric)
