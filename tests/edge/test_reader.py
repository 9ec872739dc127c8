"""The slot between threads, and the reader of what waits to be taken."""

import threading
import time
from collections.abc import Callable
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
    reader = ThreadReader(source, lambda: source, unheard)
    shots = []
    for shot in islice(iter(lambda: reader.take(WAIT_S), None), 20):
        time.sleep(0.005)
        shots.append(shot)
    with pytest.raises(Ended):
        reader.take(WAIT_S)
    assert [shot.number for shot in shots] == list(range(20))
    assert {shot.skipped for shot in shots} == {0}


def test_a_live_source_gives_a_slow_taker_its_newest_frame_and_counts_the_rest() -> None:
    reader = ThreadReader(
        CueCamera(lasts=10**6, interval_s=0.002), lambda: CueCamera(0), unheard, first_wait=WAIT_S
    )
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


def test_a_lost_camera_is_called_back_and_no_frame_is_made_up_meanwhile() -> None:
    cameras = [CueCamera(lasts=3), CueCamera(lasts=4, first=100)]
    attempts: list[float] = []
    said: list[str] = []

    def reopen() -> Source:
        attempts.append(time.monotonic())
        if len(attempts) <= 2:
            raise SourceError("There is no camera there.\nPlug one in.")
        if len(attempts) == 3:
            return cameras[1]
        raise SourceError("There is no camera there.\nPlug one in.")

    reader = ThreadReader(cameras[0], reopen, said.append, first_wait=0.02)
    seen: list[Shot] = []
    deadline = time.monotonic() + WAIT_S
    while (not seen or seen[-1].number < 6) and time.monotonic() < deadline:
        shot = reader.take(0.01)
        if shot is not None:
            seen.append(shot)
    reader.stop()
    values = [int(shot.frame[0, 0, 0]) for shot in seen]
    assert values[-1] == 103
    assert set(values) <= {0, 1, 2, 100, 101, 102, 103}
    assert [shot.number for shot in seen] == sorted({shot.number for shot in seen})
    assert reader.lost == 2
    assert all(camera.closed for camera in cameras)
    assert attempts[1] - attempts[0] > 1.5 * 0.02, "the second attempt waits longer than the first"
    assert said[0].startswith("cue camera is lost: cue camera stopped giving frames.")
    assert any("still away: There is no camera there." in line for line in said)
    assert any("is back" in line for line in said)


def test_stopping_ends_the_wait_for_a_lost_camera_at_once() -> None:
    reader = ThreadReader(CueCamera(lasts=0), lambda: CueCamera(0), lambda words: None, first_wait=60.0)
    started = time.monotonic()
    reader.stop()
    assert time.monotonic() - started < 1.0
    assert not [thread for thread in threading.enumerate() if thread.name == "edgecam-read"]


def test_a_damaged_file_is_an_error_and_is_not_called_back() -> None:
    class Damaged(CueCamera):
        live = False

    reader = ThreadReader(Damaged(lasts=1), lambda: CueCamera(9), unheard)
    assert reader.take(WAIT_S) is not None
    with pytest.raises(SourceError, match="stopped giving frames"):
        reader.take(WAIT_S)


def test_a_shot_carries_the_time_of_its_capture() -> None:
    source = CueCamera(lasts=1)
    clock = Clock(monotonic=lambda: 12.5, utc=lambda: 1_700_000_000.25)
    reader = ThreadReader(source, lambda: source, lambda words: None, clock, first_wait=60.0)
    shot = reader.take(WAIT_S)
    reader.stop()
    assert shot is not None
    assert (shot.captured, shot.captured_at) == (12.5, 1_700_000_000.25)


def test_waits_double_up_to_the_longest() -> None:
    assert list(islice(waits(0.5, 10.0), 7)) == [0.5, 1.0, 2.0, 4.0, 8.0, 10.0, 10.0]


