"""When queries arrive, whatever the server does: what makes a loop an open one."""

import numpy as np

from edgecam.bench.timing import Floats


def poisson(rate: float, n: int, rng: np.random.Generator) -> Floats:
    """`n` arrivals of a Poisson process of `rate` a second, (n,) seconds from the start, ascending.

    The scheduled arrivals of MLPerf's Server scenario.
    """
    return np.cumsum(rng.exponential(1 / rate, size=n))


def steady(rate: float, n: int) -> Floats:
    """`n` arrivals at a camera's even pace, (n,) seconds, the first at 0."""
    return np.arange(n, dtype=np.float64) / rate
