"""Rate alarms against simulated Poisson processes: false alarms, promised and found, and how soon they fire.

    python tests/benchmarks/rate_alarm.py

False alarms are counted in a time as long as the window, at exactly the rate that the rule expects; the
promise is p, and the bound is what was computed. `one look` is an alarm that fires as soon as the chance of
its count in a single window, P(N >= k), lies below p: what a sliding window makes of that.
Delays are from the moment at which the rate rises, in expected gaps between events, so 3 of them are an
hour for 3/h. Nothing here is timed.
"""

import argparse
from typing import NamedTuple

import numpy as np
from table import show

from edgecam.decisions.alarms import RateAlarm
from edgecam.decisions.poisson import tail
from edgecam.decisions.rules import Rule

EXPECTED = (1.0, 3.0, 5.0, 10.0, 30.0)  # events in a window
CHANCES = (0.01, 0.001)
RISES = (3.0, 10.0)


class Row(NamedTuple):
    """One rule: units of time are expected gaps."""

    expected: float
    p: float
    needed: int
    bound: float
    false_alarms: float
    error: float  # standard error of that
    one_look: float
    delays: list[tuple[float, float]]  # median and 90th percentile for each of RISES


def rule_of(expected: float, p: float) -> Rule:
    return Rule("defective", "defective", 1.0, expected, p)


def one_look_at(expected: float, p: float) -> int:
    """The smallest k with P(N >= k) < p."""
    count = 1
    while tail(count, expected) >= p:
        count += 1
    return count


def alarms_in(alarm: RateAlarm, arrivals: list[float]) -> int:
    """How often it begins."""
    begun = 0
    for at in arrivals:
        alarm.look(at, at)  # between arrivals the count only falls, so it is over by now if it ever was
        alarm.add(at)
        told = alarm.look(at, at)
        begun += told is not None and told.firing
    return begun


def false_alarms(expected: float, p: float, events: int, rng: np.random.Generator) -> tuple[int, int]:
    """Of the rule, and of one that takes a sliding window for one look; at the same arrivals."""
    arrivals = np.cumsum(rng.exponential(1.0, events)).tolist()
    alarm, naive = RateAlarm(rule_of(expected, p), ""), RateAlarm(rule_of(expected, p), "")
    naive.needed = one_look_at(expected, p)
    return alarms_in(alarm, arrivals), alarms_in(naive, arrivals)


def delay(expected: float, p: float, rise: float, rng: np.random.Generator) -> float:
    """From the rise to the alarm. The window before it is as the rule expects."""
    alarm = RateAlarm(rule_of(expected, p), "")
    at = -expected
    while True:
        at += rng.exponential(1.0 if at < 0 else 1 / rise)
        alarm.add(at)
        alarm.look(at, at)
        if alarm.firing and at >= 0:
            return at


def measure(expected: float, p: float, events: int, trials: int, rng: np.random.Generator) -> Row:
    found, naive = false_alarms(expected, p, events, rng)
    windows = events / expected
    needed = RateAlarm(rule_of(expected, p), "").needed
    delays = []
    for rise in RISES:
        times = [delay(expected, p, rise, rng) for _ in range(trials)]
        delays.append((float(np.median(times)), float(np.quantile(times, 0.9))))
    return Row(
        expected,
        p,
        needed,
        expected * tail(needed - 1, expected),
        found / windows,
        max(found, 1) ** 0.5 / windows,
        naive / windows,
        delays,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--events", type=int, default=1_000_000, help="simulated for false alarms, a rule")
    parser.add_argument("--trials", type=int, default=400, help="simulated rises, a rule")
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    rng = np.random.default_rng(asked.seed)
    rows = [measure(expected, p, asked.events, asked.trials, rng) for p in CHANCES for expected in EXPECTED]
    header = ["expected", "p", "fires at", "bound", "false alarms", "one look"]
    header += [f"delay at {rise:g}x: median, 90 %" for rise in RISES]
    cells = [
        [
            f"{row.expected:g}",
            f"{row.p:g}",
            row.needed,
            f"{row.bound:.1e}",
            f"{row.false_alarms:.1e} ± {row.error:.0e}",
            f"{row.one_look:.1e}",
            *(f"{median:.1f}, {late:.1f}" for median, late in row.delays),
        ]
        for row in rows
    ]
    show("False alarms in a window's time, and delays in expected gaps", header, cells, document(rows, asked))


def document(rows: list[Row], asked: argparse.Namespace) -> dict[str, object]:
    return {
        "benchmark": "rate_alarm",
        "events": asked.events,
        "trials": asked.trials,
        "seed": asked.seed,
        "rises": RISES,
        "rows": [row._asdict() for row in rows],
    }


if __name__ == "__main__":
    main()
