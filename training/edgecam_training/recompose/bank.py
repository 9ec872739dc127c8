"""Things and grounds waiting for their turn, on disk: a data set's worth would not fit into memory."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from edgecam_engines.engine import Frame
from edgecam_training.recompose.compose import Ground
from edgecam_training.recompose.cut import Cut
from edgecam_training.recompose.grab import Bits
from edgecam_training.recompose.photos import read_small
from edgecam_training.recompose.pose import Thing, thing_of
from edgecam_training.recompose.sheet import strip


class Kept(NamedTuple):
    """One file of the bank: a picture of four channels, the fourth a mask."""

    name: str  # of the photo it is from
    label: int  # its class; -1 for a user's background
    file: Path


@dataclass
class Bank:
    """What was cut so far."""

    folder: Path
    things: dict[int, list[Kept]] = field(default_factory=dict)  # by class
    grounds: list[Kept] = field(default_factory=list)

    def keep(self, name: str, label: int, photo: Frame, cut: Cut) -> None:
        """Put aside what of a photo may be used."""
        if cut.refused is not None or cut.mask is None:
            return
        number = len(self.things.setdefault(label, []))
        thing = Kept(name, label, self.folder / f"{label}-{number}-thing.png")
        _save(thing.file, photo, cut.mask)
        _save(strip_of(thing), strip(photo, cut))
        self.things[label].append(thing)
        if cut.ground_refused is None and cut.ground is not None and cut.hole is not None:
            ground = Kept(name, label, self.folder / f"{label}-{number}-ground.png")
            _save(ground.file, cut.ground, cut.hole)
            self.grounds.append(ground)


def strip_of(thing: Kept) -> Path:
    """The file that shows how it came about."""
    return thing.file.with_suffix(".strip.png")


def load_thing(kept: Kept) -> Thing:
    return thing_of(kept.name, *_load(kept.file))


def load_ground(kept: Kept, size: int) -> Ground:
    """From the bank, or a user's background, nothing of which was painted over."""
    if kept.label < 0:
        frame = read_small(kept.file, size)
        return Ground(kept.name, frame, np.zeros(frame.shape[:2], np.bool_))
    return Ground(kept.name, *_load(kept.file))


def _save(file: Path, frame: Frame, bits: Bits | None = None) -> None:
    picture = frame if bits is None else np.dstack([frame, np.where(bits, 255, 0).astype(np.uint8)])
    file.write_bytes(cv2.imencode(".png", picture, [cv2.IMWRITE_PNG_COMPRESSION, 1])[1].tobytes())


def _load(file: Path) -> tuple[Frame, Bits]:
    picture = cv2.imread(str(file), cv2.IMREAD_UNCHANGED)
    assert picture is not None  # just written
    whole = np.asarray(picture, np.uint8)
    return np.ascontiguousarray(whole[:, :, :3]), whole[:, :, 3] > 0
