"""A sheet of photos with the overlay drawn on each, as one picture."""

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from edgecam import overlay
from edgecam.recognise import recognise
from edgecam.sources.source import Shot
from edgecam_engines.engine import Engine, Frame
from edgecam_engines.files import write_atomically
from edgecam_engines.head import Head
from edgecam_engines.photo import read_photo

_STRIP = 22  # pixels under a photo for what it is
_GREEN, _RED = (80, 175, 76), (60, 60, 220)  # BGR


def write_sheet(
    photos: Sequence[tuple[Path, str]],
    engine: Engine,
    head: Head,
    path: Path,
    *,
    columns: int = 6,
    side: int = 300,
) -> None:
    """Draw each (photo, true class) as the camera loop would, with the truth under it in green or red."""
    tiles = [_tile(read_photo(photo), truth, engine, head, side) for photo, truth in photos]
    blank = np.full_like(tiles[0], 255)
    tiles += [blank] * (-len(tiles) % columns)
    rows = [np.hstack(tiles[i : i + columns]) for i in range(0, len(tiles), columns)]
    write_atomically(path, cv2.imencode(path.suffix, np.vstack(rows))[1].tobytes())


def _tile(photo: Frame, truth: str, engine: Engine, head: Head, side: int) -> Frame:
    frame = np.ascontiguousarray(cv2.resize(photo, (side, side), interpolation=cv2.INTER_AREA))
    shot = Shot(frame=frame.astype(np.uint8), number=0, captured=0.0, captured_at=0.0, skipped=0)
    result = recognise(shot, engine, head, 0.0, now=lambda: 0.0)
    overlay.draw_answer(shot.frame, result)
    tile = np.full((side + _STRIP + 6, side + 6, 3), 255, dtype=np.uint8)
    tile[3 : 3 + side, 3 : 3 + side] = shot.frame
    right = result.label == truth
    words = f"is {truth}"
    cv2.putText(
        tile,
        words,
        (6, side + _STRIP),
        cv2.FONT_HERSHEY_SIMPLEX,
        0.5,
        _GREEN if right else _RED,
        1,
        cv2.LINE_AA,
    )
    return tile
