"""A button that is held: the rate, letting go, and one page at a time."""

import pytest

from edgecam.teaching.holding import ALIVE_S, EVERY_S, LEASE_S, Hold, Holding, Taken

MUG = Hold("mug", "front", "mine")


class Clock:
    def __init__(self) -> None:
        self.at = 100.0

    def __call__(self) -> float:
        return self.at


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def holding(clock: Clock) -> Holding:
    return Holding(clock)


def test_nothing_is_due_while_nothing_is_held(holding: Holding) -> None:
    assert holding.due("front") is None


def test_frames_are_due_four_times_a_second_however_many_come(holding: Holding, clock: Clock) -> None:
    holding.press(MUG)
    taken = 0
    for _ in range(60):  # two seconds at 30 frames a second
        taken += holding.due("front") is not None
        clock.at += 1 / 30
        holding.press(MUG)
    assert taken == pytest.approx(2 / EVERY_S, abs=1)


def test_only_frames_of_the_camera_that_is_shown_are_taken(holding: Holding) -> None:
    holding.press(MUG)
    assert holding.due("back") is None
    assert holding.due("front") == MUG


def test_a_page_that_fell_silent_has_let_go(holding: Holding, clock: Clock) -> None:
    holding.press(MUG)
    clock.at += ALIVE_S - 0.1
    assert holding.hold == MUG
    clock.at += 0.2
    assert holding.hold is None
    assert holding.due("front") is None


def test_another_name_is_another_press_and_the_same_one_goes_on(holding: Holding) -> None:
    assert holding.press(MUG)
    assert not holding.press(MUG)
    assert holding.press(Hold("cup", "front", "mine"))


def test_a_second_page_is_refused_until_the_first_one_is_quiet_or_gone(
    holding: Holding, clock: Clock
) -> None:
    holding.claim("mine")
    with pytest.raises(Taken):
        holding.claim("yours")
    holding.claim("mine")
    clock.at += LEASE_S
    holding.claim("yours")
    with pytest.raises(Taken):
        holding.claim("mine")
    holding.leave("mine")  # it has nothing to leave
    with pytest.raises(Taken):
        holding.claim("mine")
    holding.leave("yours")
    holding.claim("mine")
