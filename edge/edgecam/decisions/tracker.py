"""From labels of single frames to events of one camera: begun late, ended late, each exactly once."""

import secrets
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from edgecam.decisions.event import Best, Event, Phase
from edgecam.decisions.ids import Ids
from edgecam.result import UNKNOWN, Result
from edgecam_engines.engine import Frame
from edgecam_engines.errors import SettingsError

UPDATE_S: Final = 1.0  # between updates of an event that is seen
NOTABLY: Final = 0.1  # an update at once when the best frame's confidence rose by so much


@dataclass
class _Run:
    """Frames that show one label: a candidate while they come in a row, or an event."""

    label: str
    started_at: float
    seen_at: float
    started: float  # both once more, on a clock that nobody sets
    seen: float
    frames: int
    confidence: float
    best: Best


@dataclass
class _Open:
    """An event that was told of."""

    id: str
    run: _Run
    told: float  # when, on the clock that never goes back
    told_best: float


class Tracker:
    """At most one event at a time, since a frame has one label. Keeps two frames at most.

    An event begins with the `after`-th frame in a row that shows its label, and another event that is
    open ends before it. It ends when a frame without the label comes `end_s` or more after the last
    frame with it, so it lives through shorter flicker. Between two frames that show it nothing else was
    seen, so it goes on however far apart they are: a slow camera, or a clock that was set. When the
    camera stalls or is lost, tell `end`.
    """

    def __init__(
        self,
        camera: str,
        *,
        after: int,
        end_s: float,
        silent: Collection[str] = (),
        randbits: Callable[[int], int] = secrets.randbits,
    ) -> None:
        """`silent` are labels that make no event; unknown never does."""
        if after < 1 or not 0 <= end_s < float("inf"):
            raise SettingsError(
                f"An event cannot begin after {after} frames and end after {end_s} s.\n"
                f"Give --event-after 1 or more, and --event-end-s 0 or more."
            )
        self._camera, self._after, self._end_s = camera, after, end_s
        self._silent = frozenset({*silent, UNKNOWN})
        self._ids = Ids(randbits)
        self._row: _Run | None = None
        self._open: _Open | None = None

    def see(self, frame: Frame, result: Result, own: float, now: float) -> list[Event]:
        """One more frame, nothing drawn on it, and its decided result.

        `own` is the frame's own confidence in that label, which the best frame is chosen by; `now` is in
        seconds and never goes back.
        """
        label = None if result.label in self._silent else result.label
        opened = self._open
        if opened is not None and label == opened.run.label:
            self._row = None
            _extend(opened.run, frame, result, own, now)
            return self._update(opened, now)
        self._row = _row(self._row, label, frame, result, own, now)
        begins = self._row is not None and self._row.frames >= self._after
        events = []
        if opened is not None and (begins or now - opened.run.seen >= self._end_s):
            events += self.end("gone", keep_row=True)
        if begins:
            events.append(self._start(now))
        return events

    def end(self, why: str, *, keep_row: bool = False) -> list[Event]:
        """The end of the open event, if there is one. Frames in a row count no more, unless `keep_row`."""
        opened, self._open = self._open, None
        if not keep_row:
            self._row = None
        return [] if opened is None else [self._event(opened, "end", why)]

    def _start(self, now: float) -> Event:
        run, self._row = self._row, None
        assert run is not None
        self._open = _Open(self._ids.new(run.started_at), run, now, run.best.confidence)
        return self._event(self._open, "start")

    def _update(self, opened: _Open, now: float) -> list[Event]:
        best = opened.run.best.confidence
        if now - opened.told < UPDATE_S and best - opened.told_best < NOTABLY:
            return []
        opened.told, opened.told_best = now, best
        return [self._event(opened, "update")]

    def _event(self, opened: _Open, phase: Phase, why: str = "") -> Event:
        run = opened.run
        return Event(
            id=opened.id,
            camera=self._camera,
            label=run.label,
            phase=phase,
            started_at=run.started_at,
            seen_at=run.seen_at,
            frames=run.frames,
            confidence=run.confidence,
            best=run.best,
            why=why,
            lasted_s=run.seen - run.started,
        )


def _row(
    row: _Run | None, label: str | None, frame: Frame, result: Result, own: float, now: float
) -> _Run | None:
    """The frames in a row that show `label`, with this one."""
    if label is None:
        return None
    if row is not None and row.label == label:
        _extend(row, frame, result, own, now)
        return row
    at = result.captured_at
    return _Run(label, at, at, now, now, 1, result.confidence, _best(frame, result, own))


def _extend(run: _Run, frame: Frame, result: Result, own: float, now: float) -> None:
    run.seen_at, run.seen, run.frames = result.captured_at, now, run.frames + 1
    run.confidence = max(run.confidence, result.confidence)
    if own > run.best.confidence:
        run.best = _best(frame, result, own)


def _best(frame: Frame, result: Result, own: float) -> Best:
    """Copies, since the loop draws on its frame; whoever is told of the event may read them at leisure."""
    heat = None if result.heat is None else _frozen(result.heat)
    return Best(_frozen(frame), result.frame, result.captured_at, own, result.box, heat)


def _frozen(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    copy: NDArray[np.uint8] = pixels.copy()
    copy.setflags(write=False)
    return copy
