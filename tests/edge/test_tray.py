"""The tray: hard frames on disk, to be labelled and trained on, within a quota, whatever the disk does."""

import errno
import json
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge.decision_kit import CLASSES, answer, sure
from edgecam.result import Result
from edgecam.sinks.tray import WAITING, Tray, thumbnail
from edgecam.sinks.tray_quota import make_room
from edgecam_engines.engine import Frame
from edgecam_engines.errors import OutputError
from edgecam_engines.photo import read_photo
from edgecam_training.data import find_photos

CLOSE_CALL = [0.1, 0.5, 0.4]
AT = 1769860800.25  # 2026-01-31 12:00:00.250 UTC
MINUTE = 60.0


def scenery(seed: int, hw: tuple[int, int] = (120, 160)) -> Frame:
    """A picture of large patches, unlike that of any other seed, with a grain that JPEG cannot save on."""
    rng = np.random.default_rng(seed)
    patches = rng.integers(0, 230, (6, 8, 3), dtype=np.uint8)
    smooth = cv2.resize(patches, hw[::-1], interpolation=cv2.INTER_NEAREST)
    return np.asarray(smooth + rng.integers(0, 25, smooth.shape, dtype=np.uint8), np.uint8)


@contextmanager
def opened(folder: Path, said: list[str] | None = None, quota_mb: float = 10.0) -> Iterator[Tray]:
    tray = Tray(folder, quota_mb=quota_mb, say=(said if said is not None else []).append)
    try:
        yield tray
    finally:
        tray.close()


def offer(tray: Tray, seed: int, camera: str = "yard", hw: tuple[int, int] = (120, 160)) -> Result:
    """A hard frame, a minute after the one before."""
    result = answer(CLOSE_CALL, seed, AT + seed * MINUTE)._replace(camera=camera)
    tray.write(scenery(seed, hw), result)
    return result


def settle(tray: Tray, done: int) -> None:
    """Wait until so many frames were dealt with, so that none is dropped for want of room."""
    deadline = time.monotonic() + 30
    while tray.saved + tray.failed < done:
        assert time.monotonic() < deadline
        time.sleep(0.001)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


def test_a_hard_frame_is_a_photo_with_all_that_was_said_of_it_beside(tmp_path: Path) -> None:
    with opened(tmp_path) as tray:
        offer(tray, 3)
        tray.write(scenery(4), answer(sure(1), 4, AT + 999))
    assert names(tmp_path) == [f"2026-01-31T120300.250Z-yard-3.{kind}" for kind in ("jpg", "json")]
    [photo] = tmp_path.glob("unlabelled/*.jpg")
    assert np.abs(read_photo(photo).astype(int) - scenery(3)).mean() < 9
    assert json.loads(photo.with_suffix(".json").read_text()) == {
        "schema": 1,
        "photo": photo.name,
        "camera": "yard",
        "captured_at": "2026-01-31T12:03:00.250Z",
        "frame": 3,
        "why": ["close"],
        "label": "crack",
        "frame_label": "crack",
        "margin": 0.1,
        "probabilities": {"background": 0.1, "crack": 0.5, "hot spot": 0.4},
    }
    assert tray.saved == 1


def test_what_somebody_labels_can_be_trained_on(tmp_path: Path) -> None:
    with opened(tmp_path / "tray") as tray:
        for seed in range(8):
            offer(tray, seed)
            settle(tray, seed + 1)
    for number, photo in enumerate(sorted((tmp_path / "tray" / "unlabelled").glob("*.jpg"))):
        place = tmp_path / "data" / CLASSES[number % 2]
        place.mkdir(parents=True, exist_ok=True)
        photo.rename(place / photo.name)
    split = find_photos(tmp_path / "data", val_share=0.25, min_photos=2, seed=0)
    assert split.classes == ("background", "crack")
    assert (len(split.train) + len(split.val), split.problems) == (8, [])


def test_thirty_frames_a_second_of_one_scene_are_one_photo(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    with opened(tmp_path) as tray:
        for n in range(300):
            noisy = np.clip(scenery(0) + rng.normal(0, 6, scenery(0).shape), 0, 255).astype(np.uint8)
            tray.write(noisy, answer(CLOSE_CALL, n, AT + n))
    assert tray.saved == 1


@pytest.mark.parametrize(
    "camera",
    [
        "../../etc/passwd",
        "rtsp://user@host:554/a b?c",
        "a\0b",
        "\N{SNOWMAN}",
        "-",
        "x" * 500,
        "CON:\n",
        "\udcff",
    ],
)
def test_no_name_of_a_camera_leads_out_of_the_tray(camera: str, tmp_path: Path) -> None:
    with opened(tmp_path / "tray") as tray:
        offer(tray, 1, camera)
    assert tray.saved == 1
    [photo] = (tmp_path / "tray" / "unlabelled").glob("*.jpg")
    assert all(c.isascii() and (c.isalnum() or c in "-.") for c in photo.name)
    assert len(photo.name) < 100
    assert len(names(tmp_path)) == 2
    about = json.loads(photo.with_suffix(".json").read_text(encoding="utf-8"))
    assert about["camera"] == camera.replace("\udcff", "?")


def test_the_frame_is_taken_as_it_is_though_the_loop_draws_on_it_afterwards(tmp_path: Path) -> None:
    frame = scenery(1)
    with opened(tmp_path) as tray:
        tray.write(frame, answer(CLOSE_CALL, 1, AT))
        frame[:] = 0
    [photo] = tmp_path.glob("unlabelled/*.jpg")
    assert np.abs(read_photo(photo).astype(int) - scenery(1)).mean() < 9


def test_a_photo_is_of_what_the_engine_sees(tmp_path: Path) -> None:
    tray = Tray(tmp_path, quota_mb=1, say=print, view=lambda frame: frame[40:80, 20:120])
    offer(tray, 1)
    tray.close()
    [photo] = tmp_path.glob("unlabelled/*.jpg")
    assert np.abs(read_photo(photo).astype(int) - scenery(1)[40:80, 20:120]).mean() < 9


def test_a_slow_disk_costs_photos_and_not_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    go, said = threading.Event(), list[str]()

    def slowly(*anything: object) -> None:
        go.wait(30)

    monkeypatch.setattr("edgecam.sinks.tray_photo.make_room", slowly)
    with opened(tmp_path, said) as tray:
        for seed in range(WAITING + 4):
            offer(tray, seed)
        assert tray.saved == 0
        assert tray.dropped in (3, 4), "one may be in the worker's hands"
        go.set()
    assert tray.saved + tray.dropped == WAITING + 4
    assert said == [
        f"{tmp_path / 'unlabelled'}: {tray.saved} hard frames saved, 0 could not be written, "
        f"{tray.dropped} came faster than the disk takes them."
    ]


def test_of_frames_that_smoothing_contradicts_only_outliers_are_kept(tmp_path: Path) -> None:
    """Where the answer changes a moment later, the frames were right and plain to see."""
    answers = [
        "cc",
        "cc",
        "cc",
        "cc",
        "ch",
        "ch",
        "hh",
        "hh",
        "hh",
        "hb",
        "hh",
        "hh",
        "hu",
        "hu",
        "uh",
        "hh",
    ]  # smoothed, and of the frame alone
    names_of = {"c": "crack", "h": "hot spot", "b": "background", "u": "unknown"}
    with opened(tmp_path) as tray:
        for number, (label, alone) in enumerate(answers):
            kind = CLASSES.index(names_of[alone]) if alone != "u" else 2
            result = answer(sure(kind), number * 5, AT + number * 5)
            tray.write(scenery(number), result._replace(label=names_of[label], frame_label=names_of[alone]))
    kept = {json.loads(path.read_text())["frame"]: path for path in tmp_path.glob("unlabelled/*.json")}
    assert [*sorted(kept)] == [9 * 5, 12 * 5]
    about = json.loads(kept[9 * 5].read_text())
    assert (about["why"], about["label"], about["frame_label"]) == (
        ["disagreement"],
        "hot spot",
        "background",
    )
    assert json.loads(kept[12 * 5].read_text())["why"] == ["disagreement", "unknown"]
    photo = read_photo(kept[9 * 5].with_suffix(".jpg"))
    assert np.abs(photo.astype(int) - scenery(9)).mean() < 9, (
        "the frame that was contradicted, not a later one"
    )


# ---- quota


def sizes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def test_the_oldest_give_way_pair_by_pair_and_the_quota_is_never_exceeded(tmp_path: Path) -> None:
    with opened(tmp_path, quota_mb=0.1) as tray:
        for seed in range(30):
            offer(tray, seed)
            settle(tray, seed + 1)
            assert sizes(tmp_path) <= 100_000
    left = sorted(tmp_path.glob("unlabelled/*.jpg"))
    assert 3 < len(left) < 30
    assert len(names(tmp_path)) == 2 * len(left), "each with its .json"
    frames = sorted(int(photo.stem.split("-")[-1]) for photo in left)
    assert frames == [*range(30 - len(left), 30)]
    assert sizes(tmp_path) > 80_000, "no more is deleted than must be"


def test_a_new_run_counts_what_an_older_one_left(tmp_path: Path) -> None:
    for first in (0, 10):
        with opened(tmp_path, quota_mb=0.1) as tray:
            for seed in range(first, first + 10):
                offer(tray, seed)
                settle(tray, seed - first + 1)
    assert sizes(tmp_path) <= 100_000


def put(folder: Path, name: str, size: int, age: float) -> Path:
    path = folder / name
    path.write_bytes(bytes(size))
    os.utime(path, (1e9 - age, 1e9 - age))
    return path


def test_only_photos_and_their_files_are_deleted_the_oldest_first(tmp_path: Path) -> None:
    put(tmp_path, "own.txt", 900, 99)
    (tmp_path / "folder.jpg").mkdir()
    (tmp_path / "link.jpg").symlink_to(tmp_path / "own.txt")
    put(tmp_path, "a.json", 10, 50)
    put(tmp_path, "a.jpg", 100, 10)
    put(tmp_path, "b.jpg", 100, 30)
    put(tmp_path, ".c-x1y2.jpg", 100, 20)
    make_room(tmp_path, 100, 410)
    assert names(tmp_path) == [".c-x1y2.jpg", "a.jpg", "a.json", "b.jpg", "link.jpg", "own.txt"]
    make_room(tmp_path, 101, 410)
    assert names(tmp_path) == [".c-x1y2.jpg", "b.jpg", "link.jpg", "own.txt"], "by the older of the pair"
    make_room(tmp_path, 300, 400)
    assert names(tmp_path) == [".c-x1y2.jpg", "link.jpg", "own.txt"]
    make_room(tmp_path, 400, 400)
    assert names(tmp_path) == ["link.jpg", "own.txt"]


def test_a_photo_larger_than_the_quota_deletes_nothing(tmp_path: Path) -> None:
    put(tmp_path, "a.jpg", 100, 1)
    with pytest.raises(OutputError, match="--tray-quota-mb"):
        make_room(tmp_path, 401, 400)
    assert names(tmp_path) == ["a.jpg"]


# ---- disks that fail


@pytest.fixture
def disk_size() -> str:
    return "512k"


def test_a_full_disk_is_said_once_counted_and_leaves_no_half_photos(small_disk: Path) -> None:
    said: list[str] = []
    with opened(small_disk, said) as tray:
        for seed in range(12):
            offer(tray, seed, hw=(480, 640))
            settle(tray, seed + 1)
    assert tray.saved > 1
    assert tray.failed > 3
    assert tray.saved + tray.failed == 12
    assert len(said) == 2
    assert said[0].startswith("A hard frame is not saved: ")
    assert "No space left" in said[0]
    assert f"{tray.failed} could not be written" in said[1]
    photos = sorted(small_disk.glob("unlabelled/*.jpg"))
    assert len(photos) == tray.saved
    assert [path.name for path in sorted(small_disk.glob("unlabelled/.*"))] == []
    for photo in photos:
        assert read_photo(photo).shape == (480, 640, 3)
        assert json.loads(photo.with_suffix(".json").read_text())["photo"] == photo.name


def test_a_disk_with_room_again_is_used_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.fsync
    full = {1, 2, 5}  # of the calls
    calls = iter(range(1000))

    def fsync(handle: int) -> None:
        if next(calls) in full:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        real(handle)

    monkeypatch.setattr(os, "fsync", fsync)
    with opened(tmp_path) as tray:
        for seed in range(6):
            offer(tray, seed)
            settle(tray, seed + 1)
    # Two files a photo: the second of the first fails, the first of the second, the second of the third.
    assert (tray.saved, tray.failed) == (3, 3)
    assert len(names(tmp_path)) == 6


def test_a_tray_that_somebody_deletes_comes_back(tmp_path: Path) -> None:
    with opened(tmp_path / "tray") as tray:
        (tmp_path / "tray" / "unlabelled").rmdir()
        offer(tray, 0)
        settle(tray, 1)
        offer(tray, 1)
    assert tray.saved == 2


def test_a_folder_that_cannot_be_one_is_refused_before_the_first_frame(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="--tray FOLDER"):
        Tray(tmp_path / "file", quota_mb=1, say=print)


def test_closing_twice_is_safe_and_ends_the_thread(tmp_path: Path) -> None:
    before = threading.active_count()
    tray = Tray(tmp_path, quota_mb=1, say=print)
    tray.close()
    tray.close()
    assert threading.active_count() == before


# ---- thumbnails


@pytest.mark.parametrize("hw", [(1, 1), (3, 200), (48, 64), (720, 1280), (1081, 33)])
def test_a_frame_of_any_size_has_a_thumbnail(hw: tuple[int, int]) -> None:
    assert thumbnail(np.full((*hw, 3), 77, np.uint8)).tolist() == np.full((16, 16), 77.0).tolist()


def test_a_thumbnail_sees_a_small_thing_and_not_the_noise() -> None:
    rng = np.random.default_rng(0)
    frame = np.full((720, 1280, 3), 100, np.uint8)
    noisy = np.clip(frame + rng.normal(0, 10, frame.shape), 0, 255).astype(np.uint8)
    thing = frame.copy()
    thing[300:340, 600:660] = 220
    assert np.abs(thumbnail(noisy) - thumbnail(frame)).max() < 4
    assert np.abs(thumbnail(thing) - thumbnail(frame)).max() > 20
