"""The whole loop while cameras fail: what reaches an output is always a fresh frame, and all are counted."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from itertools import pairwise
from pathlib import Path

import psutil
import pytest

from edge.loop_kit import make_bundle
from edgecam import live
from edgecam.loop.summary import Summary
from edgecam.settings import RunSettings
from edgecam_engines.errors import SourceError
from edgecam_engines.fixed import FixedEngine
from faults.sources import OPENER
from faults.witness import Witness, beside, readers, wait_for

CAMERA = "scripted camera"


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_bundle(tmp_path_factory.mktemp("bundle") / "colours.edgecam")


@pytest.fixture(autouse=True)
def no_display(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)


def uri(**script: object) -> str:
    return "scripted://?" + "&".join(f"{key}={value}" for key, value in {"fps": 100, **script}.items())


@contextmanager
def meanwhile(work: Callable[[], None]) -> Iterator[None]:
    """Something that happens while the loop runs; its failure is ours."""
    failed: list[BaseException] = []

    def watched() -> None:
        try:
            work()
        except BaseException as error:
            failed.append(error)

    thread = threading.Thread(target=watched)
    thread.start()
    yield
    thread.join()
    if failed:
        raise failed[0]


def run(bundle: Path, witness: Witness, *cameras: str, **options: object) -> Summary:
    with beside(witness):
        summary = live.run(RunSettings(bundle, cameras, **options), opener=OPENER)  # type: ignore[arg-type]
    assert readers() == []
    for camera in {status.camera for status in witness.statuses}:
        last = witness.last(camera)
        assert last.captured == last.processed + last.skipped, "every frame is accounted for"
        assert last.processed == witness.frames[camera]
    return summary


def after(camera: str, states: list[str], frames: int = 10) -> Callable[[Witness], bool]:
    """Done when a camera went through these states, and so many results came after the last change."""
    at: list[int] = []

    def done(witness: Witness) -> bool:
        if not at and witness.states(camera) == states:
            at.append(witness.frames[camera])
        return bool(at) and witness.frames[camera] >= at[0] + frames

    return done


def test_a_reader_that_is_killed_is_told_replaced_and_nothing_stale_is_seen(bundle: Path) -> None:
    witness = Witness(after(CAMERA, ["connecting", "live", "lost", "live", "lost", "live"]))

    def kill() -> None:
        wait_for(lambda: witness.frames[CAMERA] > 5)
        for states in (4, 6):
            (reader,) = readers()
            reader.kill()
            assert wait_for(partial(back_after, states)) < 2.0

    def back_after(states: int) -> bool:
        return len(witness.states(CAMERA)) == states

    with meanwhile(kill):
        summary = run(bundle, witness, uri())
    assert summary.lost == witness.last(CAMERA).lost == 2


def test_a_frozen_reader_is_replaced_though_nobody_thaws_it(bundle: Path) -> None:
    witness = Witness(after(CAMERA, ["connecting", "live", "stalled", "lost", "live"]))

    def freeze() -> None:
        wait_for(lambda: witness.frames[CAMERA] > 5)
        readers()[0].suspend()

    with meanwhile(freeze):
        run(bundle, witness, uri())
    gap = max(later - earlier for earlier, later in pairwise(witness.arrived))
    assert 4.5 < gap < 8.0, "five seconds of patience, and a moment to start another one"


def test_a_camera_that_goes_and_comes_back_leaves_a_gap_and_no_made_up_frame(
    bundle: Path, tmp_path: Path
) -> None:
    device = tmp_path / "device"
    device.touch()
    witness = Witness(after(CAMERA, ["connecting", "live", "lost", "live"]))
    returned: list[float] = []

    def unplug() -> None:
        wait_for(lambda: witness.frames[CAMERA] > 5)
        device.unlink()
        wait_for(lambda: witness.states(CAMERA)[-1] == "lost")
        before = witness.frames[CAMERA]
        time.sleep(1.0)
        assert witness.frames[CAMERA] == before
        device.touch()
        returned.append(time.monotonic())

    with meanwhile(unplug):
        run(bundle, witness, f"scripted://?fps=100&while={device}")
    assert min(at for at in witness.arrived if at > returned[0]) - returned[0] < 2.0


def test_a_resolution_that_changes_in_the_middle_changes_nothing_else(bundle: Path) -> None:
    witness = Witness(lambda witness: witness.frames[CAMERA] >= 60)
    summary = run(bundle, witness, uri(hw="24x32,48x64,30x20", shape_for=9))
    assert witness.shapes == {(24, 32, 3), (48, 64, 3), (30, 20, 3)}
    assert summary.lost == 0


def test_a_slow_engine_skips_frames_and_never_shows_old_ones(
    bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    infer = FixedEngine.infer

    def slowly(self: FixedEngine, frames: object, /) -> object:
        time.sleep(0.05)
        return infer(self, frames)  # type: ignore[arg-type]

    monkeypatch.setattr(FixedEngine, "infer", slowly)
    witness = Witness(lambda witness: witness.frames[CAMERA] >= 20)
    run(bundle, witness, uri(fps=200))
    assert witness.last(CAMERA).skipped > 3 * witness.frames[CAMERA]
    assert sorted(witness.ages_ms)[10] < 100


def test_two_cameras_share_the_engine_fairly_and_one_that_fails_does_not_stop_the_other(
    bundle: Path, tmp_path: Path
) -> None:
    device = tmp_path / "device"
    device.touch()
    witness = Witness(after("two", ["connecting", "live", "lost", "live"]))

    def unplug() -> None:
        wait_for(lambda: min(witness.frames["one"], witness.frames["two"]) > 20)
        assert abs(witness.frames["one"] - witness.frames["two"]) < 20
        device.unlink()
        wait_for(lambda: witness.states("two")[-1] == "lost")
        before = witness.frames["one"]
        wait_for(lambda: witness.frames["one"] > before + 20)
        device.touch()

    with meanwhile(unplug):
        run(bundle, witness, uri(name="one"), uri(name="two", **{"while": device}))
    assert witness.states("one") == ["connecting", "live"]


def test_two_cameras_of_one_name_are_told_apart(bundle: Path) -> None:
    witness = Witness(lambda witness: len(witness.frames) == 2)
    run(bundle, witness, uri(), uri())
    assert set(witness.frames) == {CAMERA, f"{CAMERA} (2)"}


def test_a_camera_that_is_not_there_at_the_start_ends_the_run_and_leaves_nothing(
    bundle: Path, tmp_path: Path
) -> None:
    witness = Witness(lambda witness: False)
    with pytest.raises(SourceError, match="There is no camera"):
        run(bundle, witness, uri(), f"scripted://?while={tmp_path / 'none'}")
    assert readers() == []


def test_at_most_so_many_answers_a_second_each_of_them_new(bundle: Path) -> None:
    witness = Witness(lambda witness: witness.frames[CAMERA] >= 12)
    summary = run(bundle, witness, uri(), fps=20.0)
    assert summary.seconds > 0.9 * 11 / 20
    assert sorted(witness.ages_ms)[6] < 50


def test_only_every_nth_frame_is_answered(bundle: Path) -> None:
    witness = Witness(lambda witness: witness.frames[CAMERA] >= 10)
    summary = run(bundle, witness, uri(), every=5)
    assert summary.skipped >= 4 * 9


# ---- the loop itself dies

LOOP = """
import sys
from pathlib import Path
from edgecam import live
from edgecam.settings import RunSettings
live.run(RunSettings(Path(sys.argv[1]), (sys.argv[2],), json=True), opener=sys.argv[3])
"""


@contextmanager
def loop_process(bundle: Path) -> Iterator["subprocess.Popen[str]"]:
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    process = subprocess.Popen(
        [sys.executable, "-c", LOOP, str(bundle), uri(hw="720x1280"), OPENER],
        stdout=subprocess.PIPE,
        text=True,
        env=environ,
    )
    assert process.stdout is not None
    with process.stdout, process:
        yield process
        process.kill()


@pytest.mark.parametrize("frozen", [False, True])
def test_a_loop_that_is_killed_leaves_no_process_and_no_memory(bundle: Path, frozen: bool) -> None:
    names = set(Path("/dev/shm").iterdir())
    with loop_process(bundle) as process:
        assert process.stdout is not None
        assert json.loads(process.stdout.readline())["frame"] >= 0
        (reader,) = readers(process.pid)
        assert set(Path("/dev/shm").iterdir()) <= names, "frames are in memory without a name"
        if frozen:
            reader.suspend()
        process.kill()
        process.wait()
        wait_for(lambda: not reader.is_running() or reader.status() == psutil.STATUS_ZOMBIE, seconds=2.0)


def test_ctrl_c_in_a_terminal_ends_loop_and_reader(bundle: Path) -> None:
    with loop_process(bundle) as process:
        assert process.stdout is not None
        process.stdout.readline()
        (reader,) = readers(process.pid)
        process.send_signal(signal.SIGINT)
        process.stdout.read()
        assert process.wait(10) != 0
        assert not reader.is_running()
