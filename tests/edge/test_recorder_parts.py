"""The parts that plan a recording: names, boxes, quota, clock, pre-roll, index."""

import json
import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.recorder_kit import FPS, number_in, numbered, numbers_in, write_part
from edgecam.naming import slug
from edgecam.recorder import index
from edgecam.recorder.around import Around
from edgecam.recorder.boxes import content_of
from edgecam.recorder.clock import LONGEST_HOLD_S, MediaClock
from edgecam.recorder.encoder import OpenCVEncoder
from edgecam.recorder.index import EventIndex
from edgecam.recorder.names import parse, segment_name
from edgecam.recorder.preroll import Held, PreRoll, hold
from edgecam.recorder.quota import surplus

# ---- names


@given(st.text(), st.floats(allow_nan=False), st.integers(1, 10**9))
def test_every_name_that_is_given_is_read_back(camera: str, at: float, number: int) -> None:
    name = segment_name(slug(camera), at, number)
    for text, done in ((name.final, True), (name.part, False)):
        found = parse(text)
        assert found is not None
        assert (found.stem, found.number, found.done) == (name.stem, number, done)


@pytest.mark.parametrize(
    "name",
    [
        "holiday.mp4",
        "cam_20231114T221320.000Z_000001.mkv",
        "cam_20231114T221320.000Z_1.mp4",
        "cam_20231114T221320Z_000001.mp4",
        "../cam_20231114T221320.000Z_000001.mp4",
        "cam_20231114T221320.000Z_000001.mp4\n",
        ".cam_20231114T221320.000Z_000001.mp4",
        "cam_20231114T221320.000Z_000001.mp4.part",
    ],
)
def test_what_is_not_our_name_is_nobody_to_delete(name: str) -> None:
    assert parse(name) is None


# ---- boxes


@pytest.fixture(scope="module")
def part(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("part") / "a.part.ismv"
    write_part(path, 60)
    return path


def test_a_closed_file_is_whole(part: Path) -> None:
    assert content_of(part) == (60, part.stat().st_size)


def test_a_file_that_is_cut_anywhere_plays_up_to_where_it_is_whole(part: Path, tmp_path: Path) -> None:
    whole = part.read_bytes()
    cut = tmp_path / "cut.mp4"
    before = 0
    for length in range(0, len(whole), len(whole) // 40):
        cut.write_bytes(whole[:length])
        frames, good = content_of(cut)
        assert good <= length
        assert frames >= before
        before = frames
        if frames:
            cut.write_bytes(whole[:good])
            assert numbers_in(cut) == list(range(frames))
    assert before >= 48, "all fragments but the last"


@given(st.binary(max_size=200))
def test_any_bytes_are_no_danger(content: bytes) -> None:
    import tempfile

    with tempfile.NamedTemporaryFile() as file:
        file.write(content)
        file.flush()
        assert content_of(Path(file.name)).length <= len(content)


def test_a_fragment_counts_only_with_a_description_and_its_data(tmp_path: Path) -> None:
    def box(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I4s", 8 + len(content), kind) + content

    moof = box(b"moof", box(b"traf", box(b"trun", struct.pack(">II", 0, 7))))
    mdat = struct.pack(">I4sQ", 1, b"mdat", 16 + 5) + b"12345"  # its length in 64 bits
    path = tmp_path / "a"
    path.write_bytes(box(b"ftyp", b"") + box(b"moov", b"") + moof + mdat + moof)
    assert content_of(path) == (7, path.stat().st_size - len(moof))
    path.write_bytes(box(b"ftyp", b"") + moof + mdat)
    assert content_of(path).length == 0


# ---- quota


@given(st.lists(st.integers(0, 1000), max_size=30), st.integers(-100, 10_000))
def test_as_few_go_as_must_and_the_oldest_first(sizes: list[int], room: int) -> None:
    gone = surplus(sizes, room)
    assert 0 <= gone <= len(sizes)
    assert gone == len(sizes) or sum(sizes[gone:]) <= room
    assert gone == 0 or sum(sizes[gone - 1 :]) > room


# ---- clock


@given(st.lists(st.floats(-1e9, 1e12, allow_nan=False), min_size=2, max_size=50))
def test_the_clock_never_runs_back_and_never_leaps(times: list[float]) -> None:
    clock = MediaClock(live=True, fps=FPS)
    ticks = [clock.tick(at) for at in times]
    steps = np.diff(ticks)
    assert all(0 <= step <= LONGEST_HOLD_S + 1e-9 for step in steps)
    assert clock.of(times[-1]) == ticks[-1]
    assert clock.newest() == ticks[-1]


def test_the_rate_is_that_of_the_last_frames() -> None:
    clock = MediaClock(live=True, fps=60.0)
    for number in range(20):
        clock.tick(number / 5)
    assert clock.rate() is None, "too few to tell"
    for number in range(40):
        clock.tick(4 + number / 16)
    assert clock.rate() == pytest.approx(16)


# ---- around events


@given(
    st.floats(0, 10),
    st.floats(0, 10),
    st.lists(st.tuples(st.floats(0, 100), st.floats(0, 20)), max_size=6),
    st.floats(0, 130),
)
def test_a_moment_is_wanted_exactly_if_it_is_in_or_soon_after_an_event(
    pre: float, post: float, events: list[tuple[float, float]], moment: float
) -> None:
    around = Around(pre, post)
    told = sorted(
        [(start, 0, f"{i}") for i, (start, _) in enumerate(events)]
        + [(start + length, 1, f"{i}") for i, (start, length) in enumerate(events)]
    )
    for at, phase, name in told:
        if at > moment:
            break
        if phase == 0:
            assert around.start(name, at) == at - pre
        else:
            around.end(name, at)
    assert around.wants(moment) == any(start <= moment <= start + length + post for start, length in events)


# ---- pre-roll


def held(at_s: float, size: int, wanted: bool = False) -> Held:
    return Held(at_s, at_s, bytes(size), wanted)


@given(
    st.lists(st.tuples(st.integers(1, 50), st.booleans()), max_size=60),
    st.integers(50, 400),
    st.floats(0.1, 30),
)
def test_the_pre_roll_is_bounded_keeps_order_and_counts_what_was_wanted_and_lost(
    frames: list[tuple[int, bool]], limit: int, seconds: float
) -> None:
    roll = PreRoll(seconds, limit)
    for number, (size, wanted) in enumerate(frames):
        roll.add(held(float(number), size, wanted))
        assert roll.bytes <= limit
    roll.want_from(len(frames) - 5.0)
    out = []
    while (one := roll.next()) is not None:
        out.append(one.at_s)
    assert out == sorted(out)
    wanted_ones = {float(number) for number, (_, wanted) in enumerate(frames) if wanted}
    assert len(wanted_ones - set(out)) == roll.lost
    late = {float(n) for n in range(max(0, len(frames) - 5), len(frames))}
    if sum(size for size, _ in frames[-5:]) <= limit and not wanted_ones and seconds >= 5:
        assert late <= set(out)


def test_what_is_older_than_the_pre_roll_goes_and_what_waits_to_be_written_stays() -> None:
    roll = PreRoll(2.0, 10_000)
    for number in range(10):
        roll.add(held(float(number), 10))
    roll.want_from(8.0)
    for number in range(10, 20):
        roll.add(held(float(number), 10))
    assert [one.at_s for one in iter(roll.next, None)] == [8.0, 9.0]


def test_frames_that_wait_behind_unwanted_ones_come_out_after_a_gap() -> None:
    roll = PreRoll(100.0, 10_000)
    for number in range(10):
        roll.add(held(float(number), 10, wanted=number < 3))
    roll.want_from(8.0)
    out = [(one.at_s, one.after_gap) for one in iter(roll.next, None)]
    assert out == [(0.0, False), (1.0, False), (2.0, False), (8.0, True), (9.0, False)]
    assert not roll
    assert roll.bytes == 0


def test_a_held_frame_is_close_to_what_it_was() -> None:
    assert number_in(hold(numbered(1234), 0.0, 0.0, False).frame()) == 1234


# ---- index


def test_lines_that_a_full_disk_refused_are_written_with_the_next_one(tmp_path: Path) -> None:
    folder = tmp_path / "rec"
    lines = EventIndex(folder)
    lines.add({"id": "a", "file": "x"}, list)  # the folder is away
    folder.mkdir()
    lines.add({"id": "b", "file": "x"}, list)
    written = [json.loads(line)["id"] for line in (folder / index.NAME).read_text().splitlines()]
    assert written == ["a", "b"]


def test_a_large_index_forgets_segments_that_are_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(index, "LARGE", 2000)
    lines = EventIndex(tmp_path)
    for number in range(200):
        lines.add({"id": number, "file": f"{number}.mp4"}, lambda last=number: [f"{last}.mp4"])
    path = tmp_path / index.NAME
    assert path.stat().st_size < 4100
    assert json.loads(path.read_text().splitlines()[-1])["id"] == 199


def test_an_index_that_is_a_link_is_never_followed(tmp_path: Path) -> None:
    (tmp_path / "rec").mkdir()
    target = tmp_path / "target"
    target.write_text("mine")
    (tmp_path / "rec" / index.NAME).symlink_to(target)
    EventIndex(tmp_path / "rec").add({"id": "a", "file": "x"}, list)
    assert target.read_text() == "mine"


@pytest.mark.parametrize("fps", [0.5, 29.97, 65.4321, 187.3456, 999.9876])
def test_a_camera_of_any_measured_rate_can_be_recorded(fps: float, tmp_path: Path) -> None:
    encoder = OpenCVEncoder(tmp_path / "a.ismv", fps, (24, 32))
    encoder.write(np.zeros((24, 32, 3), np.uint8))
    encoder.close()
