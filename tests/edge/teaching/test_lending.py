"""An engine that is lent: the borrower gets what the engine says, and costs the loop one frame at a time."""

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from edgecam.loop.lending import LentEngine
from edgecam_engines.engine import Features, Frames
from edgecam_engines.errors import EngineError
from edgecam_engines.fixed import FixedEngine


class Counting:
    """A fixed engine that notes how many frames it was given at once."""

    name, input_hw = "fixed-fp32", (64, 64)

    def __init__(self) -> None:
        self.batches: list[int] = []

    def infer(self, frames: Frames, /) -> Features:
        self.batches.append(len(frames))
        return FixedEngine().infer(frames)

    def close(self) -> None: ...


def lent_by(rings: threading.Event) -> LentEngine:
    return LentEngine("fixed-fp32", (64, 64), rings.set)


def test_it_says_what_the_engine_says_frame_by_frame() -> None:
    rings, engine = threading.Event(), Counting()
    lent = lent_by(rings)
    frames = np.random.default_rng(0).integers(0, 255, (3, 64, 64, 3)).astype(np.uint8)
    with ThreadPoolExecutor(1) as other:
        asked = other.submit(lent.infer, frames)
        for _ in frames:
            assert rings.wait(5), "the owner is woken"
            rings.clear()
            lent.serve(engine)
        assert np.array_equal(asked.result(5), FixedEngine().infer(frames))
    assert engine.batches == [1, 1, 1], "never more than one frame's time between two of the loop's"


def test_serving_nobody_asks_the_engine_nothing() -> None:
    engine = Counting()
    lent_by(threading.Event()).serve(engine)
    assert engine.batches == []


def test_what_the_engine_raises_goes_to_the_borrower_not_to_the_loop() -> None:
    rings, engine = threading.Event(), FixedEngine()
    engine.close()
    lent = lent_by(rings)
    with ThreadPoolExecutor(1) as other:
        asked = other.submit(lent.infer, np.zeros((1, 64, 64, 3), np.uint8))
        assert rings.wait(5)
        lent.serve(engine)
        with pytest.raises(EngineError, match="closed"):
            asked.result(5)


def test_the_end_of_the_loop_ends_waiting_and_later_questions() -> None:
    rings = threading.Event()
    lent = lent_by(rings)
    with ThreadPoolExecutor(1) as other:
        asked = other.submit(lent.infer, np.zeros((1, 64, 64, 3), np.uint8))
        assert rings.wait(5)
        lent.end()
        with pytest.raises(EngineError, match="has ended"):
            asked.result(5)
    with pytest.raises(EngineError, match="has ended"):
        lent.infer(np.zeros((1, 64, 64, 3), np.uint8))
