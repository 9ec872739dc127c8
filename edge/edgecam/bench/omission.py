"""What a closed loop hides: the waiting behind a stall, told from the closed loop's own service times.

A loop that calls, waits and calls again counts a stall once, however many frames would have stood in line
behind it (coordinated omission). Replayed at a camera's even pace, the same service times show that line.
"""

from typing import Final, NamedTuple

import numpy as np

from edgecam.bench.percentiles import order_statistic
from edgecam.bench.timing import Floats

LOAD: Final = 0.8  # of the replay: the pace at which the median service fills this share of the time
SUSPECT: Final = 2.0  # times the closed loop's own p99


class Hidden(NamedTuple):
    """The same service times, told two ways. Seconds."""

    closed_p99: float
    open_p99: float  # by replay at an even pace
    interval: float  # of that pace
    stalls: int  # services longer than that interval

    @property
    def suspected(self) -> bool:
        return self.open_p99 > SUSPECT * self.closed_p99

    def in_words(self) -> str:
        return (
            f"coordinated omission suspected: the closed loop's p99 of {self.closed_p99 * 1e3:.2f} ms hides "
            f"waiting; a camera with a frame every {self.interval * 1e3:.2f} ms would see "
            f"{self.open_p99 * 1e3:.2f} ms, since {self.stalls} frames took longer than that and others "
            f"waited behind them"
        )


def replay(service: Floats, scheduled: Floats) -> Floats:
    """Latency (n,) of a queue with these service times and arrivals, (n,) each: Lindley's recursion.

    The end of query i is max(its arrival, the end before it) + its service.
    """
    # With C the running sum of service: end_i = C_i + max over j <= i of (arrival_j - C_{j-1}).
    total = np.cumsum(service)
    return np.asarray(total + np.maximum.accumulate(scheduled - (total - service)) - scheduled)


def hidden(service: Floats) -> Hidden:
    """What the service times (n,) of a closed loop keep silent about."""
    interval = float(np.median(service)) / LOAD
    opened = replay(service, np.arange(len(service), dtype=np.float64) * interval)
    return Hidden(
        order_statistic(service, 99), order_statistic(opened, 99), interval, int((service > interval).sum())
    )
