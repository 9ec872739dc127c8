"""What every range has in common: it holds zero, and a symmetric one has it in the middle."""

import numpy as np
from numpy.typing import NDArray


def around_zero(low: float, high: float, symmetric: bool) -> tuple[float, float]:
    """The smallest range that holds low, high and zero. Padding is zero and must be exact."""
    low, high = min(low, 0.0), max(high, 0.0)
    most = max(-low, high)
    return (-most, most) if symmetric else (low, high)


def fake_quantized(
    values: NDArray[np.float64], low: float, high: float, symmetric: bool
) -> NDArray[np.float64]:
    """What is left of values after 8 bits over a range: 255 steps, or 127 on each side of zero."""
    if high <= low:
        return np.zeros_like(values)
    step = high / 127 if symmetric else (high - low) / 255
    first = -127 if symmetric else round(low / step)
    last = 127 if symmetric else first + 255
    return np.clip(np.rint(values / step), first, last) * step
