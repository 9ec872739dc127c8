"""The Decider: what is shown, told and alarmed of one camera, from recognised frames."""

from collections.abc import Iterable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.decision_kit import BOX, CLASSES, answer, picture, sure
from edge.loop_kit import scene
from edgecam.decisions.decider import Decided, Decider
from edgecam.decisions.event import Event
from edgecam.recognise import recognise
from edgecam.result import UNKNOWN, as_json
from edgecam.sources.source import Shot
from edgecam_engines.bundle import open_bundle
from edgecam_engines.errors import SettingsError

AT = 1.7e9


def play(decider: Decider, frames: Iterable[tuple[list[float], float]]) -> list[Decided]:
    """Answers to probabilities at times in seconds, numbered from 0."""
    return [
        decider.decide(picture(number), answer(probabilities, number, AT + at))
        for number, (probabilities, at) in enumerate(frames)
    ]


def phases(decided: list[Decided]) -> list[tuple[int, str, str]]:
    return [(n, event.phase, event.label) for n, one in enumerate(decided) for event in one.events]


def test_without_any_option_an_answer_stays_as_it_was_recognised() -> None:
    result = answer(sure(1), 3, AT)
    decided = Decider(CLASSES).decide(picture(3), result)
    assert decided == (result, [], [])
    assert "frame_label" not in as_json(decided.result)
    unsure = answer([0.4, 0.35, 0.25], 4, AT)
    assert Decider(CLASSES).decide(picture(4), unsure).result == unsure
    assert unsure.label == UNKNOWN


def test_a_smoothed_answer_says_what_the_frame_alone_would_and_shows_no_foreign_map() -> None:
    decider = Decider(CLASSES, smooth="ema:0.4")
    first, second, third = play(decider, [(sure(1), 0), (sure(2), 0.1), (sure(2), 0.2)])
    assert (first.result.label, first.result.frame_label, first.result.box) == ("crack", "crack", BOX)
    result = second.result
    assert (result.label, result.frame_label, result.frame_confidence) == (
        "crack",
        "hot spot",
        pytest.approx(0.9),
    )
    assert result.confidence == pytest.approx(0.6 * 0.9 + 0.4 * 0.05)
    assert (result.box, result.heat) == (None, None), "the map is of the hot spot"
    assert [one.label for one in result.top] == ["crack", "hot spot", "background"]
    assert as_json(result)["frame_label"] == "hot spot"
    assert third.result.label == "hot spot"
    assert third.result.box == BOX


def test_hysteresis_is_over_smoothed_answers_and_says_what_it_hides() -> None:
    decider = Decider(CLASSES, thresholds={"crack": "0.8/0.6"})
    shown = [
        one.result for one in play(decider, [(sure(1, c), n) for n, c in enumerate((0.7, 0.9, 0.7, 0.5))])
    ]
    assert [one.label for one in shown] == [UNKNOWN, "crack", "crack", UNKNOWN]
    assert [one.frame_label for one in shown] == [UNKNOWN, "crack", UNKNOWN, UNKNOWN]
    assert [one.box for one in shown] == [None, BOX, BOX, None]
    assert decider.lowest == 0.5


def test_no_consensus_is_unknown() -> None:
    decided = play(Decider(CLASSES, smooth="consensus:2/3"), [(sure(k), k / 10) for k in (1, 2, 0, 0, 1)])
    assert [one.result.label for one in decided] == [UNKNOWN, UNKNOWN, UNKNOWN, "background", "background"]
    assert [one.result.box for one in decided] == [None, None, None, BOX, None]


def test_an_event_lives_from_its_first_frame_to_the_loss_of_its_camera() -> None:
    decider = Decider(CLASSES, camera="yard", event_after=2)
    decided = play(decider, [(sure(1), n / 10) for n in range(5)])
    assert phases(decided) == [(1, "start", "crack")]
    [end] = decider.lost()
    assert (end.camera, end.why, end.started_at, end.frames) == ("yard", "camera lost", AT, 5)
    assert decider.close() == []
    play(decider, [(sure(1), 5 + n / 10) for n in range(2)])
    assert [event.why for event in decider.close()] == ["stopped"]


def test_after_a_loss_nothing_is_known_of_the_scene_before() -> None:
    decider = Decider(CLASSES, smooth="ema:0.1", thresholds={"hot spot": "0.95/0.1"})
    play(decider, [(sure(2, 0.99), n / 10) for n in range(9)])
    decider.lost()
    [after] = play(decider, [(sure(1), 2)])
    assert (after.result.label, after.result.confidence) == ("crack", pytest.approx(0.9))
    play(decider, [(sure(2, 0.99), 3 + n / 10) for n in range(99)])
    decider.lost()
    [after] = play(decider, [(sure(2, 0.8), 21)])
    assert after.result.label == UNKNOWN, "it must be on again before it may fall so low"


def test_classes_to_ignore_and_unknown_make_no_event() -> None:
    decider = Decider(CLASSES, event_after=1, ignore=["background"])
    assert phases(play(decider, [(sure(0), n) for n in range(9)])) == []
    assert phases(play(decider, [([0.4, 0.3, 0.3], 9 + n) for n in range(9)])) == []
    assert phases(play(decider, [(sure(2), 20)])) == [(0, "start", "hot spot")]


def test_an_alarm_counts_events_of_its_class_and_is_over_as_frames_go_on() -> None:
    decider = Decider(
        CLASSES,
        camera="yard",
        event_after=1,
        event_end_s=0.5,
        ignore=["background"],
        alarms=["crack > 0.02/s in 100s @ p<0.01", "hot spot > 0.02/s in 100s @ p<0.01"],
    )
    # One crack every two seconds, for 16 of them; then nothing.
    decided = play(decider, [(sure(1 if n % 2 == 0 and n < 32 else 0), float(n)) for n in range(200)])
    alarms = [(n, alarm) for n, one in enumerate(decided) for alarm in one.alarms]
    assert [(n, a.firing, a.events) for n, a in alarms] == [(14, True, 8), (126, False, 2)]
    assert {(a.camera, a.label, a.rule) for _, a in alarms} == {
        ("yard", "crack", "crack > 0.02/s in 100s @ p<0.01")
    }
    assert alarms[0][1].at == AT + 14


def test_new_settings_go_on_with_the_counts_of_rules_that_stayed() -> None:
    stays, goes, comes = (
        f"{label} > 2/min in 1min @ p<0.01" for label in ("crack", "hot spot", "background")
    )
    cracks = [(sure(n % 2), float(n)) for n in range(20)]
    before = Decider(CLASSES, event_after=1, event_end_s=0.0, alarms=[stays, goes])
    assert [a.firing for one in play(before, cracks) for a in one.alarms] == [True]
    after = Decider(CLASSES, event_after=2, alarms=[comes, stays])
    after.inherit(before)
    [over] = [a for one in play(after, [(sure(0), 20.0 + n) for n in range(100)]) for a in one.alarms]
    assert (over.rule, over.firing, over.at) == (stays, False, AT + 75), "two cracks are left: at 17 and 19"


@pytest.mark.parametrize("step", [-86400.0, -0.5, 86400.0])
def test_a_clock_that_is_set_ends_no_event_that_is_seen(step: float) -> None:
    decider = Decider(CLASSES, event_after=1, alarms=["crack > 1/h"])
    times = [n / 10 + (step if n >= 10 else 0) for n in range(30)]
    decided = play(decider, [(sure(1), at) for at in times])
    assert [p for _, p, _ in phases(decided) if p != "update"] == ["start"]
    gone = play(decider, [(sure(0, 0.3), times[-1] + 0.1 * n) for n in range(1, 12)])
    [(frame, phase, _)] = phases(gone)
    assert (frame, phase) == (9, "end"), "after a second without it, as ever"
    [end] = gone[9].events
    assert end.frames == 30
    assert end.seen_at == pytest.approx(AT + times[-1])


@pytest.mark.parametrize("step", [-86400.0, 86400.0])
def test_where_frames_have_a_steady_time_a_clock_that_is_set_changes_nothing_that_is_decided(
    step: float,
) -> None:
    """Neither does a flicker end an event, nor does a window forget what lies in it, nor a duration leap."""

    def told(by: float) -> list[tuple[object, ...]]:
        decider = Decider(
            CLASSES, event_after=1, event_end_s=0.5, ignore=["background"], alarms=["crack > 2/min in 1min"]
        )
        found: list[tuple[object, ...]] = []
        for n in range(300):
            at = 0.1 * n
            kind = 1 if n % 10 < 3 or n == 155 else 0  # a crack each second
            result = answer(sure(kind), n, AT + at + (by if n >= 151 else 0))._replace(captured=7.0 + at)
            one = decider.decide(picture(n), result)
            found += [(n, e.phase, e.frames, round(e.lasted_s, 6)) for e in one.events]
            found += [(n, a.firing, a.events) for a in one.alarms]
        return found

    plain = told(0.0)
    assert [item[1] for item in plain if item[1] in (True, False)] == [True]
    assert max(item[3] for item in plain if item[1] == "end") == pytest.approx(1.2), "150 to 162"
    assert told(step) == plain


def test_a_clock_that_is_set_back_makes_no_window_longer() -> None:
    """Events of an hour ago do not stay in a window of a minute."""
    decider = Decider(CLASSES, event_after=1, event_end_s=0.0, alarms=["crack > 2/min in 1min @ p<0.01"])
    burst = [(sure(n % 2), n * 1.0) for n in range(30)]
    after = [(sure(0), n * 1.0 - 3600) for n in range(30, 100)]
    decided = play(decider, burst + after)
    assert [(n, a.firing) for n, one in enumerate(decided) for a in one.alarms] == [(15, True), (86, False)]


@given(
    st.lists(
        st.tuples(
            st.sampled_from([sure(0), sure(1), sure(2), sure(1, 0.6), [0.4, 0.3, 0.3]]),
            st.floats(-100, 100) | st.floats(0, 0.2),
            st.booleans() | st.just(False),
        ),
        max_size=60,
    ),
    st.sampled_from(["none", "ema:0.5", "consensus:2/3"]),
)
def test_whatever_the_clock_does_every_start_has_one_end_and_every_map_its_class(
    steps: list[tuple[list[float], float, bool]], smooth: str
) -> None:
    decider = Decider(
        CLASSES, smooth=smooth, event_after=2, thresholds={"crack": "0.8/0.4"}, alarms=["crack > 1/min"]
    )
    at, told, firing = AT, list[Event](), list[bool]()
    for number, (probabilities, step, lost) in enumerate(steps):
        at += step
        if lost:
            told += decider.lost()
        result = answer(probabilities, number, at)
        decided = decider.decide(picture(number), result)
        told += decided.events
        firing += [alarm.firing for alarm in decided.alarms]
        shown = decided.result
        assert shown.label in (UNKNOWN, shown.top[0].label)
        assert shown.confidence == shown.top[0].confidence
        if shown.box is not None:
            assert shown.label == result.top[0].label
        assert (shown.box is None) == (shown.heat is None)
        assert shown.probabilities is result.probabilities
    told += decider.close()
    starts = [event.id for event in told if event.phase == "start"]
    assert starts == [event.id for event in told if event.phase == "end"]
    assert starts == sorted(set(starts))
    assert firing == [n % 2 == 0 for n in range(len(firing))]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"ignore": ["backgroud"]}, r"--ignore names 'backgroud'.*\n.*'background'"),
        ({"thresholds": {"crack": "0.5/0.8"}}, "threshold of 'crack'"),
        ({"smooth": "median"}, "--smooth 'median'"),
        ({"alarms": ["crack > often"]}, "--alarm 'crack > often'"),
        ({"alarms": ["crack > 1/h"], "ignore": ["crack"]}, "--ignore leaves out"),
        ({"event_after": 0}, "--event-after"),
        ({"threshold": 2.0}, "--threshold"),
    ],
)
def test_options_that_cannot_be_meant_are_refused_before_the_first_frame(
    options: dict[str, object], words: str
) -> None:
    with pytest.raises(SettingsError, match=words):
        Decider(CLASSES, **options)  # type: ignore[arg-type]


def test_a_result_without_all_probabilities_is_the_programs_own_mistake() -> None:
    decider = Decider(CLASSES)
    for probabilities in (None, np.ones(2, np.float32)):
        with pytest.raises(ValueError, match="all 3 classes"):
            decider.decide(picture(0), answer(sure(1))._replace(probabilities=probabilities))


def test_what_is_recognised_can_be_decided(fixed_bundle) -> None:  # noqa: ANN001
    """The loop's own answers, of an engine and a head, bring all that is needed."""
    bundle = open_bundle(fixed_bundle)
    head, engine = bundle.head(None), bundle.engine(None)
    decider = Decider(head.classes, event_after=2)
    told = []
    for number in range(4):
        shot = Shot(scene(2), number, 0.0, AT + number / 10)
        result = recognise(shot, engine, head, decider.lowest, now=lambda: 0.02)
        decided = decider.decide(shot.frame, result)
        told += decided.events
    engine.close()
    assert [event.label for event in told] == ["red thing"]
    assert told[0].best.frame.tolist() == scene(2).tolist()
    assert told[0].best.box is not None
    assert decided.result.probabilities is not None
    assert decided.result.probabilities.sum() == pytest.approx(1)


def test_what_fits_no_class_is_unknown_whatever_the_frames_before_it_were() -> None:
    decider = Decider(CLASSES, smooth="ema:0.1", event_after=1)
    first = decider.decide(picture(0), answer(sure(1), 0))
    assert first.result.label == CLASSES[1]
    strange = decider.decide(picture(1), answer(sure(1), 1)._replace(rejected=True, box=None, heat=None))
    assert (strange.result.label, strange.result.frame_label, strange.result.box) == (UNKNOWN, UNKNOWN, None)
    assert decider.decide(picture(2), answer(sure(1), 2)).result.label == CLASSES[1]
