"""What a reader process may do, and what its reader makes of it. Real processes and signals throughout."""

import os
import random
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from edge.loop_kit import make_video
from edgecam.isolation.patience import Patience
from edgecam.isolation.process import Job
from edgecam.isolation.reader import ProcessReader
from edgecam.sources.health import Health
from edgecam.sources.newest import Ended
from edgecam.sources.reader import Clock
from edgecam.sources.source import Shot
from edgecam_engines.errors import SourceError
from faults.sources import OPENER, proof
from faults.witness import open_files, readers, wait_for

QUICK = Patience(stalled_s=0.25, hung_s=0.6, connect_s=2.0)


@contextmanager
def reading(
    query: str, patience: Patience = QUICK, clock: Clock | None = None, said: list[str] | None = None
) -> Iterator[ProcessReader]:
    say = [].append if said is None else said.append
    job = Job(f"scripted://?{query}", opener=OPENER)
    reader = ProcessReader(job, say, clock=clock or Clock(), patience=patience, rng=random.Random(0))
    try:
        yield reader
    finally:
        reader.stop()
        assert readers() == []
        assert not [thread for thread in threading.enumerate() if thread.name == "edgecam-read"]


def shots_until(reader: ProcessReader, number: int, seconds: float = 10.0) -> list[Shot]:
    """What is taken up to the shot with a number, each of them proven fresh, and whole."""
    shots: list[Shot] = []
    began = time.monotonic()
    while not shots or shots[-1].number < number:
        assert time.monotonic() - began < seconds, f"shot {number} never came: {reader.health()}"
        shot = reader.take(0.05)
        if shot is not None:
            assert proof(shot.frame).made == pytest.approx(shot.captured, abs=0.1)
            assert time.monotonic() - shot.captured < 0.5
            shots.append(shot)
    assert [shot.number for shot in shots] == sorted({shot.number for shot in shots})
    return shots


def taken_until_end(reader: ProcessReader) -> int:
    taken = 0
    with suppress(Ended):
        while True:
            taken += reader.take(1.0) is not None
    return taken


def states(changes: list[Health]) -> list[str]:
    """Changes of state alone; a new detail of the same state is none."""
    found = [health.state for health in changes]
    return [state for i, state in enumerate(found) if i == 0 or found[i - 1] != state]


def test_frames_come_over_from_another_process_and_none_is_lost_on_the_way() -> None:
    with reading("fps=200") as reader:
        reader.wait_open()
        assert reader.pid not in (None, os.getpid())
        assert (reader.name, reader.fps) == ("scripted camera", 200.0)
        shots = shots_until(reader, 40)
        health = reader.health()
        assert states(reader.changes()) == ["connecting", "live"]
    assert [proof(shot.frame).number for shot in shots] == [shot.number for shot in shots]
    assert health.captured >= len(shots) + health.skipped >= health.captured - 1
    for taken_before, shot in enumerate(shots):
        assert shot.skipped == shot.number - taken_before


def test_a_slow_taker_gets_the_newest_and_the_rest_is_counted() -> None:
    with reading("fps=200") as reader:
        shots_until(reader, 0)
        for _ in range(5):
            time.sleep(0.1)
            shot = reader.take(0.1)
            assert shot is not None
            assert time.monotonic() - shot.captured < 0.05
        assert reader.health().skipped > 20


def test_what_a_source_let_go_itself_is_numbered_and_counted_as_skipped() -> None:
    with reading("fps=200&let_go=3") as reader:
        reader.wait_open()
        shots = shots_until(reader, 80)
        assert [shot.number for shot in shots] == [proof(shot.frame).number for shot in shots]
        assert {shot.number % 4 for shot in shots} == {3}
        assert shots[-1].skipped == shots[-1].number + 1 - len(shots)
        health = reader.health()
        assert health.counts_all
        assert health.captured - health.skipped - len(shots) in (0, 1)
    with reading("fps=200") as reader:
        reader.wait_open()
        shots_until(reader, 3)
        assert not reader.health().counts_all, "it is live, and does not say so"


def test_whoever_keeps_frames_keeps_them_and_new_ones_still_come() -> None:
    with reading("fps=500") as reader:
        kept = shots_until(reader, 60)
    assert len(kept) > 20
    assert [proof(shot.frame).number for shot in kept] == [shot.number for shot in kept]


@pytest.mark.parametrize("deadly", [signal.SIGKILL, signal.SIGSEGV])
def test_a_reader_that_is_killed_is_replaced(deadly: signal.Signals) -> None:
    said: list[str] = []
    with reading("fps=100", said=said) as reader:
        last = shots_until(reader, 5)[-1]
        before = reader.pid
        os.kill(before, deadly)
        shots = shots_until(reader, last.number + 20, seconds=2.0)
        assert reader.pid != before
        assert states(reader.changes()) == ["connecting", "live", "lost", "live"]
        assert reader.health().lost == 1
    assert proof(shots[-1].frame).number < shots[-1].number, "another process counts from 0; we go on"
    assert said[0] == (
        f"scripted camera is lost: the process that reads it ended (signal {deadly.value}). "
        "Trying again until it is back."
    )
    assert said[1:] == ["scripted camera is back."]


def test_neither_ctrl_c_nor_a_service_managers_term_ends_the_reader_before_the_loop_does() -> None:
    with reading("fps=100") as reader:
        last = shots_until(reader, 5)[-1]
        before = reader.pid
        os.kill(before, signal.SIGINT)
        os.kill(before, signal.SIGTERM)
        shots_until(reader, last.number + 20)
        assert reader.pid == before


def test_a_frozen_reader_is_stalled_then_replaced_and_nothing_old_is_handed_out() -> None:
    with reading("fps=100") as reader:
        last = shots_until(reader, 5)[-1]
        frozen = reader.pid
        os.kill(frozen, signal.SIGSTOP)
        time.sleep(QUICK.stalled_s + 0.05)
        assert reader.take(0.0) is None, "what waited has become old"
        assert reader.health().state == "stalled"
        shots_until(reader, last.number + 20, seconds=3.0)
        found = reader.changes()
        assert states(found) == ["connecting", "live", "stalled", "lost", "live"]
        assert "no frame for 0.25 s" in found[2].detail
        assert "no sign of life for 0.6 s" in found[3].detail
        with pytest.raises(ProcessLookupError):
            os.kill(frozen, 0)


def test_a_short_pause_is_only_a_stall() -> None:
    with reading("fps=100") as reader:
        last = shots_until(reader, 5)[-1]
        before = reader.pid
        os.kill(before, signal.SIGSTOP)
        time.sleep(0.4)
        os.kill(before, signal.SIGCONT)
        shots_until(reader, last.number + 20)
        assert reader.pid == before
        assert states(reader.changes()) == ["connecting", "live", "stalled", "live"]
        assert reader.health().lost == 0


@pytest.mark.parametrize(
    ("fate", "words"),
    [
        ("die", "the process that reads it ended (exit code 7)."),
        ("hang", "its reader gave no sign of life for 0.6 s."),
        ("lose", "scripted camera stopped giving frames."),
    ],
)
def test_a_driver_that_dies_hangs_or_gives_up_is_lost_and_read_again(fate: str, words: str) -> None:
    with reading(f"fps=100&{fate}=10") as reader:
        shots = shots_until(reader, 12, seconds=4.0)
        found = reader.changes()
    assert [health.lost for health in found] == sorted(health.lost for health in found)
    (lost, *_) = [health for health in found if health.state == "lost"]
    assert lost.detail == f"{words} Trying again until it is back."
    assert {proof(shot.frame).number for shot in shots if shot.number == 9} <= {9}
    assert proof(shots[-1].frame).number == shots[-1].number - 10, "each of the ten was counted"


def test_a_camera_that_goes_away_is_called_back_within_two_seconds_of_its_return(tmp_path: Path) -> None:
    device = tmp_path / "device"
    device.touch()
    said: list[str] = []
    with reading(f"fps=100&while={device}", said=said) as reader:
        last = shots_until(reader, 5)[-1]
        device.unlink()
        wait_for(lambda: any("still away" in words for words in said))
        time.sleep(1.5)  # the pauses between attempts have become as long as they get
        assert reader.take(0.0) is None, "nothing is made up meanwhile"
        assert reader.health().state == "lost"
        device.touch()
        shots_until(reader, last.number + 2, seconds=2.0)
        assert reader.health().lost == 1
    assert said == [
        "scripted camera is lost: scripted camera stopped giving frames. Trying again until it is back.",
        "scripted camera is still away: There is no camera scripted camera.",
        "scripted camera is back.",
    ]


@pytest.mark.parametrize("into", ["", "&into=1"])
def test_a_changed_size_in_the_middle_is_just_another_frame(into: str) -> None:
    with reading(f"fps=200&hw=24x32,48x64,10x10&shape_for=7{into}") as reader:
        shots = shots_until(reader, 60)
        assert reader.health().lost == 0
    assert {shot.frame.shape for shot in shots} == {(24, 32, 3), (48, 64, 3), (10, 10, 3)}


def test_a_calendar_that_is_set_changes_dates_and_no_age() -> None:
    offset = [0.0]
    clock = Clock(utc=lambda: time.time() + offset[0])
    with reading("fps=100&stamped=1", clock=clock) as reader:
        before = shots_until(reader, 5)[-1]
        for step in (-1e8, 1e8):
            offset[0] += step
            after = shots_until(reader, reader.health().captured + 3)[-1]
            assert 0 <= time.monotonic() - after.captured < 0.5
            assert after.captured_at == pytest.approx(clock.utc(), abs=0.5)
        assert before.captured_at < after.captured_at < before.captured_at + 10
        assert states(reader.changes()) == ["connecting", "live"]


def test_a_time_stamp_of_the_driver_is_the_time_of_capture() -> None:
    with reading("fps=100&stamped=1") as reader:
        for shot in shots_until(reader, 10):
            assert shot.captured == proof(shot.frame).made


# ---- the start


def test_a_camera_that_is_not_there_at_the_start_is_an_error(tmp_path: Path) -> None:
    with (
        reading(f"while={tmp_path / 'none'}") as reader,
        pytest.raises(SourceError, match=r"There is no camera scripted camera\.\nPlug one in\."),
    ):
        reader.wait_open()


def test_a_source_that_breaks_at_the_start_is_told_with_its_trace() -> None:
    with (
        reading("break=unheard-of") as reader,
        pytest.raises(RuntimeError, match=r"open_scripted(.|\n)*ValueError: unheard-of"),
    ):
        reader.wait_open()


def test_a_source_that_hangs_while_it_opens_is_an_error_at_the_start() -> None:
    with (
        reading("slow=60") as reader,
        pytest.raises(SourceError, match="cannot be opened: its reader gave no sign of life for 2 s"),
    ):
        reader.wait_open()


def test_a_reader_that_freezes_while_it_opens_its_camera_again_is_replaced(tmp_path: Path) -> None:
    stuck = tmp_path / "stuck"
    with reading(f"fps=100&stuck_while={stuck}") as reader:
        reader.wait_open()
        shots_until(reader, 3)
        stuck.touch()
        (first,) = readers()
        first.kill()
        wait_for(lambda: (found := readers()) and found != [first])
        stuck_one = reader.pid
        wait_for(lambda: reader.health().detail.startswith("its reader gave no sign of life for 2 s"))
        stuck.unlink()
        number = reader.health().captured
        shots_until(reader, number + 3)
        assert reader.pid != stuck_one


def test_opening_may_take_longer_than_a_frame_may() -> None:
    with reading("fps=100&slow=0.9") as reader:
        reader.wait_open()
        shots_until(reader, 3)
        assert states(reader.changes()) == ["connecting", "live"]


def test_who_waits_for_the_opening_may_leave() -> None:
    with reading("slow=60", Patience()) as reader:
        began = time.monotonic()
        reader.wait_open(lambda: time.monotonic() - began < 0.2)
        assert time.monotonic() - began < 1.0


def test_what_a_source_says_is_passed_on() -> None:
    said: list[str] = []
    with reading("say=a%20word", said=said) as reader:
        reader.wait_open()
    assert said == ["a word"]


# ---- the end


def test_a_source_that_is_over_ends_the_reading_and_every_frame_is_accounted_for() -> None:
    with reading("fps=1000&end=200") as reader:
        taken = taken_until_end(reader)
        health = reader.health()
    assert (health.captured, health.lost) == (200, 0)
    assert taken + health.skipped == 200


def test_a_file_in_real_time_is_read_by_a_process_too(tmp_path: Path) -> None:
    path = make_video(tmp_path / "clip.mp4", frames=12)
    reader = ProcessReader(Job(str(path), realtime=True), lambda words: None)
    reader.wait_open()
    began = time.monotonic()
    taken = taken_until_end(reader)
    assert time.monotonic() - began > 10 / 25
    health = reader.health()
    assert taken + health.skipped == health.captured == 12
    reader.stop()


def test_stopping_a_reader_whose_driver_hangs_takes_a_moment_and_leaves_nothing() -> None:
    with reading("fps=100&hang=3", Patience()) as reader:
        shots_until(reader, 2)
        began = time.monotonic()
        reader.stop()
        assert time.monotonic() - began < 3.0


def test_nothing_grows_while_readers_come_and_go() -> None:
    with reading("fps=200&die=5") as reader:
        shots_until(reader, 10)
        before = open_files(), threading.active_count()
        shots_until(reader, 30)
        assert reader.health().lost >= 4
        wait_for(lambda: (open_files(), threading.active_count()) <= before)


def test_a_password_in_a_uri_is_in_nobodys_list_of_processes() -> None:
    with reading("fps=100&name=me:hunter2") as reader:
        reader.wait_open()
        arguments = Path(f"/proc/{reader.pid}/cmdline").read_text()
    assert "hunter2" not in arguments
    assert sys.executable in arguments
