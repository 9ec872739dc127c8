"""The tray in the page: the newest photos, whatever else lies in the folder."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge.teaching.teaching_kit import textured
from edge.web.web_kit import decoded
from edgecam.web.shelf import AGAIN_S, MOST, SIDE, Shelf
from edgecam_engines.photo import BadPhoto


def put(folder: Path, name: str, about: object = None) -> None:
    folder.mkdir(exist_ok=True)
    cv2.imwrite(str(folder / f"{name}.jpg"), textured(1, (300, 400)))
    if about is not None:
        (folder / f"{name}.json").write_text(json.dumps(about))


def test_the_newest_come_first_with_what_was_said_of_them(tmp_path: Path) -> None:
    for day in range(MOST + 3):
        put(tmp_path / "t", f"2026-01-{day:02}", {"label": f"thing {day}", "why": ["close", "unknown"]})
    found = Shelf(tmp_path / "t").photos()
    assert [photo.name for photo in found] == [f"2026-01-{day:02}.jpg" for day in range(MOST + 2, 2, -1)]
    assert (found[0].label, found[0].why) == (f"thing {MOST + 2}", ("close", "unknown"))


def test_a_folder_that_is_not_there_yet_is_an_empty_tray(tmp_path: Path) -> None:
    now = [0.0]
    shelf = Shelf(tmp_path / "t", lambda: now[0])
    assert shelf.photos() == []
    put(tmp_path / "t", "2026-01-01")
    assert shelf.photos() == [], "looked at just now"
    now[0] += AGAIN_S
    assert [photo.name for photo in shelf.photos()] == ["2026-01-01.jpg"]


@pytest.mark.parametrize("about", [[], 7, {"label": ["x"], "why": None}, {"why": 3}, "x"])
def test_notes_that_are_none_leave_the_photo(tmp_path: Path, about: object) -> None:
    put(tmp_path / "t", "2026-01-01", about)
    assert len(Shelf(tmp_path / "t").photos()) == 1


def test_small_pictures_are_small_and_what_is_not_listed_is_not_read(tmp_path: Path) -> None:
    put(tmp_path / "t", "2026-01-01")
    put(tmp_path / "other", "secret")
    (tmp_path / "t" / ".hidden.jpg").write_bytes((tmp_path / "t" / "2026-01-01.jpg").read_bytes())
    (tmp_path / "t" / "2026-02-01.jpg").symlink_to(tmp_path / "other" / "secret.jpg")
    shelf = Shelf(tmp_path / "t")
    small = shelf.small("2026-01-01.jpg")
    assert small is not None
    assert max(decoded(small).shape) == SIDE
    whole = shelf.read("2026-01-01.jpg")
    assert whole is not None
    assert np.abs(whole.astype(int) - textured(1, (300, 400))).mean() < 40
    for name in ("../other/secret.jpg", ".hidden.jpg", "2026-02-01.jpg", "2026-01-01.json", ""):
        assert shelf.read(name) is None


def test_a_photo_that_is_torn_is_said_to_be(tmp_path: Path) -> None:
    (tmp_path / "2026-01-01.jpg").write_bytes(b"\xff\xd8\xff\xe0torn")
    with pytest.raises(BadPhoto):
        Shelf(tmp_path).small("2026-01-01.jpg")
