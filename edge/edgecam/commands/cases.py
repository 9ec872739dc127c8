"""Photos with their map and true boxes, from where maps point best to where they point worst."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import cv2
import numpy as np

from edgecam import overlay
from edgecam_calibration.assess import Case, best_box
from edgecam_engines.cam import normalise
from edgecam_engines.engine import Frame
from edgecam_engines.files import write_atomically
from edgecam_engines.geometry import map_to
from edgecam_engines.photo import read_photo

SIDE: Final = 224  # pixels; true boxes are in these
EACH: Final = 6  # cases of a kind
_STRIP: Final = 22
_GREEN: Final = (80, 175, 76)  # BGR
_AMBER: Final = (40, 200, 255)
_INK: Final = (40, 40, 40)


def chosen_cases(cases: Sequence[Case]) -> list[list[Case]]:
    """The best, those in the middle and the worst, of cases that come worst first."""
    middle = max(0, len(cases) // 2 - EACH // 2)
    return [list(cases[::-1][:EACH]), list(cases[middle : middle + EACH]), list(cases[:EACH])]


def write_cases(rows: Sequence[Sequence[Case]], threshold: float, path: Path) -> None:
    """One row of tiles for each sequence: the map's heat and its box at the threshold in amber, true boxes
    in green, their IoU below."""
    width = max(len(row) for row in rows)
    blank = np.full((SIDE + _STRIP, SIDE, 3), 255, np.uint8)
    tiles = [[*(_tile(case, threshold) for case in row), *[blank] * (width - len(row))] for row in rows]
    write_atomically(
        path, cv2.imencode(path.suffix, np.vstack([np.hstack(row) for row in tiles]))[1].tobytes()
    )


def _tile(case: Case, threshold: float) -> Frame:
    photo = cv2.resize(read_photo(case.photo.path), (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    frame: Frame = np.ascontiguousarray(photo).astype(np.uint8)
    heat = normalise(map_to(case.cam, (SIDE, SIDE)))
    overlay.blend_heat(frame, (heat * 255).astype(np.uint8))
    drawn = [(box, _GREEN) for box in case.boxes] + [(best_box(case, threshold), _AMBER)]
    for (x0, y0, x1, y1), colour in ((box.astype(int).tolist(), colour) for box, colour in drawn):
        cv2.rectangle(frame, (x0, y0), (x1, y1), colour, 2)
    tile: Frame = np.full((SIDE + _STRIP, SIDE, 3), 255, np.uint8)
    tile[:SIDE] = frame
    words = f"IoU {case.iou:.2f}" + ("" if case.right else ", called otherwise")
    cv2.putText(tile, words, (4, SIDE + 16), cv2.FONT_HERSHEY_SIMPLEX, 0.45, _INK, 1, cv2.LINE_AA)
    return tile
