"""Whether two engines look at the same place: the IoU of what their maps mark."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from edgecam_calibration.intervals import bootstrap_mean
from edgecam_engines.cam import mask, mask_iou


class MapAgreement(NamedTuple):
    """IoU of two engines' masks over a set of pictures, each in [0, 1]."""

    mean: float
    ci95: list[float]  # of the mean, percentile bootstrap, [low, high]
    p10: float  # one picture in ten is at or below this one: what the mean hides
    n: int


def cam_ious(
    reference: NDArray[np.float32], candidate: NDArray[np.float32], input_hw: tuple[int, int]
) -> NDArray[np.float64]:
    """IoU of each pair of maps, (n, gh, gw) and (n, gh2, gw2) -> (n,).

    Both are maps of the same class, the one that the reference ranks first. Each is resampled to the
    input, min-max normalised and cut at 0.5. A candidate that is not finite scores 0.
    """
    if len(reference) != len(candidate):
        raise ValueError(f"Maps come in pairs: {len(reference)} of the reference, {len(candidate)} to judge.")
    return np.array(
        [_iou(a, b, input_hw) for a, b in zip(reference, candidate, strict=True)], dtype=np.float64
    )


def summarise(ious: NDArray[np.float64], *, rng: np.random.Generator) -> MapAgreement:
    """Mean with its interval, and the 10th percentile (an order statistic: a value that occurred)."""
    mean = bootstrap_mean(ious, rng=rng)
    p10 = float(np.quantile(ious, 0.1, method="inverted_cdf"))
    return MapAgreement(mean.value, mean.ci95, p10, mean.n)


def _iou(reference: NDArray[np.float32], candidate: NDArray[np.float32], hw: tuple[int, int]) -> float:
    # `mask` makes a map with a NaN empty; against an empty reference that would count as agreement.
    if not np.isfinite(candidate).all():
        return 0.0
    return mask_iou(mask(reference, hw), mask(candidate, hw))
