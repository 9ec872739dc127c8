"""Pictures of scores are drawn, and say what is missing where they cannot be."""

from pathlib import Path

import numpy as np
import pytest

from edgecam_calibration import pictures
from edgecam_calibration.classification.curves import Curve, class_curves
from edgecam_calibration.classification.operating_point import OperatingPoint
from edgecam_calibration.classification.reliability import reliability
from edgecam_calibration.pictures import precision_recall_picture, reliability_picture, roc_picture
from edgecam_engines.errors import OutputError
from edgecam_engines.photo import read_photo


def curves(classes: int) -> dict[str, Curve]:
    """Class k is found the better the higher k is; the last one has no photo."""
    rng = np.random.default_rng(0)
    labels = rng.integers(classes - 1, size=40 * classes)
    scores = rng.normal(size=(len(labels), classes)) + np.eye(classes)[labels] * np.arange(classes)
    return class_curves(labels, scores, [f"class {k}" for k in range(classes)])


def ink(path: Path) -> float:
    """Share of the picture that is not white."""
    return float((read_photo(path) < 250).any(axis=2).mean())


def test_a_reliability_diagram_is_drawn(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    probabilities = rng.dirichlet([1, 1, 1], size=200)
    found = reliability(rng.integers(3, size=200), probabilities, rng=rng, resamples=20)
    reliability_picture(found, tmp_path / "reliability.png")
    assert 0.02 < ink(tmp_path / "reliability.png") < 0.6


def test_curves_are_drawn_and_an_operating_point_marks_the_roc(tmp_path: Path) -> None:
    found = curves(3)
    roc_picture(found, tmp_path / "roc.png")
    point = OperatingPoint("class 1", 0.01, 0.9, 0.7, 0.3, [0.6, 0.8], [0.2, 0.4])
    roc_picture(found, tmp_path / "marked.png", point)
    precision_recall_picture(found, tmp_path / "pr.png")
    assert all(ink(path) > 0.02 for path in tmp_path.iterdir())
    assert (tmp_path / "roc.png").read_bytes() != (tmp_path / "marked.png").read_bytes()


def test_of_many_classes_the_ten_worst_are_drawn_and_those_without_an_area_never() -> None:
    found = curves(14)
    shown = pictures._worst(found, {name: one.auroc for name, one in found.items()})
    areas = [one.auroc for one in shown.values()]
    assert len(shown) == 10
    assert areas == sorted(areas, key=float)
    assert "class 13" not in shown
    assert "class 0" in shown


def test_classes_without_photos_leave_a_picture_all_the_same(tmp_path: Path) -> None:
    none = {"a": curves(3)["class 2"]}
    roc_picture(none, tmp_path / "roc.png")
    precision_recall_picture(none, tmp_path / "pr.png")
    assert len(list(tmp_path.iterdir())) == 2


def test_without_matplotlib_the_message_says_what_to_type(monkeypatch: pytest.MonkeyPatch) -> None:
    pictures.need_matplotlib("--html")
    monkeypatch.setattr(pictures, "find_spec", lambda name: None)
    with pytest.raises(OutputError, match=r"--html needs matplotlib(.|\n)*pip install matplotlib"):
        pictures.need_matplotlib("--html")
