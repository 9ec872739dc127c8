"""Rate alarms: their rules, what they count, when they begin and are over, and what they promise."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.decision_kit import CLASSES
from edgecam.decisions.alarms import RateAlarm
from edgecam.decisions.event import Alarm
from edgecam.decisions.poisson import tail
from edgecam.decisions.rules import DEFAULT_EXPECTED, DEFAULT_P, Rule, parse_rule
from edgecam_engines.errors import SettingsError


@pytest.mark.parametrize(
    ("text", "label", "per_s", "window_s", "p"),
    [
        ("crack > 3/h @ p<0.001", "crack", 3 / 3600, DEFAULT_EXPECTED * 1200, 0.001),
        ("crack>3/h@p<0.001", "crack", 3 / 3600, DEFAULT_EXPECTED * 1200, 0.001),
        ("hot spot > 0.5 / min in 30min", "hot spot", 1 / 120, 1800, DEFAULT_P),
        ("crack > 10/day in 2 day @ p < 1e-6", "crack", 10 / 86400, 172800, 1e-6),
        ("  crack > .2/s in 90 s ", "crack", 0.2, 90, DEFAULT_P),
    ],
)
def test_a_rule_is_read_as_it_is_written(
    text: str, label: str, per_s: float, window_s: float, p: float
) -> None:
    rule = parse_rule(text, CLASSES)
    assert (rule.text, rule.label) == (text.strip(), label)
    assert (rule.per_s, rule.window_s, rule.p) == pytest.approx((per_s, window_s, p))
    assert rule.expected == pytest.approx(per_s * window_s)


def test_a_class_may_be_called_like_a_rule() -> None:
    name = "size > 3/h"
    assert parse_rule("size > 3/h > 2/day", [name, "other"]).label == name


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "form"),
        ("crack", "form"),
        ("crack > 3", "form"),
        ("crack >= 3/h", "form"),
        ("crack > 3/hour", "form"),
        ("crack > -3/h", "form"),
        ("crack > nan/h", "form"),
        ("> 3/h", "form"),
        ("crack > 3/h @ p<", "form"),
        ("crack > 3/h @ p>0.1", "form"),
        ("crack > 3/h in soon", "form"),
        ("crack > 0/h", "rate must be above 0"),
        ("crack > 1e400/h", "at most"),
        ("crack > 3/h @ p<1", "p must be below 1"),
        ("crack > 3/h @ p<0", "p must be below 1"),
        ("crack > 3/h in 0min", "must have a length"),
        ("crack > 100000/s in 1day", "at most"),
    ],
)
def test_a_rule_that_cannot_be_meant_is_refused_with_the_form(text: str, why: str) -> None:
    with pytest.raises(SettingsError, match=f"{why}(.|\n)*CLASS > RATE/UNIT(.|\n)*s, min, h, day"):
        parse_rule(text, CLASSES)


def test_a_rule_about_no_class_is_refused_with_the_nearest() -> None:
    with pytest.raises(SettingsError, match=r"'crakc'.*\n.*'crack'"):
        parse_rule("crakc > 3/h", CLASSES)


def rule(expected: float, p: float, window_s: float = 100.0) -> Rule:
    return Rule("crack > x", "crack", expected / window_s, window_s, p)


def told(alarm: RateAlarm, starts: list[float]) -> list[Alarm]:
    """What is said at events and every second between and after them."""
    said = []
    for second in range(int(max(starts)) + 300):
        for start in starts:
            if second <= start < second + 1:
                alarm.add(start)
                said.append(alarm.look(start, 5000 + start))
        said.append(alarm.look(second + 0.999, 5000.999 + second))
    return [alarm for alarm in said if alarm is not None]


def test_an_alarm_begins_at_its_count_and_is_over_at_what_is_expected_each_told_once() -> None:
    alarm = RateAlarm(rule(2.0, 0.01), "yard")
    # E[N; N >= k] for N ~ Poisson(2) is 2 P(N >= k - 1): 0.0331 at 7, 0.0091 at 8.
    assert alarm.needed == 8
    first, second = told(alarm, [10.0 + n for n in range(12)])
    assert first == Alarm("crack > x", "yard", "crack", 5017.0, 8, 100.0, 2.0, tail(8, 2.0), True)
    assert first.p == pytest.approx(0.0010967, rel=1e-4), (
        "1 - exp(-2) (1 + 2 + 2 + 4/3 + 2/3 + 4/15 + 4/45 + 8/315)"
    )
    assert (second.firing, second.events) == (False, 2)
    assert second.at == pytest.approx(5120, abs=1), "when the tenth of twelve leaves the window"


def test_a_count_below_begins_nothing_and_what_left_the_window_does_not_count() -> None:
    assert told(RateAlarm(rule(2.0, 0.01), ""), [float(n) for n in range(7)]) == []
    assert told(RateAlarm(rule(2.0, 0.01), ""), [15.0 * n for n in range(60)]) == [], "seven in a window"


def test_a_burst_of_any_size_takes_no_more_memory_and_is_over_in_time() -> None:
    alarm = RateAlarm(rule(2.0, 0.01), "")
    for n in range(100_000):
        alarm.add(50 + n * 1e-5)
    first = alarm.look(51.0, 51.0)
    assert first is not None
    assert first.events == 2 * alarm.needed == len(alarm._starts)
    assert alarm.look(150.9999, 0) is None, "none of those that it remembers left yet"
    assert alarm.look(151.0, 0) is not None


@given(
    st.lists(st.floats(0, 30), min_size=1, max_size=200),
    st.floats(0.1, 20),
    st.floats(1e-6, 0.5),
)
def test_beginnings_and_ends_take_turns(gaps: list[float], expected: float, p: float) -> None:
    alarm = RateAlarm(rule(expected, p), "")
    now, said = 0.0, []
    for gap in gaps:
        now += gap
        alarm.add(now)
        said.append(alarm.look(now, now))
    said.append(alarm.look(now + 100.1, now))
    firing = [one.firing for one in said if one is not None]
    assert firing == [n % 2 == 0 for n in range(len(firing))]
    assert len(firing) % 2 == 0, "an empty window is no alarm"
    for one in said:
        assert one is None or one.p == pytest.approx(tail(one.events, expected))
        assert one is None or (one.p < p if one.firing else one.events <= expected)


@pytest.mark.parametrize(("expected", "p"), [(0.5, 0.05), (2.0, 0.05), (8.0, 0.02)])
def test_at_the_expected_rate_false_alarms_keep_the_promise(expected: float, p: float) -> None:
    """Poisson arrivals at the very rate that is expected: fewer than p a window."""
    windows = 4000
    rng = np.random.default_rng(0)
    alarm, begun, now = RateAlarm(rule(expected, p), ""), 0, 0.0
    for gap in rng.exponential(100.0 / expected, int(windows * expected)):
        now += gap
        alarm.look(now, now)
        alarm.add(now)
        one = alarm.look(now, now)
        begun += one is not None and one.firing
    assert begun > 0, "a promise that is kept by silence is worth nothing"
    assert begun < p * windows


def test_a_rate_three_times_too_high_is_found() -> None:
    rng = np.random.default_rng(0)
    found = []
    for _ in range(50):
        alarm = RateAlarm(rule(5.0, 0.001), "")
        starts = np.cumsum(rng.exponential(100 / 15, 60)).tolist()
        found += [next((s for s in starts if alarm.add(s) or alarm.look(s, s)), np.inf)]
    assert np.median(found) < 250, "two windows and a half"
