"""The thread behind a sink: in order, bounded, and honest about what it dropped."""

import threading
from pathlib import Path

import numpy as np
import pytest

from edge.test_sinks import result
from edgecam.result import Result
from edgecam.sinks.background import Background
from edgecam.sinks.behind import Behind
from edgecam_engines.engine import Frame
from edgecam_engines.errors import OutputError


def test_jobs_are_done_in_order_and_all_of_them_before_the_end() -> None:
    done: list[int] = []
    background = Background("test", wait=True)
    for number in range(1000):
        background.put(lambda n=number: lambda: done.append(n), 1)  # type: ignore[misc]
    assert background.close()
    assert background.close()
    assert done == list(range(1000))


def test_what_does_not_fit_is_dropped_and_counted_but_what_weighs_nothing_always_fits() -> None:
    go, started = threading.Event(), threading.Event()
    done: list[int] = []
    background = Background("test", wait=False, limit_bytes=100)

    def hang() -> None:
        started.set()
        go.wait(10)

    background.put(lambda: hang, 0)
    started.wait(10)
    taken = [background.put(lambda n=n: lambda: done.append(n), 30) for n in range(6)]  # type: ignore[misc]
    assert taken == [True, True, True, False, False, False]
    assert background.put(lambda: lambda: done.append(99), 0)
    go.set()
    background.close()
    assert done == [0, 1, 2, 99]
    assert background.dropped == 3


def test_one_that_is_larger_than_the_queue_still_gets_through() -> None:
    done: list[int] = []
    background = Background("test", wait=True, limit_bytes=10)
    for number in range(5):
        background.put(lambda n=number: lambda: done.append(n), 1000)  # type: ignore[misc]
    background.close()
    assert done == list(range(5))


def test_an_error_is_raised_once_and_afterwards_nothing_is_kept() -> None:
    background = Background("test", wait=True, limit_bytes=10)

    def fail() -> None:
        raise OutputError("the disk is full")

    background.put(lambda: fail, 0)
    with pytest.raises(OutputError, match="the disk is full"):
        put_often(background)
    assert not background.put(lambda: lambda: None, 8)
    background.close()


def put_often(background: Background) -> None:
    for _ in range(100_000):
        background.put(lambda: lambda: None, 8)


def test_rest_is_used_only_while_there_is_nothing_to_do_and_until_it_has_no_more() -> None:
    left = [5]
    rested = threading.Event()

    def rest() -> bool:
        if left[0] == 0:
            rested.set()
            return False
        left[0] -= 1
        return True

    background = Background("test", wait=True, rest=rest)
    assert rested.wait(10)
    assert left == [0]
    background.close()


class Collecting:
    """A sink that remembers, and fails at a given frame."""

    pictures = True

    def __init__(self, fails_at: int = -1) -> None:
        self.frames: list[int] = []
        self.closed = 0
        self._fails_at = fails_at

    def write(self, frame: Frame, result: Result) -> None:
        if result.frame == self._fails_at:
            raise OutputError("full")
        assert frame[0, 0, 0] == result.frame
        self.frames.append(result.frame)

    def close(self) -> None:
        self.closed += 1


def test_a_sink_behind_a_thread_gets_copies_and_is_closed(tmp_path: Path) -> None:
    sink = Collecting()
    behind = Behind(sink, live=False)
    lent = np.zeros((4, 4, 3), np.uint8)
    for number in range(100):
        lent[:] = number
        behind.write(lent, result(number=number))
    behind.close()
    assert sink.frames == list(range(100))
    assert sink.closed == 1
    assert behind.dropped == 0


def test_an_error_behind_the_thread_reaches_the_loop_and_the_sink_is_closed() -> None:
    sink = Collecting(fails_at=0)
    behind = Behind(sink, live=True)
    behind.write(np.zeros((4, 4, 3), np.uint8), result(number=0))
    with pytest.raises(OutputError, match="full"):
        behind.close()
    assert sink.closed == 1
