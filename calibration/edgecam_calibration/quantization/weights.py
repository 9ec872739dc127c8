"""How weights become integers: where the steps of each channel lie, and to which of them a weight goes."""

from collections.abc import Callable
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from edgecam_calibration.quantization.moments import Moments
from edgecam_calibration.quantization.rounding import round_to_outputs

SHARES: Final = np.linspace(1.0, 0.6, 17)


class OnGrid(NamedTuple):
    """A convolution's weights as they will be after quantizing, still in float."""

    weight: NDArray[np.float32]  # (o, i, kh, kw): integers times their row's scale
    step: NDArray[np.float32]  # (o,) of the grid
    bias_shift: NDArray[np.float64]  # (o,) to be added, so that the mean answer stays


# (weight (o, i, kh, kw), moments of the input, most = 127 or 63) -> weights on their grid
Rounding = Callable[[NDArray[np.float32], Moments, int], OnGrid]


def nearest(weight: NDArray[np.float32], seen: Moments, most: int) -> OnGrid:
    """Each weight to the nearest step; a channel's largest weight decides its step. The bias stays."""
    rows = _rows(weight, seen)
    step = _step(rows, most)
    return _back(weight, _to_nearest(rows, step, most), step, np.zeros(len(weight)))


def nearest_with_mean(weight: NDArray[np.float32], seen: Moments, most: int) -> OnGrid:
    """As `nearest`, and the mean error of each output goes to its bias."""
    rows = _rows(weight, seen)
    step = _step(rows, most)
    rounded = _to_nearest(rows, step, most)
    return _back(weight, rounded, step, _mean_error(rows, rounded, seen))


def mse_with_mean(weight: NDArray[np.float32], seen: Moments, most: int) -> OnGrid:
    """As `nearest_with_mean`, with the step that makes the squared error of a channel's weights least.

    Steps from the largest weight's down to 0.6 of it are tried.
    """
    rows = _rows(weight, seen)
    widest = _step(rows, most)
    tried = [((rows - _to_nearest(rows, widest * share, most)) ** 2).sum(axis=2) for share in SHARES]
    step = widest * SHARES[np.argmin(tried, axis=0)]
    rounded = _to_nearest(rows, step, most)
    return _back(weight, rounded, step, _mean_error(rows, rounded, seen))


def by_outputs(weight: NDArray[np.float32], seen: Moments, most: int) -> OnGrid:
    """Rounded so that the outputs vary as they did (see `round_to_outputs`), their mean kept by the bias."""
    rows = _rows(weight, seen)
    step = _step(rows, most)
    rounded = round_to_outputs(rows, seen.covariance, step, most=most)
    return _back(weight, rounded, step, _mean_error(rows, rounded, seen))


ROUNDINGS: Final[dict[str, Rounding]] = {
    "nearest": nearest,
    "nearest-mean": nearest_with_mean,
    "mse-mean": mse_with_mean,
    "outputs": by_outputs,
}


def _rows(weight: NDArray[np.float32], seen: Moments) -> NDArray[np.float64]:
    """(o, i, kh, kw) -> (groups, rows of a group, k)."""
    groups, k = seen.total.shape
    return weight.reshape(groups, -1, k).astype(np.float64)


def _step(rows: NDArray[np.float64], most: int) -> NDArray[np.float64]:
    return np.asarray(np.maximum(np.abs(rows).max(axis=2), 1e-12) / most)


def _to_nearest(rows: NDArray[np.float64], step: NDArray[np.float64], most: int) -> NDArray[np.float64]:
    return np.clip(np.rint(rows / step[..., None]), -most, most) * step[..., None]


def _mean_error(
    rows: NDArray[np.float64], rounded: NDArray[np.float64], seen: Moments
) -> NDArray[np.float64]:
    return np.asarray(np.einsum("grk,gk->gr", rows - rounded, seen.mean).reshape(-1))


def _back(
    weight: NDArray[Any],
    rounded: NDArray[np.float64],
    step: NDArray[np.float64],
    bias_shift: NDArray[np.float64],
) -> OnGrid:
    return OnGrid(
        rounded.reshape(weight.shape).astype(np.float32), step.reshape(-1).astype(np.float32), bias_shift
    )
