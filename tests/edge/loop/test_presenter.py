"""The main thread's part: decisions before drawing, listeners told in order, rules that change meanwhile."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from edge.loop_kit import colour_head, make_bundle, make_video
from edgecam import live
from edgecam.decisions.event import Alarm, Best, Event
from edgecam.loop import outputs
from edgecam.loop.answering import Seen
from edgecam.loop.lane import Lane
from edgecam.loop.presenter import Presenter
from edgecam.loop.rules import Rules
from edgecam.result import Result
from edgecam.settings import RunSettings
from edgecam.sinks.sink import Finished
from edgecam.sources.health import Health
from edgecam.sources.source import Shot
from edgecam.status import CameraStatus
from edgecam_engines.engine import Frame
from edgecam_engines.head import Head


class Said(NamedTuple):
    """What a decision comes to."""

    result: Result
    events: list[Event]
    alarms: list[Alarm]


class Deciding:
    """Renames every answer and says what happened to it."""

    lowest = 0.0

    def __init__(self, name: str) -> None:
        self._name = name
        self.saw: list[Frame] = []

    def decide(self, frame: Frame, result: Result, /) -> Said:
        self.saw.append(frame.copy())
        return Said(result._replace(label=self._name), [event(self._name, "update")], [])

    def lost(self) -> list[Event]:
        return [event(self._name, "end", "camera lost")]

    def close(self) -> list[Event]:
        return [event(self._name, "end", "stopped")]


def event(label: str, phase: str, why: str = "") -> Event:
    best = Best(np.zeros((1, 1, 3), np.uint8), 0, 0.0, 1.0, None, None)
    return Event("1", "cam", label, phase, 0.0, 0.0, 1, 1.0, best, why)  # type: ignore[arg-type]


class Hearing:
    """A sink and listener that notes all it is told."""

    pictures = True

    def __init__(self, gone_after: int = 10**9) -> None:
        self.heard: list[str] = []
        self.frames: list[Frame] = []
        self._gone_after = gone_after

    def write(self, frame: Frame, result: Result) -> None:
        self.frames.append(frame.copy())
        self._note(f"result {result.label}")

    def event(self, event: Event, /) -> None:
        self._note(f"{event.phase} {event.label} {event.why}".strip())

    def alarm(self, alarm: Alarm, /) -> None:
        self._note("alarm")

    def status(self, status: CameraStatus, /) -> None:
        self._note(f"{status.state} {status.captured}={status.processed}+{status.skipped}")

    def close(self) -> None:
        pass

    def _note(self, words: str) -> None:
        if len(self.heard) >= self._gone_after:
            raise Finished
        self.heard.append(words)


class Still:
    """A reader that has nothing to give but its state."""

    name, live, fps = "cam", True, 30.0

    def __init__(self) -> None:
        self.now = Health("live", 5.0, "", captured=9, skipped=4)
        self.changed: list[Health] = []

    def take(self, timeout: float) -> Shot | None:
        return None

    def health(self) -> Health:
        return self.now

    def changes(self) -> list[Health]:
        changes, self.changed = self.changed, []
        return changes

    def stop(self) -> None:
        pass


def rules(decider: Deciding | None) -> Rules:
    return Rules(RunSettings(Path("b")), colour_head(), {} if decider is None else {"cam": decider})


def answer() -> Result:
    return Result(0, 0.0, 1.0, 0, "guess", 0.9, None, (), None, "cam")


@pytest.fixture
def lane() -> Lane:
    return Lane("cam", Still())


def presenter(
    lane: Lane, first: Rules, *hearing: Hearing, drawn: bool = False, now: Callable[[], float] = lambda: 0.0
) -> Presenter:
    return Presenter([lane], first, hearing, hearing, drawn=drawn, now=now)


def test_a_decision_is_made_on_the_frame_as_it_was_captured_and_shown_to_all(lane: Lane) -> None:
    decider, hearing = Deciding("decided"), Hearing()
    shown = presenter(lane, rules(decider), hearing, drawn=True)
    frame = np.full((64, 64, 3), 9, np.uint8)
    shown.present(Seen(lane, frame, answer(), rules(decider)))
    assert hearing.heard[-1] == "result decided"
    assert (decider.saw[0] == 9).all()
    assert not (hearing.frames[0] == 9).all(), "drawn on"


def test_without_a_decider_an_answer_passes_as_it_is(lane: Lane) -> None:
    hearing = Hearing()
    none = rules(None)
    presenter(lane, none, hearing).present(Seen(lane, np.zeros((8, 8, 3), np.uint8), answer(), none))
    assert hearing.heard == ["result guess"]
    assert lane.processed == 1


def test_a_frame_is_decided_by_the_rules_that_its_engine_used(lane: Lane) -> None:
    old, new = rules(Deciding("old")), rules(Deciding("new"))
    hearing = Hearing()
    shown = presenter(lane, old, hearing)
    for each in (old, new, new):
        shown.present(Seen(lane, np.zeros((8, 8, 3), np.uint8), answer(), each))
    assert hearing.heard == [
        "update old",
        "result old",
        "end old stopped",
        "update new",
        "result new",
        "update new",
        "result new",
    ]


def test_listeners_are_told_of_every_change_and_of_every_camera_once_a_second(lane: Lane) -> None:
    now = [0.0]
    hearing = Hearing()
    shown = presenter(lane, rules(Deciding("thing")), hearing, now=lambda: now[0])
    reader = lane.reader
    assert isinstance(reader, Still)
    shown.look_after()
    now[0] = 0.5
    reader.changed = [Health("lost", 5.0, "why", lost=1), Health("live", 6.0, "", lost=1)]
    shown.look_after()
    shown.look_after()
    now[0] = 1.0
    shown.look_after()
    assert hearing.heard == [
        "live 9=0+4",
        "end thing camera lost",
        "lost 9=0+4",
        "live 9=0+4",
        "live 9=0+4",
    ]


def test_at_the_end_all_are_told_even_when_one_of_them_is_gone(lane: Lane) -> None:
    gone, there = Hearing(gone_after=0), Hearing()
    lane.processed = 3
    presenter(lane, rules(Deciding("thing")), gone, there).finish()
    assert gone.heard == []
    assert there.heard == ["end thing stopped", "live 9=3+6"], "what was in hand counts as skipped now"


def test_a_new_head_is_used_from_one_frame_to_the_next_and_none_is_dropped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("DISPLAY", raising=False)
    bundle = make_bundle(tmp_path / "colours.edgecam")
    video = make_video(tmp_path / "clip.mp4", frames=60)
    renamed = Head(*(getattr(colour_head(), name) for name in ("weight", "bias")), ("B", "G", "R"))
    made: list[Head] = []
    monkeypatch.setattr(live, "make_deciders", lambda settings, head, *_: made.append(head) or {})

    def keeper(loop: live.Loop) -> Callable[[], object]:
        calls = []

        def between() -> None:
            calls.append(1)
            if len(calls) == 10:
                loop.reload(loop.rules.settings, renamed)
                assert loop.rules.head is renamed

        return between

    hearing = Hearing()
    monkeypatch.setattr(live, "open_sinks", lambda *given: [hearing])
    summary = live.run(RunSettings(bundle, (str(video),)), draw=False, keeper=keeper)
    labels = [words.split(maxsplit=1)[1] for words in hearing.heard if words.startswith("result")]
    assert (summary.frames, len(labels)) == (60, 60)
    assert set(labels[:10]) == {"blue thing"}
    assert labels[20:] == ["G"] * 20 + ["R"] * 20
    assert made[1] is renamed
    assert set(outputs.make_deciders(RunSettings(bundle), renamed, ["cam"])) == {"cam"}


def test_a_reload_that_is_refused_changes_nothing(lane: Lane, monkeypatch: pytest.MonkeyPatch) -> None:
    from edgecam.loop.rules import Holder
    from edgecam_engines.errors import EdgecamError

    def refuse(*given: object) -> None:
        raise EdgecamError("no such class")

    before = rules(None)
    loop = live.Loop(None, [lane], Holder(before), changed=lambda: None)  # type: ignore[arg-type]
    monkeypatch.setattr(live, "make_deciders", refuse)
    with pytest.raises(EdgecamError, match="no such class"):
        loop.reload(RunSettings(Path("b"), every=7), colour_head())
    assert loop.rules is before
    lane.gate.took(0, 0.0)
    assert lane.gate.wants(1)
