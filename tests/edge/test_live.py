"""The loop with real threads, real files and the fixed engine."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from edge.loop_kit import CLASSES, colour_head, frames_in, make_bundle, make_video, scene
from edgecam import live
from edgecam.loop.summary import Summary
from edgecam.recognise import recognise
from edgecam.result import UNKNOWN
from edgecam.settings import RunSettings
from edgecam.sources.source import Shot
from edgecam_engines.engine import Features, Frames
from edgecam_engines.errors import BundleError, EngineError, OutputError, SourceError
from edgecam_engines.fixed import FixedEngine

KEYS = ["frame", "captured_at", "age_ms", "skipped", "label", "confidence", "box", "top"]


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_bundle(tmp_path_factory.mktemp("bundle") / "colours.edgecam")


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_video(tmp_path_factory.mktemp("video") / "clip.mp4", frames=60)


@pytest.fixture(autouse=True)
def no_display(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)


@contextmanager
def leaving_no_threads() -> Iterator[None]:
    before = set(threading.enumerate())
    yield
    assert set(threading.enumerate()) <= before


def run(bundle: Path, camera: str, **options: Any) -> Summary:
    return live.run(RunSettings(bundle, (camera,), **options))


def lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def shot(kind: int) -> Shot:
    return Shot(scene(kind), number=4, captured=10.0, captured_at=1.7e9, skipped=1)


# ---- one frame


@pytest.mark.parametrize("kind", range(3))
def test_a_frame_is_named_and_its_box_is_where_the_colour_is(kind: int) -> None:
    result = recognise(shot(kind), FixedEngine((64, 64), 8), colour_head(), 0.5, now=lambda: 10.25)
    assert result.label == CLASSES[kind]
    assert result.age_ms == pytest.approx(250)
    assert result.box is not None
    # The square covers columns 40 to 120 and rows 60 to 180; a cell is 40 by 30 pixels.
    assert np.abs(np.array(result.box) - (40, 60, 120, 180)).max() <= 20
    assert result.top[0].label == CLASSES[kind]
    assert len(result.top) == 3


def test_below_the_threshold_nothing_is_claimed_but_the_guess_is_kept() -> None:
    result = recognise(shot(1), FixedEngine((64, 64), 8), colour_head(), 1.01)
    assert (result.label, result.box, result.heat) == (UNKNOWN, None, None)
    assert result.top[0].label == CLASSES[1]
    assert result.confidence == result.top[0].confidence > 0.9


def test_a_frame_without_any_place_to_point_at_has_a_label_and_no_box() -> None:
    flat = Shot(np.full((48, 64, 3), (10, 10, 240), np.uint8), 0, 0.0, 0.0)
    result = recognise(flat, FixedEngine((64, 64), 8), colour_head(), 0.5)
    assert (result.label, result.box, result.heat) == (CLASSES[2], None, None)


def test_numbers_that_are_not_finite_are_an_error_and_never_a_label() -> None:
    class Broken(FixedEngine):
        def infer(self, frames: Frames, /) -> Features:
            return super().infer(frames) * np.float32("nan")

    with pytest.raises(EngineError, match="not finite for frame 4"):
        recognise(shot(0), Broken((64, 64), 8), colour_head(), 0.5)


# ---- the loop


def test_every_frame_of_a_file_is_answered_once_and_in_order(
    bundle: Path, video: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with leaving_no_threads():
        summary = run(bundle, str(video), json=True)
    said = lines(capsys)
    assert (summary.frames, summary.skipped, summary.lost) == (60, 0, 0)
    assert [line["frame"] for line in said] == list(range(60))
    assert all(list(line) == KEYS for line in said)
    assert [line["label"] for line in said] == [name for name in CLASSES for _ in range(20)]
    assert all(line["age_ms"] > 0 and line["skipped"] == 0 for line in said)
    assert [line["captured_at"] for line in said] == sorted(line["captured_at"] for line in said)


def test_a_file_in_real_time_takes_its_own_time_and_accounts_for_every_frame(
    bundle: Path, video: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    summary = run(bundle, str(video), json=True, realtime=True)
    said = lines(capsys)
    assert 59 / 25 - 0.3 < summary.seconds < 20, "never faster; a busy machine may be slower"
    for answered, line in enumerate(said):
        assert line["skipped"] + answered == line["frame"]
    assert said[-1]["frame"] == 59


def test_max_frames_ends_the_run_early_and_the_recording_has_as_many(
    bundle: Path, video: Path, tmp_path: Path
) -> None:
    path = tmp_path / "overlay.mp4"
    with leaving_no_threads():
        summary = run(bundle, str(video), record=path, max_frames=7)
    assert (summary.frames, summary.recorded) == (7, path)
    assert len(frames_in(path)) == 7


def test_a_recording_shows_the_overlay(bundle: Path, video: Path, tmp_path: Path) -> None:
    run(bundle, str(video), record=tmp_path / "overlay.mp4")
    plain, drawn = frames_in(video)[30], frames_in(tmp_path / "overlay.mp4")[30]
    difference = np.abs(plain.astype(int) - drawn).max(axis=2)
    inside, outside = difference[80:160, 60:100], difference[100:, 200:]
    assert inside.mean() > 40, "heat lies on the coloured square"
    assert outside.mean() < 10, "and not elsewhere"


def test_photos_of_different_sizes_are_all_answered_and_recorded(
    bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for i, hw in enumerate([(240, 320), (300, 200), (64, 64)]):
        (tmp_path / "photos" / str(i)).mkdir(parents=True)
        cv2.imwrite(str(tmp_path / "photos" / str(i) / "photo.png"), scene(i, hw))
    run(bundle, str(tmp_path / "photos"), json=True, record=tmp_path / "overlay.mp4")
    said = lines(capsys)
    assert [line["label"] for line in said] == list(CLASSES)
    for line, (h, w) in zip(said, [(240, 320), (300, 200), (64, 64)], strict=True):
        left, top, right, bottom = line["box"]
        assert 0 <= left < right <= w
        assert 0 <= top < bottom <= h
    assert len(frames_in(tmp_path / "overlay.mp4")) == 3


def test_without_json_stdout_stays_empty_and_people_are_told_on_stderr(
    bundle: Path, video: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    run(bundle, str(video), max_frames=5)
    captured = capfd.readouterr()
    assert captured.out == ""
    assert f"frame 0: {CLASSES[0]}" in captured.err
    assert "5 frames" in captured.err


def test_the_number_of_opencv_threads_is_as_it_was(bundle: Path, video: Path) -> None:
    before = cv2.getNumThreads()
    run(bundle, str(video), max_frames=1)
    assert cv2.getNumThreads() == before


def test_an_error_of_the_engine_ends_the_run_and_leaves_a_complete_recording(
    bundle: Path, video: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answered = iter(range(100))
    infer = FixedEngine.infer

    def fails_at_last(self: FixedEngine, frames: Frames, /) -> Features:
        if next(answered) == 10:
            raise EngineError("The device is gone.")
        return infer(self, frames)

    monkeypatch.setattr(FixedEngine, "infer", fails_at_last)
    with leaving_no_threads(), pytest.raises(EngineError, match="device is gone"):
        run(bundle, str(video), record=tmp_path / "overlay.mp4")
    assert len(frames_in(tmp_path / "overlay.mp4")) == 10


def test_an_engine_that_cannot_be_opened_ends_the_run(bundle: Path, video: Path, tmp_path: Path) -> None:
    with leaving_no_threads(), pytest.raises(EngineError, match="no back end 'abacus'"):
        run(bundle, str(video), backend="abacus", record=tmp_path / "overlay.mp4")
    assert list(tmp_path.iterdir()) == []


def test_a_wrong_bundle_is_told_before_the_camera_is_touched(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="does not exist"):
        run(tmp_path / "none.edgecam", "no such camera")


def test_a_missing_source_leaves_nothing_behind(bundle: Path, tmp_path: Path) -> None:
    with leaving_no_threads(), pytest.raises(SourceError):
        run(bundle, str(tmp_path / "missing.mp4"), record=tmp_path / "overlay.mp4")
    assert list(tmp_path.iterdir()) == []


def test_a_window_that_is_demanded_without_a_display_is_refused(bundle: Path, video: Path) -> None:
    with leaving_no_threads(), pytest.raises(OutputError, match=r"no display(.|\n)*--record"):
        run(bundle, str(video), window=True)


def test_a_recording_that_is_refused_ends_the_run_before_it_starts(
    bundle: Path, video: Path, tmp_path: Path
) -> None:
    with leaving_no_threads(), pytest.raises(OutputError, match="MP4"):
        run(bundle, str(video), record=tmp_path / "overlay.avi")
