"""The slot between threads, and the reader of what waits to be taken."""

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from itertools import islice, pairwise
from pathlib import Path

import pytest

from edge.loop_kit import CueCamera, make_video
from edgecam.sources.newest import Ended, Slot
from edgecam.sources.reader import Clock, ThreadReader
from edgecam.sources.video import open_video
from edgecam_engines.errors import SourceError

WAIT_S = 5.0


# ---- the slot between threads


def test_a_replacing_slot_gives_the_newest() -> None:
    slot: Slot[int] = Slot(replace=True)
    for i in range(5):
        assert slot.put(i)
    assert slot.take(0) == 4
    assert slot.take(0) is None


def test_a_slot_gives_its_last_item_before_it_ends() -> None:
    slot: Slot[int] = Slot(replace=False)
    slot.put(7)
    slot.close()
    assert slot.take(0) == 7
    with pytest.raises(Ended):
        slot.take(0)


def test_a_slot_passes_the_givers_error_on() -> None:
    slot: Slot[int] = Slot(replace=False)
    slot.close(SourceError("gone"))
    with pytest.raises(SourceError, match="gone"):
        slot.take(0)


def test_a_slot_rings_for_an_item_and_for_its_end_and_counts_what_it_pushed_out() -> None:
    rang: list[int] = []
    slot: Slot[int] = Slot(replace=True, ring=lambda: rang.append(1))
    for i in range(3):
        slot.put(i)
        assert len(rang) == i + 1
    assert slot.replaced == 2
    slot.close()
    assert len(rang) == 4


@pytest.mark.parametrize("wait", [lambda slot: slot.put(2), lambda slot: slot.wait_for_room()])
def test_an_abandoned_slot_lets_the_giver_go(wait: Callable[[Slot[int]], bool]) -> None:
    slot: Slot[int] = Slot(replace=False)
    slot.put(1)
    answers: list[bool] = []
    giver = threading.Thread(target=lambda: answers.append(wait(slot)))
    giver.start()
    slot.abandon()
    giver.join(WAIT_S)
    assert answers == [False]


# ---- the reader


def test_a_file_waits_for_a_slow_taker_and_skips_nothing(tmp_path: Path) -> None:
    source = open_video(str(make_video(tmp_path / "clip.mp4", frames=20)))
    reader = ThreadReader(source)
    shots = []
    for shot in islice(iter(lambda: reader.take(WAIT_S), None), 20):
        time.sleep(0.005)
        shots.append(shot)
    with pytest.raises(Ended):
        reader.take(WAIT_S)
    assert [shot.number for shot in shots] == list(range(20))
    assert {shot.skipped for shot in shots} == {0}


def test_a_live_source_gives_a_slow_taker_its_newest_frame_and_counts_the_rest() -> None:
    reader = ThreadReader(CueCamera(lasts=10**6, interval_s=0.002))
    shots = []
    for _ in range(10):
        shot = reader.take(WAIT_S)
        assert shot is not None
        shots.append(shot)
        time.sleep(0.02)
    reader.stop()
    for taken_before, shot in enumerate(shots):
        assert shot.skipped + taken_before == shot.number
        assert (shot.frame == shot.number % 256).all()
    assert shots[-1].skipped > 10
    assert all(later.captured - earlier.captured > 0.01 for earlier, later in pairwise(shots))


def test_every_frame_is_counted_as_taken_skipped_or_waiting() -> None:
    source = CueCamera(lasts=200)
    reader = ThreadReader(source)
    taken = 0
    with suppress(SourceError):
        while True:
            taken += reader.take(WAIT_S) is not None
    health = reader.health()
    assert health.state == "live"
    assert health.captured == 200 == taken + health.skipped


def test_stopping_closes_the_source() -> None:
    source = CueCamera(lasts=10**6, interval_s=0.001)
    reader = ThreadReader(source)
    assert reader.take(WAIT_S) is not None
    reader.stop()
    assert source.closed
    assert not [thread for thread in threading.enumerate() if thread.name == "edgecam-read"]


def test_a_damaged_file_is_an_error() -> None:
    class Damaged(CueCamera):
        live = False

    reader = ThreadReader(Damaged(lasts=1))
    assert reader.take(WAIT_S) is not None
    with pytest.raises(SourceError, match="stopped giving frames"):
        reader.take(WAIT_S)


def test_a_shot_carries_the_time_of_its_capture() -> None:
    source = CueCamera(lasts=1)
    clock = Clock(monotonic=lambda: 12.5, utc=lambda: 1_700_000_000.25)
    reader = ThreadReader(source, clock)
    shot = reader.take(WAIT_S)
    reader.stop()
    assert shot is not None
    assert (shot.captured, shot.captured_at) == (12.5, 1_700_000_000.25)
