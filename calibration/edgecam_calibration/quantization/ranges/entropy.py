"""The least information lost."""

import numpy as np
from numpy.typing import NDArray

from edgecam_calibration.quantization.histogram import Histogram
from edgecam_calibration.quantization.ranges.bounds import around_zero

SHARES = np.linspace(0.3, 1.0, 71)


def entropy(histogram: Histogram, symmetric: bool) -> tuple[float, float]:
    """The share of min-max that keeps the Kullback-Leibler divergence of the counts smallest, in nats.

    P are the counts inside the range with what lies outside added to the outermost bins, Q the counts inside
    spread evenly over the bins that share a quantization step and are not empty. So what is cut off costs
    where P and Q differ at the ends, and coarse steps cost where counts vary within a step. The bin of zero
    is left out: a rectifier fills it with zeros, which are exact in any range.
    Source: S. Migacz, 8-bit inference with TensorRT, GTC 2017.
    """
    edges = histogram.edges
    counts = np.where((edges[:-1] <= 0) & (edges[1:] > 0), 0.0, histogram.counts)
    low, high = around_zero(float(edges[0]), float(edges[-1]), symmetric)
    middles = (edges[:-1] + edges[1:]) / 2
    losses = [_divergence(counts, middles, low * s, high * s, symmetric) for s in SHARES]
    best = SHARES[len(losses) - 1 - int(np.argmin(losses[::-1]))]
    return low * float(best), high * float(best)


def _divergence(
    counts: NDArray[np.float64], middles: NDArray[np.float64], low: float, high: float, symmetric: bool
) -> float:
    inside = (middles >= low) & (middles <= high)
    kept, reference = counts[inside], counts[inside].copy()
    if not kept.sum():
        return float("inf")  # nothing is left but zeros
    reference[0] += counts[middles < low].sum()
    reference[-1] += counts[middles > high].sum()
    step = high / 127 if symmetric else (high - low) / 255
    level = np.rint((middles[inside] - low) / step).astype(np.int64)
    filled = reference > 0
    sums = np.bincount(level, weights=kept)
    sharing = np.maximum(np.bincount(level, weights=filled), 1)
    spread = np.where(filled, (sums / sharing)[level], 0.0)
    p, q = reference / reference.sum(), spread / spread.sum()
    # A bin that holds only what was cut off has no Q; as much as one count in a million keeps it finite.
    q = np.maximum(q, 1e-6 / len(q))
    return float(np.sum(p[filled] * np.log(p[filled] / q[filled])))
