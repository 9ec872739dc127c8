"""Rate alarms: events that come more often than a Poisson process of the expected rate would bring them.

What p promises. A window of W seconds that slides is looked at again with every event, so the chance of a
false alarm is not the chance P(N >= k) that one window chosen beforehand holds k events. It is bounded
like this. Events of a Poisson process do not know of each other (Mecke's formula): an event finds k - 1 or
more others in the W seconds before it with chance P(N >= k - 1), N ~ Poisson(expected). In a time of W
there are on average `expected` events, so `expected * P(N >= k - 1)` of them find so many, and no more
alarms than that can begin. The alarm fires at the smallest k for which this lies below p. So, as long as
events come independently and no faster than the rule expects, an alarm begins in a time as long as the
window with a chance below p, and on average less than once in W / p.

It promises nothing about events that come in clumps by themselves. Time without a camera counts as time
without events, and a window that has not run for its whole length yet as if it had: both make an alarm
later, never false.
"""

from collections import deque

from edgecam.decisions.event import Alarm
from edgecam.decisions.poisson import fires_at, tail
from edgecam.decisions.rules import Rule


class RateAlarm:
    """Watches one rule for one camera. Over when the count is back at what is expected."""

    def __init__(self, rule: Rule, camera: str) -> None:
        self.rule = rule
        self.needed = fires_at(rule.expected, rule.p)  # events in the window
        self.firing = False
        self._camera = camera
        # Twice of what fires is kept. When more came the count stops there, and is exact again as it falls.
        self._starts: deque[float] = deque(maxlen=2 * self.needed)

    def add(self, now: float) -> None:
        """An event of the rule's class began; `now` never goes back."""
        self._starts.append(now)

    def look(self, now: float, at: float) -> Alarm | None:
        """The alarm if it begins or is over now; `at` is the same moment in seconds since the epoch."""
        while self._starts and self._starts[0] <= now - self.rule.window_s:
            self._starts.popleft()
        count = len(self._starts)
        if count > self.rule.expected if self.firing else count < self.needed:
            return None
        self.firing = not self.firing
        return Alarm(
            rule=self.rule.text,
            camera=self._camera,
            label=self.rule.label,
            at=at,
            events=count,
            window_s=self.rule.window_s,
            expected=self.rule.expected,
            p=tail(count, self.rule.expected),
            firing=self.firing,
        )
