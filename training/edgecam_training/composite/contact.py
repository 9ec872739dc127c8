"""A contact sheet: a row of pictures for each class, with masks and boxes drawn, to be looked at."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import cv2
import numpy as np

from edgecam_engines.photo import read_photo
from edgecam_training.composite.tables import Row
from edgecam_training.composite.terms import Frame, Part

MASKED: Final = 128  # the object's pixels in a mask file, see make.py
_TILE: Final = 168
_STRIP: Final = 18  # pixels under a tile for words
_EACH: Final = {"train": 4, "val": 2, "test": 3}  # pictures of a class
_MOST_CLASSES: Final = 20
_BOX, _OUTLINE = (60, 220, 60), (40, 220, 255)  # BGR


def contact_sheet(root: Path, tables: Mapping[Part, Sequence[Row]], classes: Sequence[str]) -> Frame:
    """Drawn from the files as they are on disk, so that it shows what a reader will get."""
    lines = []
    for label in range(min(len(classes), _MOST_CLASSES)):
        tiles = []
        for part, rows in tables.items():
            own = [row for row in rows if row.label == label]
            shown = own[: _EACH[part.folder]]
            tiles += [_tile(root, row) for row in shown] + [_blank()] * (_EACH[part.folder] - len(shown))
        lines.append(np.hstack(tiles))
    return np.vstack(lines)


def _blank() -> Frame:
    return np.full((_TILE + _STRIP, _TILE + 4, 3), 255, np.uint8)


def _tile(root: Path, row: Row) -> Frame:
    frame = read_photo(root / row.image_id)
    mask = cv2.imread(str(mask_path(root, row.image_id)), cv2.IMREAD_GRAYSCALE)
    assert mask is not None  # just written
    scale = _TILE / frame.shape[0]
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    picture = np.ascontiguousarray(cv2.resize(frame, (_TILE, _TILE), interpolation=how))
    near = cv2.resize(mask, (_TILE, _TILE), interpolation=cv2.INTER_NEAREST)
    outlines, _ = cv2.findContours(np.asarray(near), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(picture, outlines, -1, _OUTLINE, 1)
    x0, y0, x1, y1 = row.box
    low, high = ((int(x * scale), int(y * scale)) for x, y in ((x0, y0), (x1 + 1, y1 + 1)))
    cv2.rectangle(picture, low, (high[0] - 1, high[1] - 1), _BOX, 1)
    tile = _blank()
    tile[:_TILE, 2 : 2 + _TILE] = picture
    words = row.image_id.rpartition("/")[2].removesuffix(".jpg")
    words = f"{row.image_id.partition('/')[0]} {words}"
    cv2.putText(tile, words, (3, _TILE + 13), cv2.FONT_HERSHEY_SIMPLEX, 0.4, (0, 0, 0), 1, cv2.LINE_AA)
    return tile


def mask_path(root: Path, image_id: str) -> Path:
    """masks/test/bird/bird-0007.png for test/bird/bird-0007.jpg."""
    return root / "masks" / Path(image_id).with_suffix(".png")
