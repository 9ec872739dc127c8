"""Server-sent events: what happens, as it happens, and from where a client left off."""

import json
from collections.abc import AsyncIterator, Callable
from typing import Final

from edgecam.web.board import Board
from edgecam.web.facts import Facts, of_result
from edgecam.web.pulse import Pulse, wait
from edgecam.web.timeline import Timeline

BEAT_S: Final = 5.0  # something is said at least this often, so that a dead line is noticed
RETRY_MS: Final = 2000  # after which a browser comes back


class Follower:
    """What one client has been told. It holds positions, not messages, so a slow one costs nothing."""

    def __init__(
        self,
        board: Board,
        timeline: Timeline,
        position: int,
        described: Callable[[], int],
        lessons: Callable[[], int] = lambda: 0,
    ) -> None:
        """`described` counts how often what runs has changed, `lessons` what is taught."""
        self._board, self._timeline, self._position = board, timeline, position
        self._described, self._described_before = described, described()
        self._lessons, self._lessons_before = lessons, lessons()
        self._told: dict[str, int] = {}
        self._summaries: dict[str, int] = {}

    def news(self) -> str:
        """Everything that came since it was last asked, as text of the stream; "" for nothing."""
        return "".join([*self._change(), *self._lesson(), *self._entries(), *self._cameras()])

    def _change(self) -> list[str]:
        before, self._described_before = self._described_before, self._described()
        return [message("about", {})] if self._described_before != before else []

    def _lesson(self) -> list[str]:
        before, self._lessons_before = self._lessons_before, self._lessons()
        return [message("teach", {})] if self._lessons_before != before else []

    def _entries(self) -> list[str]:
        entries = self._timeline.after(self._position)
        lines = []
        if entries and (missed := entries[0].number - self._position - 1):
            lines.append(message("missed", {"missed": missed}))
        for entry in entries:
            lines.append(message(entry.kind, entry.facts, self._timeline.id_of(entry.number)))
            self._position = entry.number
        return lines

    def _cameras(self) -> list[str]:
        lines = []
        for name in self._board.cameras():
            told = self._board.told(name)
            if told is not None and told.number != self._told.get(name):
                self._told[name] = told.number
                lines.append(message("status", self._board.view(name)))
            summary = self._board.summary(name)
            if summary is not None and summary.number != self._summaries.get(name):
                self._summaries[name] = summary.number
                lines.append(message("result", of_result(summary.result, summary.hw)))
        return lines


async def follow(
    follower: Follower, pulse: Pulse, board: Board, ending: Callable[[], bool]
) -> AsyncIterator[str]:
    """The body of /events, until the server ends."""
    yield f"retry: {RETRY_MS}\n\n"
    while not ending():
        beat = pulse.next()
        if news := follower.news():
            yield news
        elif not await wait(beat, BEAT_S):
            yield message("beat", {"stale": board.unhealthy()})


def message(kind: str, facts: Facts, event_id: str | None = None) -> str:
    """One message. JSON escapes line ends, so nothing that a camera is called can end it early."""
    named = f"id: {event_id}\n" if event_id else ""
    return f"{named}event: {kind}\ndata: {json.dumps(facts, allow_nan=False)}\n\n"
