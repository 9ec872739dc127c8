"""Events: each begins once and ends once, whatever a camera shows, and keeps the frame that shows it best."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from edge.decision_kit import answer, picture
from edgecam.decisions.event import Event
from edgecam.decisions.ids import Ids
from edgecam.decisions.tracker import NOTABLY, UPDATE_S, Tracker
from edgecam.result import UNKNOWN
from edgecam_engines.errors import SettingsError

AT = 1000.0


class Script:
    """A tracker that is shown labels at times, one number a frame."""

    def __init__(self, after: int = 3, end_s: float = 1.0) -> None:
        self.tracker = Tracker("yard", after=after, end_s=end_s, silent={"background"})
        self.number = -1

    def show(self, label: str, now: float, confidence: float = 0.9, own: float | None = None) -> list[Event]:
        self.number += 1
        result = answer([0.1, 0.8, 0.1], self.number, AT + now)._replace(label=label, confidence=confidence)
        return self.tracker.see(picture(self.number), result, confidence if own is None else own, now)

    def play(self, labels: str, step: float = 0.1) -> list[tuple[int, str, str]]:
        """Frame number, phase and label of what was told, for one letter a frame; a dot is unknown."""
        names = {"c": "crack", "h": "hot spot", ".": UNKNOWN, "b": "background"}
        told = []
        for letter in labels:
            events = self.show(names[letter], (self.number + 1) * step)
            told += [(self.number, event.phase, event.label) for event in events]
        return told


def test_an_event_begins_with_the_third_frame_in_a_row_and_dates_from_the_first() -> None:
    script = Script()
    assert script.play("c.cc.cc") == []
    [event] = script.show("crack", 0.7)
    assert (event.phase, event.label, event.camera, event.why) == ("start", "crack", "yard", "")
    assert (event.started_at, event.seen_at, event.frames) == (AT + 0.5, AT + 0.7, 3)


def test_it_ends_after_a_second_without_it_and_lives_through_shorter_flicker() -> None:
    script = Script()
    assert script.play("ccc" + "." * 9 + "c") == [(2, "start", "crack"), (12, "update", "crack")]
    assert script.play("." * 9) == []
    [event] = script.show(UNKNOWN, 2.2)
    assert (event.phase, event.why, event.seen_at, event.frames) == ("end", "gone", AT + 1.2, 4)
    assert script.play("...ccc") == [(28, "start", "crack")], "and may begin again"


def test_one_frame_of_another_label_changes_nothing_and_three_in_a_row_take_over() -> None:
    assert Script().play("cccchhchch") == [(2, "start", "crack")]
    assert Script().play("ccchhh") == [
        (2, "start", "crack"),
        (5, "end", "crack"),
        (5, "start", "hot spot"),
    ]


def test_what_is_ignored_and_what_is_unknown_make_no_event() -> None:
    assert Script(after=1).play("bbbb....bb") == []
    assert Script(after=1).play("c" + "b" * 11) == [(0, "start", "crack"), (10, "end", "crack")]


def test_a_slow_camera_has_events_too() -> None:
    """Between frames that all show it nothing else was seen, however long that takes."""
    script = Script(end_s=1.0)
    assert [phase for _, phase, _ in script.play("ccccc", step=60)] == ["start", "update", "update"]
    assert [phase for _, phase, _ in script.play(".", step=60)] == ["end"]


def test_updates_come_once_a_second_and_when_the_best_frame_is_notably_better() -> None:
    script = Script(after=1)
    script.show("crack", 0.0, 0.6)
    assert script.show("crack", 0.2, 0.65) == []
    [better] = script.show("crack", 0.3, 0.8)
    assert (better.phase, better.confidence, better.best.number) == ("update", 0.8, 2)
    assert script.show("crack", 1.2, 0.8) == []
    [sign_of_life] = script.show("crack", 1.31, 0.7)
    assert (sign_of_life.confidence, sign_of_life.frames) == (0.8, 5)


def test_the_best_frame_is_the_one_that_shows_it_best_by_itself_and_a_copy() -> None:
    """A smoothed answer lags: its highest confidence may belong to a frame that shows something else."""
    script = Script(after=1)
    frame, result = picture(7), answer([0, 1, 0], 7, AT)
    [start] = script.tracker.see(frame, result, 0.95, 0.0)
    frame[:], result.heat[:] = 0, 0  # type: ignore[index]
    script.show("crack", 0.1, confidence=1.0, own=0.1)
    [end] = script.tracker.end("stopped")
    assert end.best is start.best
    assert (end.best.number, end.best.confidence, end.confidence) == (7, 0.95, 1.0)
    assert end.best.frame.tolist() == picture(7).tolist()
    assert end.best.heat is not None
    assert (end.best.heat == 7).all()
    with pytest.raises(ValueError, match="read-only"):
        end.best.frame[0] = 1


def test_a_lost_camera_ends_the_event_and_what_came_in_a_row() -> None:
    script = Script()
    script.play("cccc")
    [end] = script.tracker.end("camera lost")
    assert (end.phase, end.why) == ("end", "camera lost")
    assert script.tracker.end("camera lost") == []
    assert script.play("hh") == []
    assert script.tracker.end("camera lost") == []
    assert script.play("hh") == [], "two before it was lost and two after are no four in a row"


@pytest.mark.parametrize(("after", "end_s"), [(0, 1.0), (1, -1.0), (1, float("nan")), (1, float("inf"))])
def test_settings_without_meaning_are_refused(after: int, end_s: float) -> None:
    with pytest.raises(SettingsError, match="--event-after 1 or more"):
        Tracker("", after=after, end_s=end_s)


class Camera(RuleBasedStateMachine):
    """Any labels at any pace, with losses; checked against the list of all that was shown and told."""

    def __init__(self) -> None:
        super().__init__()
        self.script = Script(after=2, end_s=1.0)
        self.now = 0.0
        self.shown: list[tuple[str, float, float]] = []  # label, time, confidence of every frame
        self.told: list[Event] = []
        self.lost_at: set[int] = set()  # frames before which the camera was lost

    @rule(
        labels=st.lists(
            st.sampled_from(["crack", "hot spot", "background", UNKNOWN]), min_size=1, max_size=8
        ),
        step=st.sampled_from([0.0, 0.03, 0.3, 0.6, 5.0]),
        confidence=st.floats(0.5, 1),
    )
    def show(self, labels: list[str], step: float, confidence: float) -> None:
        for label in labels:
            self.now += step
            before = len(self.told)
            self.told += self.script.show(label, self.now, confidence)
            self.shown.append((label, self.now, confidence))
            self.check_new(self.told[before:])

    @rule()
    def lose(self) -> None:
        self.lost_at.add(len(self.shown))
        self.told += self.script.tracker.end("camera lost")

    @precondition(lambda self: self.told)
    @invariant()
    def lives_are_whole(self) -> None:
        lives: dict[str, list[Event]] = {}
        for event in self.told:
            lives.setdefault(event.id, []).append(event)
        assert [*lives] == sorted(lives), "names sort by time"
        for number, life in enumerate(lives.values()):
            phases = [event.phase for event in life]
            over = phases[-1] == "end"
            assert phases == ["start", *["update"] * (len(life) - 1 - over), *["end"] * over]
            assert over or number == len(lives) - 1, "one at a time"
            assert len({(event.label, event.started_at, event.camera) for event in life}) == 1
            for earlier, later in pairwise(life):
                assert later.frames > earlier.frames or later.phase == "end"
                assert later.best.confidence >= earlier.best.confidence

    def check_new(self, events: list[Event]) -> None:
        """What was told with the last frame."""
        assert [event.phase for event in events] in ([], ["start"], ["update"], ["end"], ["end", "start"])
        for event in events:
            first = int(next(n for n, (_, at, _) in enumerate(self.shown) if AT + at >= event.started_at))
            frames = [n for n in range(first, len(self.shown)) if self.shown[n][0] == event.label]
            if event.phase == "start":
                row = [label for label, _, _ in self.shown[-2:]]
                assert row == [event.label] * 2
                assert len(self.shown) - 1 not in self.lost_at
            if event.phase == "end":
                assert self.shown[-1][0] != event.label
                took_over = len(events) == 2
                assert took_over or AT + self.now - event.seen_at >= 1.0 - 1e-9
            assert event.label not in (UNKNOWN, "background")
            # Frames at the same moment cannot be told apart by their times.
            assert event.frames <= len(frames)
            assert event.best.confidence <= max(self.shown[n][2] for n in frames)
            assert (event.best.frame == event.best.number % 256).all()

    def teardown(self) -> None:
        self.told += self.script.tracker.end("stopped")
        starts = [event.id for event in self.told if event.phase == "start"]
        ends = [event.id for event in self.told if event.phase == "end"]
        assert starts == ends
        assert len(set(starts)) == len(starts)
        assert self.script.tracker.end("stopped") == []


TestAnyCamera = Camera.TestCase


def test_updates_are_as_far_apart_as_promised() -> None:
    script, rng = Script(after=1), np.random.default_rng(0)
    told, now = [], 0.0
    for confidence in rng.uniform(0.5, 1, 500).tolist():
        now += 0.033
        told += [(now, event) for event in script.show("crack", now, confidence)]
    assert len(told) > 10
    for (then, earlier), (later, event) in pairwise(told):
        assert later - then >= UPDATE_S or event.best.confidence - earlier.best.confidence >= NOTABLY


# ---- names


def test_a_name_is_a_ulid() -> None:
    """The specification's own example of a moment, and all of the randomness."""
    assert Ids(lambda bits: 0).new(1469918176.385) == "01ARYZ6S41" + "0" * 16
    assert Ids(lambda bits: 2**bits - 1).new(1469918176.385) == "01ARYZ6S41" + "Z" * 16


def test_names_sort_by_time_also_within_a_millisecond_and_when_the_clock_is_set_back() -> None:
    ids = Ids()
    names = [ids.new(at) for at in (5.0, 5.0, 5.0001, 6.0, 2.0, 6.0, 7.0, -1.0)]
    assert names == sorted(set(names))


def test_names_of_two_cameras_at_one_moment_differ() -> None:
    assert len({Ids().new(1.7e9) for _ in range(1000)}) == 1000
