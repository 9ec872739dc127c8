"""The overlay: only what is claimed is drawn, only where it is claimed, and readable."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from edgecam import overlay
from edgecam.result import UNKNOWN, Result, as_json
from edgecam_engines.geometry import Box, scale_box
from edgecam_engines.head import Ranked

SIZES = [(720, 1280), (300, 300), (64, 64)]


def bump(hw: tuple[int, int] = (96, 96), centre: tuple[float, float] = (0.5, 0.6)) -> NDArray[np.uint8]:
    """A smooth hill of heat, 255 at its top."""
    y, x = np.mgrid[0 : hw[0], 0 : hw[1]]
    away = ((y / hw[0] - centre[0]) ** 2 + (x / hw[1] - centre[1]) ** 2) / 0.03
    return np.rint(255 * np.exp(-away)).astype(np.uint8)


def answer(box: Box | None, heat: NDArray[np.uint8] | None, label: str = "mug") -> Result:
    return Result(3, 1.7e9, 21.6, 2, label, 0.87, box, (Ranked(0, "mug", 0.87), Ranked(1, "cup", 0.13)), heat)


def grey(hw: tuple[int, int]) -> NDArray[np.uint8]:
    return np.full((*hw, 3), 100, np.uint8)


@pytest.mark.parametrize("hw", SIZES)
def test_heat_changes_the_masked_region_and_nothing_else(hw: tuple[int, int]) -> None:
    frame, heat = grey(hw), bump()
    overlay.blend_heat(frame, heat)
    changed = (frame != 100).any(axis=2)
    expected = cv2.resize(heat, hw[::-1], interpolation=cv2.INTER_LINEAR) > 127
    both, either = (changed & expected).sum(), (changed | expected).sum()
    assert both / either > 0.9


def test_heat_runs_from_yellow_to_red_and_leaves_half_of_the_picture() -> None:
    frame, heat = grey((96, 96)), bump()
    overlay.blend_heat(frame, heat)
    peak = frame[np.unravel_index(heat.argmax(), heat.shape)]
    edge = frame[np.unravel_index(np.where(heat > 127, heat, 255).argmin(), heat.shape)]
    assert peak.tolist() == [50, 50, 177]
    assert edge[1] > 165
    assert edge[2] == 177


def test_blending_in_strips_is_the_same_as_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    frame = rng.integers(0, 255, (480, 640, 3), dtype=np.uint8)
    pictures = []
    for rows in (7, 10_000):
        monkeypatch.setattr(overlay, "STRIP_ROWS", rows)
        picture = frame.copy()
        overlay.blend_heat(picture, bump())
        pictures.append(picture)
    np.testing.assert_array_equal(*pictures)


def test_heat_without_any_peak_leaves_the_frame_alone() -> None:
    frame = grey((64, 64))
    overlay.blend_heat(frame, np.full((16, 16), 127, np.uint8))
    assert (frame == 100).all()


@pytest.mark.parametrize("hw", SIZES)
def test_unknown_draws_words_in_the_corner_and_no_box_and_no_heat(hw: tuple[int, int]) -> None:
    frame = grey(hw)
    overlay.draw(frame, answer(None, None, UNKNOWN), fps=30)
    rows, columns = np.nonzero((frame != 100).any(axis=2))
    assert rows.min() == columns.min() == 0
    assert rows.max() < max(48, hw[0] // 6)


@pytest.mark.parametrize("hw", [(720, 1280), (300, 300)])
def test_label_and_status_are_tall_enough_to_read_and_do_not_touch(hw: tuple[int, int]) -> None:
    h, w = hw
    frame, box = grey(hw), Box(w // 2, h // 2, w * 3 // 4, h * 3 // 4)
    overlay.draw(frame, answer(box, None), fps=30)
    changed = (frame != 100).any(axis=2)
    status_rows = np.nonzero(changed[: h // 3].any(axis=1))[0]
    label_rows = np.nonzero(changed[h // 3 : box.top].any(axis=1))[0]
    assert 14 <= len(status_rows) <= h // 12
    assert 14 <= len(label_rows) <= h // 12
    text = cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY)[status_rows[0] : status_rows[-1] + 1, : w // 8]
    assert int(text.max()) - int(text.min()) > 200, "white on nearly black"


def test_the_box_is_drawn_on_its_border_and_not_outside() -> None:
    box = Box(100, 150, 300, 280)
    drawn, without = grey((360, 480)), grey((360, 480))
    overlay.draw(drawn, answer(box, None), fps=30)
    overlay.draw(without, answer(None, None, UNKNOWN), fps=30)
    changed = (drawn != 100).any(axis=2)
    rows, columns = np.nonzero(changed[box.top :])
    assert (columns.min(), columns.max() + 1) == (box.left, box.right)
    assert rows.max() + 1 + box.top == box.bottom
    assert not changed[200, 150:250].any(), "the inside stays visible"


@settings(max_examples=60, deadline=None)
@given(
    h=st.integers(1, 400),
    w=st.integers(1, 400),
    corners=st.tuples(st.floats(0, 0.99), st.floats(0, 0.99), st.floats(0.01, 1), st.floats(0.01, 1)),
    label=st.text(max_size=60),
)
def test_any_frame_any_box_and_any_name_can_be_drawn(
    h: int, w: int, corners: tuple[float, float, float, float], label: str
) -> None:
    left, top = int(corners[0] * w), int(corners[1] * h)
    box = Box(left, top, max(left + 1, int(corners[2] * w)), max(top + 1, int(corners[3] * h)))
    frame = grey((h, w))
    overlay.draw(frame, answer(box, bump((48, 48)), label.replace("\0", "")), fps=12.3)
    assert frame.shape == (h, w, 3)
    assert frame.dtype == np.uint8


def test_heat_and_box_agree_about_where() -> None:
    hw = (360, 640)
    heat = bump((80, 80), centre=(0.3, 0.7))
    left, top, width, height = cv2.boundingRect((heat > 127).astype(np.uint8))
    box = scale_box(Box(left, top, left + width, top + height), (80, 80), hw)
    frame = grey(hw)
    overlay.blend_heat(frame, heat)
    rows, columns = np.nonzero((frame != 100).any(axis=2))
    found = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
    assert np.abs(np.array(found) - np.array(box)).max() <= 8, "within one cell of the heat"


def test_a_line_has_exactly_the_stable_keys_and_plain_values() -> None:
    line = as_json(answer(Box(1, 2, 3, 4), bump()))
    assert list(line) == ["frame", "captured_at", "age_ms", "skipped", "label", "confidence", "box", "top"]
    assert line["captured_at"] == "2023-11-14T22:13:20.000Z"
    assert line["box"] == [1, 2, 3, 4]
    assert line["top"] == [{"label": "mug", "confidence": 0.87}, {"label": "cup", "confidence": 0.13}]


def test_a_line_without_a_box_says_null() -> None:
    line = as_json(answer(None, None, UNKNOWN))
    assert line["label"] == "unknown"
    assert line["box"] is None
