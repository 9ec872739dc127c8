"""Rounding weights so that what the convolution answers changes least, not the weights themselves."""

import numpy as np
from numpy.typing import NDArray

BLOCK = 64


def round_to_outputs(
    weight: NDArray[np.float64],
    covariance: NDArray[np.float64],
    scale: NDArray[np.float64],
    *,
    most: int,
    damp: float = 0.01,
) -> NDArray[np.float64]:
    """Weights on a grid, with E[((w - rounded) x)^2] kept small over inputs x of a given covariance.

    weight (g, rows, k), covariance (g, k, k), scale (g, rows) the grid's step -> (g, rows, k), integers in
    [-most, most] times the scale. One input after another is rounded, the most varying first, and what
    that did to the output is made good by the inputs that are left. Pixels next to each other vary
    together, so most of a filter's rounding error can be made good by its neighbours; rounding to the
    nearest lets it add up, and an edge filter whose weights should sum to nothing answers to brightness.
    Source: GPTQ, arXiv:2210.17323; the variance of the input takes the place of its second moment, since
    the mean's share goes to the bias.
    """
    groups, rows, k = weight.shape
    order = np.argsort(-np.einsum("gkk->gk", covariance), axis=1)  # (g, k)
    group = np.arange(groups)[:, None]
    ordered = covariance[group[:, :, None], order[:, :, None], order[:, None, :]]
    variance = np.einsum("gkk->g", ordered) / k
    upper = _factor(ordered, damp * np.abs(variance) + 1e-12)
    left = np.take_along_axis(weight, order[:, None, :], axis=2).astype(np.float64)
    rounded = np.empty_like(left)
    for start in range(0, k, BLOCK):
        stop = min(start + BLOCK, k)
        errors = np.empty((groups, rows, stop - start))
        for j in range(start, stop):
            value = np.clip(np.rint(left[..., j] / scale), -most, most) * scale
            rounded[..., j] = value
            error = (left[..., j] - value) / upper[:, j, j, None]
            errors[..., j - start] = error
            left[..., j + 1 : stop] -= error[..., None] * upper[:, None, j, j + 1 : stop]
        left[..., stop:] -= errors @ upper[:, start:stop, stop:]
    back = np.argsort(order, axis=1)
    return np.take_along_axis(rounded, back[:, None, :], axis=2)


def _factor(covariance: NDArray[np.float64], damp: NDArray[np.float64]) -> NDArray[np.float64]:
    """The upper Cholesky factor of the inverse of covariance + damp * I; (g, k, k), (g,) -> (g, k, k).

    Where an input hardly varies beside its mean, what rounding leaves of its covariance may have eigenvalues
    below -damp. No variance is negative, so such are then set to 0.
    """
    try:
        damped = covariance + np.eye(covariance.shape[1]) * damp[:, None, None]
        lower: NDArray[np.float64] = np.linalg.cholesky(np.linalg.inv(damped))
    except np.linalg.LinAlgError:
        values, vectors = np.linalg.eigh(covariance)
        values = np.maximum(values, 0) + np.maximum(damp, values[:, -1] * 1e-9)[:, None]
        inverse = (vectors / values[:, None, :]) @ vectors.transpose(0, 2, 1)
        lower = np.linalg.cholesky((inverse + inverse.transpose(0, 2, 1)) / 2)
    upper: NDArray[np.float64] = lower.transpose(0, 2, 1)
    return upper
