"""Two levels for each class: named from one on, and until below the other."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.decision_kit import CLASSES, sure
from edgecam.decisions.thresholds import Hysteresis, Levels, levels_of, parse_levels
from edgecam_engines.errors import SettingsError


def names(levels: Levels, confidences: list[float]) -> list[int | None]:
    """What the second of two classes is called, frame by frame."""
    hysteresis = Hysteresis([Levels(0.99, 0.99), levels])
    return [hysteresis.name(np.asarray([1 - c, c], np.float32)) for c in confidences]


def test_a_class_is_named_from_the_first_level_on_until_below_the_second() -> None:
    rising_and_falling = [0.55, 0.7, 0.79, 0.81, 0.7, 0.61, 0.59, 0.7, 0.81]
    assert names(Levels(0.8, 0.6), rising_and_falling) == [None, None, None, 1, 1, 1, None, None, 1]
    assert names(Levels(0.8, 0.8), rising_and_falling) == [None, None, None, 1, None, None, None, None, 1]


def test_a_level_is_reached_when_it_is_met() -> None:
    assert names(Levels(0.75, 0.625), [0.75, 0.625]) == [1, 1]


def test_only_the_best_class_is_named_and_each_by_its_own_levels() -> None:
    hysteresis = Hysteresis(levels_of(0.5, {"crack": "0.45/0.3"}, CLASSES))
    assert hysteresis.name(np.asarray([0.08, 0.46, 0.46], np.float32)) == 1
    assert hysteresis.name(np.asarray([0.1, 0.4, 0.5], np.float32)) == 2, "though crack is above its off"
    assert hysteresis.name(np.asarray([0.3, 0.4, 0.3], np.float32)) is None, "crack must reach its on again"


def test_without_agreement_or_memory_there_is_no_name() -> None:
    hysteresis = Hysteresis([Levels(0.8, 0.3)] * 3)
    high, middling = (np.asarray(sure(1, c), np.float32) for c in (0.9, 0.6))
    assert hysteresis.name(high, agreed=False) is None
    assert (hysteresis.name(high), hysteresis.name(middling)) == (1, 1)
    assert (hysteresis.alone(high), hysteresis.alone(middling)) == (1, None)
    hysteresis.forget()
    assert hysteresis.name(middling) is None


@given(st.lists(st.floats(0, 1), max_size=40), st.floats(0, 1), st.floats(0, 1))
def test_what_is_named_was_on_and_has_not_been_off_since(values: list[float], a: float, b: float) -> None:
    levels = Levels(max(a, b), min(a, b))
    hysteresis, expected = Hysteresis([levels]), None
    for value in np.asarray(values, np.float32).astype(np.float64):
        if value >= levels.on:
            expected = 0
        elif value < levels.off:
            expected = None
        assert hysteresis.name(np.asarray([value])) == expected


@pytest.mark.parametrize(
    ("text", "levels"), [("0.8/0.6", (0.8, 0.6)), ("0.8", (0.8, 0.8)), (" .5 / 0 ", (0.5, 0)), ("1", (1, 1))]
)
def test_levels_are_read_as_they_are_written(text: str, levels: tuple[float, float]) -> None:
    assert parse_levels(text, "--thresholds") == levels


@pytest.mark.parametrize("text", ["", "0.6/0.8", "1.2", "-0.5", "0.8/", "a", "0.8/0.6/0.4", "nan", "80%"])
def test_levels_that_cannot_be_meant_are_refused_with_the_form(text: str) -> None:
    with pytest.raises(SettingsError, match=r"0\.8/0\.6"):
        levels_of(0.5, {"crack": text}, CLASSES)


@pytest.mark.parametrize("threshold", [-0.1, 1.1, float("nan")])
def test_a_threshold_is_a_confidence(threshold: float) -> None:
    with pytest.raises(SettingsError, match="--threshold"):
        levels_of(threshold, {}, CLASSES)


def test_a_class_that_is_not_there_is_refused_with_the_nearest() -> None:
    with pytest.raises(SettingsError, match=r"'hotspot'.*\n.*mean 'hot spot'"):
        levels_of(0.5, {"hotspot": "0.8"}, CLASSES)
    with pytest.raises(SettingsError, match=r"'zebra'.*\n.*'background', 'crack', 'hot spot'"):
        levels_of(0.5, {"zebra": "0.8"}, CLASSES)


def test_the_plain_threshold_holds_where_none_is_given() -> None:
    assert levels_of(0.4, {"crack": "0.9/0.2"}, CLASSES) == ((0.4, 0.4), (0.9, 0.2), (0.4, 0.4))
