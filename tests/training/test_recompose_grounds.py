"""Grounds of one's own, the teacher's word, and what repaints."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from edge.loop_kit import CLASSES
from edgecam_engines.engine import Frame
from edgecam_engines.errors import DataError
from edgecam_training.recompose import make as making
from edgecam_training.recompose.cut import UNKNOWN
from edgecam_training.recompose.photos import find_grounds
from training import remake_kit
from training.recompose_kit import (
    BLUE,
    COLOURS,
    RED,
    Distracted,
    ground,
    order,
    save,
    teacher,
    tools,
)
from training.remake_kit import decoded, log_of, run

data = remake_kit.data
made = remake_kit.made


# -- grounds of one's own, and the teacher's word


def test_own_grounds_are_used_instead_of_the_other_classes(data: Path, tmp_path: Path) -> None:
    for number in range(3):
        save(tmp_path / "grounds" / f"{number}.png", ground(50 + number))
    by = tools(grounds=find_grounds(tmp_path / "grounds", 128))
    about = run(data, tmp_path / "out", by=by)
    assert about["backgrounds"] == "own"
    tried = [entry for entry in log_of(tmp_path / "out") if entry["step"] == "compose"]
    assert {entry["ground"] for entry in tried} <= {"0.png", "1.png", "2.png"}


def test_a_composite_that_the_teacher_does_not_name_is_not_used(data: Path, tmp_path: Path) -> None:
    """On a blue ground nothing but a blue thing is called by its name."""
    save(tmp_path / "grounds" / "sea.png", np.full((96, 128, 3), COLOURS[BLUE], np.uint8))
    about = run(data, tmp_path / "out", by=tools(grounds=[tmp_path / "grounds" / "sea.png"]))
    made = {name: found["made"] for name, found in about["classes"].items()}
    assert made == {CLASSES[0]: 3, CLASSES[1]: 0, CLASSES[2]: 0}
    refused = about["classes"][CLASSES[RED]]["refused"]
    assert refused[making.DISAGREES] == making.TRIES * 3
    assert not (tmp_path / "out" / CLASSES[RED]).exists()


@pytest.mark.parametrize("agree", [0.0, 0.97])
def test_whatever_is_used_has_the_probability_asked_for(data: Path, tmp_path: Path, agree: float) -> None:
    run(data, tmp_path / "out", order(agree=agree))
    tried = [entry for entry in log_of(tmp_path / "out") if entry["step"] == "compose"]
    assert all(entry["p"] >= agree for entry in tried if entry["used"])
    assert all(entry["p"] < agree or entry["why"] == making.PAINTED for entry in tried if not entry["used"])


def test_too_much_painted_ground_is_refused(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(making, "MOST_PAINTED", -1.0)
    with pytest.raises(DataError, match="Not one composite was accepted") as told:
        run(data, tmp_path / "out")
    assert all(f"{name}: 18 x {making.PAINTED}" in str(told.value) for name in CLASSES)
    assert list(tmp_path.iterdir()) == []


def test_a_teacher_that_knows_no_thing_without_its_ground_leaves_nothing(data: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=UNKNOWN):
        run(data, tmp_path / "out", by=tools(teacher=teacher(Distracted((64, 64), 8))))
    assert list(tmp_path.iterdir()) == []


# -- what repaints


class Sky:
    """A painter that paints everything asked for in one colour, and remembers what it was given."""

    def __init__(self) -> None:
        self.asked: list[tuple[Frame, NDArray[np.bool_]]] = []

    def fill(self, photo: Frame, mask: NDArray[np.bool_], rng: np.random.Generator, /) -> Frame:
        self.asked.append((photo, mask))
        return np.where(mask[:, :, None], np.uint8(140), photo)


def test_a_painter_gets_the_composite_and_everything_but_the_thing(data: Path, tmp_path: Path) -> None:
    sky = Sky()
    about = run(data, tmp_path / "out", by=tools(repaint=sky))
    assert about["repainted_by"] == "sky"
    assert len(sky.asked) == 9
    first = sorted((tmp_path / "out" / CLASSES[0]).iterdir())[0]
    mask = decoded(tmp_path / "out" / ".truth" / "masks" / CLASSES[0] / "composed-0000.png") > 0
    np.testing.assert_array_equal(sky.asked[0][1], ~mask)
    frame, core = decoded(first).astype(int), cv2.erode(mask.astype(np.uint8), np.ones((9, 9))) > 0
    far = cv2.dilate(mask.astype(np.uint8), np.ones((9, 9))) == 0
    assert np.abs(frame[far] - 140).max() <= 20  # but for what JPEG does
    assert np.abs(frame[core] - sky.asked[0][0][core]).mean() < 3
