"""What `--alarm` may say: 'defective > 3/h @ p<0.001'."""

import re
from collections.abc import Sequence
from typing import Final, NamedTuple

from edgecam.decisions.typed import NUMBER, known_class
from edgecam_engines.errors import SettingsError

DEFAULT_P: Final = 0.001
# Events in a window where none is given. By `tests/benchmarks/rate_alarm.py` a rate three times too high is
# found about as soon from 3 to 5, later above; fewer make the late finds later.
DEFAULT_EXPECTED: Final = 5.0
LEAST_P: Final = 1e-12
MOST_EXPECTED: Final = 100_000.0  # in one window, which keeps the time of each
UNITS: Final = {"s": 1.0, "min": 60.0, "h": 3600.0, "day": 86400.0}

_UNIT: Final = rf"({'|'.join(UNITS)})"
_RULE: Final = re.compile(
    rf"(.*\S.*)>\s*{NUMBER}\s*/\s*{_UNIT}(?:\s+in\s+{NUMBER}\s*{_UNIT})?(?:\s*@\s*p\s*<\s*{NUMBER})?"
)


class Rule(NamedTuple):
    """Events of a class come more often than they should."""

    text: str  # as it was written
    label: str
    per_s: float  # the rate that is expected at most
    window_s: float  # events are counted over the last so many seconds
    p: float  # chance of a false alarm in a time as long as the window; see `alarms`

    @property
    def expected(self) -> float:
        """Events in a window."""
        return self.per_s * self.window_s


def parse_rule(text: str, classes: Sequence[str]) -> Rule:
    """As `read_rule`, of a class that the head has. Raises SettingsError."""
    rule = read_rule(text)
    known_class(rule.label, classes, f"--alarm {rule.text!r}")
    return rule


def read_rule(text: str) -> Rule:
    """CLASS > RATE/UNIT [in WINDOW] [@ p<CHANCE], with units s, min, h, day. Raises SettingsError.

    Without `in`, the window is as long as it takes to expect DEFAULT_EXPECTED events; `p` is DEFAULT_P
    unless given.
    """
    text = text.strip()
    found = _RULE.fullmatch(text)
    if found is None:
        raise _sorry(text, "It is not of the form that a rule has")
    label, rate, unit, length, of, chance = found.groups()
    per_s = float(rate) / UNITS[unit]
    p = DEFAULT_P if chance is None else float(chance)
    if not per_s > 0:
        raise _sorry(text, "The rate must be above 0")
    if not LEAST_P <= p < 1:
        raise _sorry(text, f"p must be below 1 and at least {LEAST_P:g}")
    window_s = DEFAULT_EXPECTED / per_s if length is None else float(length) * UNITS[of]
    if not 0 < per_s * window_s <= MOST_EXPECTED:
        raise _sorry(text, f"A window may expect {MOST_EXPECTED:,.0f} events at most, and must have a length")
    return Rule(text, label.strip(), per_s, window_s, p)


def _sorry(text: str, why: str) -> SettingsError:
    return SettingsError(
        f"--alarm {text!r} cannot be meant. {why}.\n"
        f"Write CLASS > RATE/UNIT, with or without a window and a chance: 'defective > 3/h', or "
        f"'defective > 3/h in 30min @ p<0.001'. Units are {', '.join(UNITS)}."
    )
