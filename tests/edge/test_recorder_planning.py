"""Which frames are kept around events, for any events: the same as by the definition, frame by frame."""

import struct
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.recorder_kit import AT, FPS, number_in, numbered, plan
from edgecam.recorder import recorder as recorder_module
from edgecam.recorder.moment import Moment
from edgecam.recorder.recorder import Recorder
from edgecam_engines.engine import Frame

FRAMES = 200
PRE_S, POST_S = 14.5 / FPS, 8.5 / FPS  # between two frames, so that rounding decides nothing


def box(kind: bytes, content: bytes = b"") -> bytes:
    return struct.pack(">I4s", 8 + len(content), kind) + content


class Noting:
    """An encoder that notes the numbers of its frames, and writes boxes around nothing."""

    clips: list[list[int]]

    def __init__(self, path: Path, fps: float, hw: tuple[int, int]) -> None:
        self._path = path
        self._numbers: list[int] = []
        self.clips.append(self._numbers)
        path.write_bytes(box(b"moov"))

    def write(self, frame: Frame) -> None:
        self._numbers.append(number_in(frame))
        with self._path.open("ab") as file:
            file.write(box(b"moof", box(b"traf", box(b"trun", struct.pack(">II", 0, 1)))) + box(b"mdat"))

    def close(self) -> None:
        pass


@pytest.mark.parametrize("pump", [1, 2])  # with 1, frames wait from an event's start to beyond its end
@settings(max_examples=30)
@given(st.lists(st.tuples(st.integers(0, FRAMES - 1), st.integers(0, 60)), max_size=5), st.integers(0, 40))
def test_a_frame_is_kept_exactly_if_it_lies_around_an_event(
    pump: int, spans: list[tuple[int, int]], late: int
) -> None:
    """Each event: its first frame and how many more show it. All are told so many frames late.

    In the order in which they began, as one camera tells them: what was let go for one cannot come back.
    """
    clips: list[list[int]] = []
    noting = type("Noting", (Noting,), {"clips": clips})
    told: dict[int, list[tuple[str, int, int]]] = {}
    wanted = set()
    for name, (first, more) in enumerate(sorted(spans)):
        last = min(first + more, FRAMES - 1)
        told.setdefault(min(first + late, FRAMES - 1), []).append(("start", name, first))
        # It is over when it was gone for as long as it takes to tell; until then every frame is kept.
        over = min(max(last, first + late) + 10, FRAMES - 1)
        told.setdefault(over, []).append(("end", name, last))
        until = max(over, last + 8)
        wanted |= set(range(max(0, first - 14), min(until, FRAMES - 1) + 1))
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(recorder_module, "PUMP", pump)
        recorder = Recorder(
            Path(folder),
            plan(events_only=True, pre_roll_s=PRE_S, post_roll_s=POST_S, segment_s=100.0),
            noting,
            print,
        )
        for number in range(FRAMES):
            recorder.frame(numbered(number, (16, 192)), "cam", AT + number / FPS)
            for phase, name, frame in sorted(told.get(number, []), key=lambda cue: cue[0], reverse=True):
                recorder.moment(Moment(str(name), "cam", "mug", phase == "start", AT + frame / FPS))
        recorder.close()
    kept = [number for clip in clips for number in clip]
    assert kept == sorted(set(kept)), "in order, and none twice"
    assert set(kept) == wanted
    assert recorder.lost == 0
    assert all(list(range(clip[0], clip[-1] + 1)) == clip for clip in clips), "a clip has no gap in it"
