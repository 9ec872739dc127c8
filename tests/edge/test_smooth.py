"""Smoothing: its weights by hand, its time constant whatever is skipped, and a consensus that is one."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.decision_kit import sure
from edgecam.decisions.smooth import Consensus, Exponential, Plain, Smoother, open_smoother
from edgecam_engines.errors import SettingsError


def vector(*values: float) -> np.ndarray:
    return np.asarray(values, np.float32)


def feed(smoother: Smoother, frames: dict[int, np.ndarray]) -> np.ndarray:
    """The answer to the last of some frames by number."""
    for number, probabilities in frames.items():
        answered = smoother.add(probabilities, number)
    return answered.probabilities


probabilities = st.lists(st.floats(0.01, 1), min_size=3, max_size=3).map(
    lambda raw: vector(*(value / sum(raw) for value in raw))
)


def test_the_first_frame_speaks_for_itself_and_the_next_weighs_what_was_asked() -> None:
    smoother = open_smoother("ema:0.25")
    assert smoother.add(vector(0.8, 0.2), 0).probabilities.tolist() == pytest.approx([0.8, 0.2])
    assert smoother.add(vector(0, 1), 1).probabilities.tolist() == pytest.approx([0.6, 0.4])
    assert smoother.add(vector(0, 1), 2).probabilities.tolist() == pytest.approx([0.45, 0.55])


@given(st.lists(st.integers(1, 40), min_size=1, max_size=6), st.floats(0.01, 1))
def test_skipped_frames_do_not_change_the_time_constant(gaps: list[int], weight: float) -> None:
    """A scene that changes once is followed just as far, seen in every frame or in a few of them."""
    numbers = np.cumsum(gaps).tolist()
    before, after = vector(1, 0), vector(0, 1)
    few = feed(Exponential(weight), {0: before, **dict.fromkeys(numbers, after)})
    every = feed(Exponential(weight), {0: before, **dict.fromkeys(range(1, numbers[-1] + 1), after)})
    assert few == pytest.approx(every, abs=1e-6)
    assert few[0] == pytest.approx((1 - weight) ** numbers[-1], abs=1e-6)


@given(st.lists(st.tuples(st.integers(-5, 300), probabilities), min_size=1), st.floats(0.01, 1))
def test_a_mean_of_probabilities_is_one_whatever_the_frames_are_called(
    frames: list[tuple[int, np.ndarray]], weight: float
) -> None:
    smoother = Exponential(weight)
    for number, one in frames:
        mean = smoother.add(one, number).probabilities
        assert mean.sum() == pytest.approx(1, abs=1e-5)
        assert mean.min() >= 0


@pytest.mark.parametrize("kind", ["none", "ema:0.01", "consensus:3/5"])
def test_what_was_forgotten_does_not_count(kind: str) -> None:
    smoother, fresh = open_smoother(kind), open_smoother(kind)
    feed(smoother, dict.fromkeys(range(9), vector(*sure(0))))
    smoother.forget()
    assert smoother.add(vector(*sure(1)), 9).probabilities.tolist() == pytest.approx(sure(1))
    fresh.add(vector(*sure(1)), 9)
    assert smoother.add(vector(*sure(2)), 10).agreed == fresh.add(vector(*sure(2)), 10).agreed


def test_a_consensus_needs_its_number_and_is_the_mean_of_those_who_agree() -> None:
    smoother = Consensus(3, 5)
    votes = [(0, 0.6), (1, 0.9), (0, 0.9), (1, 0.5), (0, 0.9), (1, 0.7)]
    answers = [smoother.add(vector(*sure(kind, by)), n) for n, (kind, by) in enumerate(votes)]
    assert [a.agreed for a in answers] == [False, False, False, False, True, True]
    assert answers[4].probabilities[0] == pytest.approx((0.6 + 0.9 + 0.9) / 3)
    assert answers[5].probabilities[1] == pytest.approx((0.9 + 0.5 + 0.7) / 3), "the first vote is gone"


@given(
    st.lists(probabilities, min_size=1, max_size=30),
    st.integers(1, 7).flatmap(lambda of: st.tuples(st.integers(of // 2 + 1, of), st.just(of))),
)
def test_who_agrees_is_who_would_be_counted(frames: list[np.ndarray], share: tuple[int, int]) -> None:
    need, of = share
    smoother = Consensus(need, of)
    for number, one in enumerate(frames):
        answered = smoother.add(one, number)
        votes = Counter(int(p.argmax()) for p in frames[max(0, number + 1 - of) : number + 1])
        kind, most = votes.most_common(1)[0]
        assert answered.agreed == (most >= need)
        if answered.agreed:
            assert answered.probabilities[kind] == answered.probabilities.max()


def test_none_is_every_frame_as_it_is() -> None:
    assert isinstance(open_smoother("none"), Plain)
    one = vector(0.3, 0.7)
    assert open_smoother("none").add(one, 4) == (one, True)


@pytest.mark.parametrize(
    "text",
    [
        *("", "ema", "ema:", "ema:0", "ema:1.1", "ema:-1", "ema:nan", "ema:1e400", "ema:1e3", "none:3"),
        *("mean:3", "consensus", "consensus:3", "consensus:0/5", "consensus:2/4", "consensus:6/5"),
        "consensus:3/1000",
    ],
)
def test_what_cannot_be_meant_is_refused_with_the_form(text: str) -> None:
    with pytest.raises(SettingsError, match=r"none, ema:0.3 .*consensus:3/5"):
        open_smoother(text)
