"""Ways to choose the range that a tensor's integers span, from its histogram alone."""

from collections.abc import Callable
from typing import Final

from edgecam_calibration.quantization.histogram import Histogram
from edgecam_calibration.quantization.ranges.entropy import entropy
from edgecam_calibration.quantization.ranges.min_max import min_max
from edgecam_calibration.quantization.ranges.mse import mse
from edgecam_calibration.quantization.ranges.percentile import percentile

# (histogram, symmetric) -> (low, high), with low <= 0 <= high and, if symmetric, low == -high
Method = Callable[[Histogram, bool], tuple[float, float]]

METHODS: Final[dict[str, Method]] = {
    "min-max": min_max,
    "percentile": percentile,
    "entropy": entropy,
    "mse": mse,
}

__all__ = ["METHODS", "Method", "entropy", "min_max", "mse", "percentile"]
