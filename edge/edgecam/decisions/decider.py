"""What one camera's answers come to: smoothed, held against thresholds, and made into events and alarms."""

import secrets
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from edgecam.decisions.alarms import RateAlarm
from edgecam.decisions.event import Alarm, Event
from edgecam.decisions.flow import Flow
from edgecam.decisions.rules import parse_rule
from edgecam.decisions.smooth import Plain, open_smoother
from edgecam.decisions.thresholds import Hysteresis, levels_of
from edgecam.decisions.tracker import Tracker
from edgecam.decisions.typed import known_class
from edgecam.result import TOP, UNKNOWN, Result
from edgecam_engines.engine import Frame
from edgecam_engines.errors import SettingsError
from edgecam_engines.head import Ranked


class Decided(NamedTuple):
    """What to show for one frame, and what to tell because of it."""

    result: Result
    events: list[Event]
    alarms: list[Alarm]


class Decider:
    """One camera, one class head; from one thread. Pure: every time comes from the frames."""

    def __init__(
        self,
        classes: Sequence[str],
        *,
        camera: str = "",
        threshold: float = 0.5,
        thresholds: Mapping[str, str] | None = None,
        smooth: str = "none",
        event_after: int = 3,
        event_end_s: float = 1.0,
        ignore: Collection[str] = (),
        alarms: Sequence[str] = (),
        randbits: Callable[[int], int] = secrets.randbits,
    ) -> None:
        """The options of `edgecam run` by their names. Raises SettingsError."""
        self._classes = tuple(classes)
        levels = levels_of(threshold, thresholds or {}, self._classes)
        self.lowest = min(level.off for level in levels)  # no class is ever named below; maps are not needed
        self._smoother = open_smoother(smooth)
        self._hysteresis = Hysteresis(levels)
        # Whether an answer may differ from what its frame alone would say.
        self._remembers = not isinstance(self._smoother, Plain) or any(a.off < a.on for a in levels)
        silent = {known_class(name, self._classes, "--ignore") for name in ignore}
        self._tracker = Tracker(
            camera, after=event_after, end_s=event_end_s, silent=silent, randbits=randbits
        )
        self._alarms = [RateAlarm(parse_rule(text, self._classes), camera) for text in alarms]
        for alarm in self._alarms:
            if alarm.rule.label in silent:
                raise SettingsError(
                    f"--alarm {alarm.rule.text!r} counts events of a class that --ignore leaves out.\n"
                    f"Give only one of the two for {alarm.rule.label!r}."
                )
        self._flow = Flow()

    def decide(self, frame: Frame, result: Result) -> Decided:
        """One answered frame, nothing drawn on it yet; frames in the order in which they were captured.

        The box and the map stay only where they belong to the class that is shown.
        """
        probabilities = result.probabilities
        if probabilities is None or probabilities.shape != (len(self._classes),):
            raise ValueError(f"A result must bring the probabilities of all {len(self._classes)} classes.")
        now = self._flow.reach(result.steady_at)
        shown, named = self._shown(result, probabilities)
        own = 0.0 if named is None else float(probabilities[named])
        events = self._tracker.see(frame, shown, own, now)
        return Decided(shown, events, self._rates(events, now, result.captured_at))

    def inherit(self, before: "Decider") -> None:
        """Go on with the counts of the same camera's decider before, for rules that stayed the same.

        So new settings neither forget the hours of a long window nor leave an alarm without its end.
        """
        counts = {alarm.rule: alarm for alarm in before._alarms}
        self._alarms = [counts.get(alarm.rule, alarm) for alarm in self._alarms]
        self._flow = before._flow

    def lost(self) -> list[Event]:
        """The camera went away, or stalled: what was seen is over, and what comes next is another scene."""
        return self._over("camera lost")

    def close(self) -> list[Event]:
        """The loop ends."""
        return self._over("stopped")

    def _over(self, why: str) -> list[Event]:
        self._smoother.forget()
        self._hysteresis.forget()
        return self._tracker.end(why)

    def _shown(self, result: Result, probabilities: NDArray[np.float32]) -> tuple[Result, int | None]:
        """The result as decided, and the class that it names."""
        smoothed = self._smoother.add(probabilities, result.frame)
        # What fits no class is unknown at once: frames before it showed something else.
        named = None if result.rejected else self._hysteresis.name(*smoothed)
        order = np.argsort(-smoothed.probabilities, kind="stable")[:TOP]
        top = tuple(Ranked(int(k), self._classes[k], float(smoothed.probabilities[k])) for k in order)
        # A map is of the frame's own best class.
        fits = named is not None and bool(result.top) and result.top[0].class_index == named
        shown = result._replace(
            label=UNKNOWN if named is None else self._classes[named],
            confidence=top[0].confidence,
            box=result.box if fits else None,
            heat=result.heat if fits else None,
            top=top,
        )
        if self._remembers:
            alone = None if result.rejected else self._hysteresis.alone(probabilities)
            shown = shown._replace(
                frame_label=UNKNOWN if alone is None else self._classes[alone],
                frame_confidence=float(probabilities.max()),
            )
        return shown, named

    def _rates(self, events: Sequence[Event], now: float, at: float) -> list[Alarm]:
        begun = [event.label for event in events if event.phase == "start"]
        for alarm in self._alarms:
            for _ in range(begun.count(alarm.rule.label)):
                alarm.add(now)
        looked = (alarm.look(now, at) for alarm in self._alarms)
        return [alarm for alarm in looked if alarm is not None]
