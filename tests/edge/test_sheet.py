from pathlib import Path

import cv2
import numpy as np

from edge.loop_kit import CLASSES, colour_head, scene
from edgecam.sheet import write_sheet
from edgecam_engines.fixed import FixedEngine


def test_every_photo_is_on_the_sheet_with_the_truth_in_green_or_red(tmp_path: Path) -> None:
    shown = []
    for kind, truth in ((0, CLASSES[0]), (1, CLASSES[2]), (2, CLASSES[2])):
        path = tmp_path / f"{kind}.png"
        assert cv2.imwrite(str(path), scene(kind))
        shown.append((path, truth))
    write_sheet(shown, FixedEngine((64, 64), 8), colour_head(), tmp_path / "sheet.png", columns=2, side=120)
    sheet = cv2.imread(str(tmp_path / "sheet.png"))
    assert sheet is not None
    h, w = sheet.shape[0] // 2, sheet.shape[1] // 2
    tiles = [sheet[:h, :w], sheet[:h, w:], sheet[h:, :w], sheet[h:, w:]]
    for tile, right in zip(tiles[:3], (True, False, True), strict=True):
        words = tile[-24:].astype(int)
        green = (words[..., 1] - words[..., 2]).sum()
        assert bool(green > 0) is right
    assert (tiles[3] == 255).all(), "an empty place is white"
    assert all(np.ptp(tile) > 200 for tile in tiles[:3])
