"""Hard frames: which ones, how often, and not the same one twice."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from edge.decision_kit import answer, sure
from edgecam.decisions.hard import ALIKE, CELLS, LOOK_S, PAIR_S, Doubt, HardFrames, was_outlier
from edgecam.result import Result

CLOSE_CALL = [0.55, 0.4, 0.05]


def grey(*bright: tuple[int, int], level: float = 100.0) -> np.ndarray:
    """A grey thumbnail with a few brighter cells."""
    cells = np.full((CELLS, CELLS), level, np.float32)
    for row, column in bright:
        cells[row, column] += 60
    return cells


def why(result: Result) -> tuple[str, ...]:
    doubt = HardFrames().doubt(result)
    return () if doubt is None else doubt.why


def test_a_frame_is_hard_when_it_is_close_contradicted_or_unknown() -> None:
    assert why(answer(sure(1))) == ()
    assert why(answer(CLOSE_CALL)) == ("close",)
    assert why(answer([0.6, 0.41, 0.0])) == ("close",)
    assert why(answer([0.6, 0.39, 0.01])) == ()
    assert why(answer(sure(1))._replace(frame_label="hot spot")) == ("disagreement",)
    assert why(answer(sure(1))._replace(frame_label="crack")) == ()
    assert why(answer(sure(1, 0.49))) == ("unknown",)
    assert why(answer(sure(1, 0.49))._replace(frame_label="crack")) == ("disagreement",)
    assert why(answer(sure(1))._replace(frame_label="unknown")) == ("disagreement", "unknown")
    assert why(answer([0.4, 0.35, 0.25])._replace(frame_label="crack")) == ("close", "disagreement")
    assert why(answer(CLOSE_CALL)._replace(probabilities=None)) == ()


def test_a_contradicted_frame_is_an_outlier_when_the_answer_does_not_follow_it() -> None:
    contradicted = answer(sure(1))._replace(frame_label="hot spot")
    again = contradicted._replace(frame=1)
    assert was_outlier(contradicted, contradicted) is None
    assert was_outlier(contradicted, again) is None
    assert was_outlier(contradicted, again._replace(frame_label="crack")) is True
    assert was_outlier(contradicted, again._replace(label="hot spot")) is False
    assert was_outlier(contradicted, again._replace(label="unknown")) is False


def test_a_doubt_names_the_pair_whichever_is_ahead() -> None:
    first = HardFrames().doubt(answer([0.05, 0.4, 0.55]))
    second = HardFrames().doubt(answer([0.05, 0.55, 0.4]))
    assert first is not None
    assert second is not None
    assert first.pair == second.pair == (1, 2)
    assert round(first.margin, 3) == 0.15


def kept(hard: HardFrames, result: Result, thumbnail: np.ndarray) -> bool:
    doubt = hard.doubt(result)
    return doubt is not None and hard.keep(doubt, thumbnail)


def test_of_a_pair_one_frame_is_kept_in_half_a_minute_and_any_pair_is_looked_at_now_and_then() -> None:
    hard = HardFrames()
    other_pair = [0.05, 0.4, 0.55]
    times = []
    for n in range(int(100 / 0.1)):
        at = n * 0.1
        if kept(hard, answer(CLOSE_CALL, n, at), grey((n % CELLS, n // CELLS % CELLS))):
            times.append(at)
    assert len(times) == 4
    assert min(np.diff(times)) >= PAIR_S
    other = grey((3, 3), (4, 4))
    assert kept(hard, answer(CLOSE_CALL, 0, 200.0), grey((5, 5), (7, 7)))
    assert not kept(hard, answer(other_pair, 0, 200.0 + LOOK_S / 2), other)
    assert kept(hard, answer(other_pair, 0, 200.0 + LOOK_S), other)


def test_a_frame_like_one_before_is_not_kept_though_the_light_changed() -> None:
    hard = HardFrames()
    assert kept(hard, answer(CLOSE_CALL, 0, 0), grey((3, 4)))
    assert not kept(hard, answer(CLOSE_CALL, 1, 40), grey((3, 4)))
    assert not kept(hard, answer(CLOSE_CALL, 2, 80), grey((3, 4), level=140))
    assert kept(hard, answer(CLOSE_CALL, 3, 83), grey((3, 5))), "a small thing moved; no wait for the pair"


def test_of_a_spell_of_unknown_the_first_that_is_kept_is_the_only_one() -> None:
    hard = HardFrames()
    unsure = sure(1, 0.49)
    assert kept(hard, answer(unsure, 0, 0), grey((0, 0)))
    assert not kept(hard, answer(unsure, 1, 100), grey((1, 1)))
    assert not kept(hard, answer(sure(1), 2, 101), grey((2, 2))), "known again"
    assert kept(hard, answer(unsure, 3, 200), grey((3, 3)))


def test_an_unknown_that_came_at_a_busy_moment_is_kept_a_little_later() -> None:
    hard = HardFrames()
    assert kept(hard, answer(CLOSE_CALL, 0, 0), grey((0, 0)))
    unsure = sure(2, 0.49)
    assert not kept(hard, answer(unsure, 1, 0.5), grey((1, 1)))
    assert kept(hard, answer(unsure, 2, LOOK_S), grey((1, 1)))


@given(st.lists(st.tuples(st.floats(-50, 50), st.integers(0, 2), st.integers(0, 255)), max_size=200))
def test_memory_is_bounded_and_frames_that_are_kept_differ_whatever_comes(
    steps: list[tuple[float, int, int]],
) -> None:
    hard, at = HardFrames(), 0.0
    thumbnails: list[np.ndarray] = []
    for number, (step, kind, cell) in enumerate(steps):
        at += step
        probabilities = np.roll([0.5, 0.4, 0.1], kind).tolist()
        cells = grey(divmod(cell, CELLS))
        if kept(hard, answer(probabilities, number, at), cells):
            thumbnails.append(cells)
    for n, cells in enumerate(thumbnails):
        assert all(np.abs(cells - other).max() > ALIKE for other in thumbnails[:n])
    assert len(hard._kept) <= PAIR_S / LOOK_S + 1


def test_what_is_kept_is_only_ever_as_much_as_is_compared() -> None:
    hard = HardFrames()
    for n in range(200):
        assert hard.keep(Doubt(("close",), (n, n + 1), 0.1), grey(divmod(n, CELLS)))
        hard.doubt(answer(sure(1), n, n * 10.0))
    assert len(hard._thumbnails) == 64
    assert len(hard._kept) <= PAIR_S / 10 + 1
