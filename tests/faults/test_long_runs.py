"""Short forms of what `tests/benchmarks/soak.py` and `fault_storm.py` do for hours."""

from pathlib import Path
from unittest.mock import patch

import pytest

from edge.loop_kit import make_bundle
from edge.recorder_kit import segments as segments_in
from edgecam.recorder.boxes import content_of
from faults.soak import growth, soak
from faults.storm import CAMERAS, Storm
from faults.witness import open_files, readers


@pytest.fixture(autouse=True)
def no_display(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)


def test_thousands_of_frames_leave_the_loop_as_large_as_it_was(tmp_path: Path) -> None:
    before = open_files(), set(Path("/dev/shm").iterdir())
    metered = soak(make_bundle(tmp_path / "colours.edgecam"), frames=4000)
    samples = metered.samples[4:]
    assert len(samples) > 30
    assert growth(samples, lambda sample: sample.loop_kib) < 0.02
    assert growth(samples, lambda sample: sample.reader_kib) < 0.02
    assert {sample.threads for sample in samples} == {samples[0].threads}
    assert max(sample.descriptors for sample in samples) <= samples[0].descriptors
    assert (open_files(), set(Path("/dev/shm").iterdir())) == before
    assert readers() == []


def test_random_faults_crash_nothing_and_no_stale_frame_is_seen(tmp_path: Path) -> None:
    storm = Storm(tmp_path, faults=18, seed=5)
    storm.run()
    assert storm.sent == 18
    assert min(storm.witness.frames.values()) > 50
    assert storm.witness.shapes == {(24, 32, 3), (48, 64, 3)}
    assert max(second for seconds in storm.recovery_s.values() for second in seconds) < 5.0
    assert readers() == []
    assert storm.witness.lives > 2
    assert storm.witness.going == {}, "what began has ended"
    segments = segments_in(storm.recordings)
    assert all(content_of(path).frames for path in segments), "each can be played"


def test_a_clock_that_is_set_again_and_again_changes_no_event_no_alarm_and_no_segment(tmp_path: Path) -> None:
    with patch("faults.storm.KINDS", ("clock set",)):
        storm = Storm(tmp_path, faults=60, seed=2)
        storm.run()
    assert storm.sent == 60
    assert [storm.witness.last(camera).lost for camera in CAMERAS] == [0, 0]
    assert storm.witness.lives > 2
    assert storm.witness.going == {}
    segments = segments_in(storm.recordings)
    assert len(segments) >= len(CAMERAS), "sizes of frames change, which begins new ones"
    assert all(content_of(path).frames for path in segments), "each can be played"
