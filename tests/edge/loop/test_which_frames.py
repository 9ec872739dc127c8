"""Which frames are looked at: a rate, every n-th, a region, only those in which something moved."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.loop_kit import colour_head, scene
from edgecam.loop.batch import batch_that_pays
from edgecam.loop.cameras import distinct, is_live
from edgecam.loop.gate import Gate
from edgecam.loop.motion import ALIVE_S, Motion
from edgecam.loop.region import parse_region
from edgecam.recognise import Look, recognise_all
from edgecam.sources.source import Shot
from edgecam_engines.engine import Features, Frame, Frames
from edgecam_engines.errors import EngineError, SourceError
from edgecam_engines.fixed import FixedEngine
from edgecam_engines.geometry import Box

# ---- gate


def taken_by(gate: Gate, times: list[float]) -> list[int]:
    """Numbers that a camera's frames have which came at these times and were taken."""
    taken = []
    for number, now in enumerate(times):
        if gate.wait(now) == 0 and gate.wants(number):
            gate.took(number, now)
            taken.append(number)
    return taken


def test_without_limits_every_frame_is_taken() -> None:
    assert taken_by(Gate(), [i / 30 for i in range(10)]) == list(range(10))


@pytest.mark.parametrize(("camera", "asked"), [(30, 10), (30, 7), (100, 3), (25, 24)])
def test_a_rate_is_met_on_average_and_never_passed(camera: int, asked: int) -> None:
    taken = taken_by(Gate(fps=asked), [i / camera for i in range(60 * camera)])
    assert 60 * asked * 0.98 <= len(taken) <= 60 * asked + 1


def test_a_camera_slower_than_the_rate_is_not_held_back_and_gathers_no_credit() -> None:
    gate = Gate(fps=10)
    assert taken_by(gate, [0.0, 1.0, 2.0, 3.0, 3.01, 3.02, 3.05]) == [0, 1, 2, 3]


@given(st.integers(1, 9), st.lists(st.integers(1, 5), min_size=1, max_size=40))
def test_between_two_taken_frames_lie_at_least_n_numbers(every: int, steps: list[int]) -> None:
    gate, number, taken = Gate(every=every), 0, [0]
    gate.took(0, 0.0)
    for step in steps:  # numbers that a slow engine sees are not consecutive
        number += step
        if gate.wants(number):
            gate.took(number, 0.0)
            taken.append(number)
        else:
            assert number - taken[-1] < every
    assert all(later - earlier >= every for earlier, later in pairwise(taken))


def test_a_changed_rate_counts_from_now() -> None:
    gate = Gate(fps=0.01)
    gate.took(0, 0.0)
    assert gate.wait(1.0) == pytest.approx(99.0)
    gate.change(every=1, fps=10.0)
    assert gate.wait(1.0) == 0


# ---- motion


def noisy(frame: Frame, rng: np.random.Generator, sigma: float = 5.0) -> Frame:
    return np.clip(frame + rng.normal(0, sigma, frame.shape), 0, 255).astype(np.uint8)


def test_noise_is_no_motion_but_a_sign_of_life_comes_now_and_then() -> None:
    rng, motion = np.random.default_rng(0), Motion()
    counted = [i / 10 for i in range(200) if motion.counts(noisy(scene(0), rng), i / 10)]
    assert counted == [0.0, ALIVE_S, 2 * ALIVE_S, 3 * ALIVE_S]


def test_a_thing_that_appears_counts_at_once_and_so_does_its_going() -> None:
    motion, empty, there = Motion(), np.full((240, 320, 3), 60, np.uint8), scene(2)
    assert [motion.counts(f, 0.1) for f in (empty, empty, there, there, empty)] == [
        True,
        False,
        True,
        False,
        True,
    ]


def test_what_creeps_is_seen_since_it_is_compared_with_what_counted_last() -> None:
    motion, moved = Motion(), 0
    for i in range(100):
        frame = np.full((240, 320, 3), 60, np.uint8)
        frame[100:140, 2 * i : 2 * i + 40] = 200
        moved += motion.counts(frame, i * 0.001)
    assert 10 < moved < 60


# ---- region


def test_a_region_in_parts_follows_the_frame_and_one_in_pixels_does_not() -> None:
    parts, pixels = parse_region("0.25, 0, 0.5, 1"), parse_region("16,8,100,50")
    assert parts.within((240, 320)) == Box(80, 0, 240, 240)
    assert parts.within((10, 10)) == Box(2, 0, 8, 10)
    assert pixels.within((240, 320)) == Box(16, 8, 116, 58)
    assert pixels.within((20, 40)) == Box(16, 8, 40, 20)


@pytest.mark.parametrize("text", ["", "1,2,3", "0,0,0,1", "a,b,c,d", "-1,0,5,5", "0,0,1e3,1", "0,0,nan,1"])
def test_what_is_no_region_is_refused_with_one_that_is(text: str) -> None:
    with pytest.raises(SourceError, match=r"--roi 0\.25,0\.25,0\.5,0\.5"):
        parse_region(text)


def test_a_region_outside_the_frame_is_refused() -> None:
    with pytest.raises(SourceError, match="inside a frame of 320 x 240"):
        parse_region("400,0,50,50").within((240, 320))


@pytest.mark.parametrize("kind", range(3))
def test_in_a_region_the_box_and_the_heat_are_those_of_the_whole_frame(kind: int) -> None:
    frame = scene(kind)  # the square covers columns 40 to 120 and rows 60 to 180
    region = Box(20, 40, 180, 200)
    engine = FixedEngine((64, 64), 8)
    shot = Shot(frame, 0, 0.0, 0.0)
    (inside,) = recognise_all([Look(shot, region, "door")], engine, colour_head(), 0.5)
    assert inside.camera == "door"
    assert inside.box is not None
    assert inside.heat is not None
    assert np.abs(np.array(inside.box) - (40, 60, 120, 180)).max() <= 20
    assert inside.heat.shape == (64, 64)
    rows, columns = np.nonzero(inside.heat > 128)
    assert rows.min() * 240 / 64 >= 40
    assert np.abs(np.array([columns.min() * 5, columns.max() * 5 + 5]) - (40, 120)).max() <= 20
    outside = np.ones((64, 64), bool)
    outside[40 * 64 // 240 : -(-200 * 64 // 240), 20 * 64 // 320 : -(-180 * 64 // 320)] = False
    assert not inside.heat[outside].any()


def test_the_region_keeps_out_what_lies_beside_it() -> None:
    frame = scene(0)
    frame[:, 200:] = (30, 30, 250)  # a large red thing on the right
    shot = Shot(frame, 0, 0.0, 0.0)
    engine, head = FixedEngine((64, 64), 8), colour_head()
    whole, part = recognise_all([Look(shot), Look(shot, Box(0, 0, 160, 240))], engine, head, 0.0)
    assert (whole.top[0].label, part.top[0].label) == ("red thing", "blue thing")


# ---- batches


def test_frames_of_one_call_get_the_answers_that_each_gets_alone() -> None:
    engine, head = FixedEngine((64, 64), 8), colour_head()
    looks = [
        Look(Shot(scene(k, hw), k, 0.0, 0.0), None, str(k))
        for k, hw in enumerate([(240, 320), (64, 64), (90, 50)])
    ]
    together = recognise_all(looks, engine, head, 0.5, now=lambda: 1.0)
    for look, answer in zip(looks, together, strict=True):
        (alone,) = recognise_all([look], engine, head, 0.5, now=lambda: 1.0)
        arrays = {"heat": None, "probabilities": None, "features": None}
        assert alone._replace(**arrays) == answer._replace(**arrays)
        np.testing.assert_array_equal(alone.heat, answer.heat)
        np.testing.assert_array_equal(alone.features, answer.features)
        np.testing.assert_array_equal(alone.probabilities, answer.probabilities)


class Costing(FixedEngine):
    """Takes time that a clock shows: some for each call, some for each frame."""

    def __init__(self, call_s: float, frame_s: float, most: int = 99) -> None:
        super().__init__()
        self.now, self._costs, self._most = 0.0, (call_s, frame_s), most

    def infer(self, frames: Frames, /) -> Features:
        if len(frames) > self._most:
            raise EngineError("This engine takes single frames.")
        self.now += self._costs[0] + self._costs[1] * len(frames)
        return super().infer(frames)


@pytest.mark.parametrize(
    ("call_s", "frame_s", "cameras", "batch"),
    [(0.01, 0.001, 4, 4), (0.0, 0.01, 4, 1), (0.0005, 0.01, 4, 1), (0.01, 0.001, 1, 1)],
)
def test_cameras_share_a_call_only_where_that_saves_time(
    call_s: float, frame_s: float, cameras: int, batch: int
) -> None:
    engine = Costing(call_s, frame_s)
    assert batch_that_pays(engine, cameras, lambda: engine.now) == batch


def test_an_engine_that_takes_single_frames_gets_single_frames() -> None:
    engine = Costing(0.01, 0.001, most=1)
    assert batch_that_pays(engine, 3, lambda: engine.now) == 1


# ---- cameras


def test_names_that_are_there_already_get_numbers() -> None:
    assert distinct(["a", "b", "a", "a (2)", "a"]) == ["a", "b", "a (2)", "a (2) (2)", "a (3)"]


def test_cameras_and_streams_are_live_and_files_are_not() -> None:
    assert [
        uri for uri in ("0", "/dev/video1", "rtsp://camera/1", "csi://0", "clip.mp4") if is_live(uri)
    ] == [
        "0",
        "/dev/video1",
        "rtsp://camera/1",
        "csi://0",
    ]
