"""Backgrounds: photos that show none of the classes; which of Debian's are used, and how they are cropped."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import cv2
import numpy as np

from edgecam_engines.photo import BadPhoto, read_photo
from edgecam_training.composite.packages import Package
from edgecam_training.composite.terms import Frame

MATE: Final = Package(
    name="mate-backgrounds",
    pictures="usr/share/backgrounds/mate",
    licence="GPL-2+",
    holders="the authors of MATE Backgrounds",
)
LOMIRI: Final = Package(
    name="lomiri-wallpapers-16.04",
    pictures="usr/share/backgrounds",
    licence="CC-BY-4.0 and CC-BY-SA-4.0",
    holders="the photographers named in the files' names",
)

CHOSEN: Final[dict[Package, tuple[str, ...]]] = {
    MATE: (
        "nature/Aqua.jpg",  # a drop of water
        "nature/Blinds.jpg",  # a leaf against the light
        "nature/Dune.jpg",
        "nature/GreenMeadow.jpg",
        "nature/RainDrops.jpg",  # blades of grass
        "nature/Storm.jpg",
        "nature/Wood.jpg",
    ),
    LOMIRI: (
        "Bridge_by_Sander_Klootwijk.jpg",  # cables and sky
        "aitzgorri_by_Aitzol_Berasategi.jpg",  # a hillside
        "analogpattern_by_Peter_Nerlich.jpg",  # rough paper
        "greentock_by_Peter_Nerlich.jpg",  # a clock's face
        "life_by_Aitzol_Berasategi.jpg",  # a brook
        "picosdeeuropa_by_Aitzol_Berasategi.jpg",  # mountains
        "sunset_by_Aitzol_Berasategi.jpg",
    ),
}

LEFT_OUT: Final[dict[str, tuple[str, ...]]] = {
    "shows a flower": (
        *("nature/FreshFlower.jpg", "nature/Garden.jpg", "nature/LadyBird.jpg", "nature/TwoWings.jpg"),
        *("nature/YellowFlower.jpg", "seeding_by_Clements_Engelhardt.jpg"),
    ),
    "shows an insect": ("Dragonfly_by_Bolly.jpg",),
    "shows a fruit": ("Picture_0B_by_freespace.jpg",),
    "shows paint brushes, which are tools": ("Picture_1A_by_freespace.jpg",),
    "shows a drum": ("Wine_by_Jakkub_Mede.jpg",),
    "shows a bird": ("free_by_Peter_Nerlich.jpg",),
    "shows dogs": ("friends_by_Aitzol_Berasategi.jpg",),
    "is no photo": (
        *("umang_by_Abhishek_Mudgal.jpg", "abstract/Elephants.jpg", "abstract/Elephants_3840x2160.jpg"),
        *("abstract/Elephants_5640x3172.jpg", "abstract/Arc-Colors-Transparent-Wallpaper.png"),
        *("abstract/Flow.png", "abstract/Gulp.png", "abstract/Silk.png", "abstract/Spring.png"),
        *("abstract/Waves.png", "desktop/Float-into-MATE.png", "desktop/GreenTraditional.jpg"),
        *("desktop/MATE-Stripes-Dark.png", "desktop/MATE-Stripes-Light.png", "desktop/Stripes.png"),
        *("desktop/Ubuntu-Mate-Cold-no-logo.png", "desktop/Ubuntu-Mate-Dark-no-logo.png"),
        *("desktop/Ubuntu-Mate-Radioactive-no-logo.png", "desktop/Ubuntu-Mate-Warm-no-logo.png"),
    ),
}

NEAREST: Final = 0.3  # the smallest crop, as a share of a photo's shorter side


@dataclass(frozen=True, eq=False)
class Background:
    """A photo to crop from."""

    name: str
    frame: Frame


def read_background(path: Path, name: str, size: int) -> Background:
    """Raises BadPhoto: unreadable, or smaller than the pictures to be made."""
    frame = read_photo(path)
    h, w = frame.shape[:2]
    if min(h, w) < size:
        raise BadPhoto(path, f"{w} x {h} pixels are too few for pictures of {size} x {size}")
    return Background(name, frame)


def crop(background: Background, size: int, rng: np.random.Generator) -> Frame:
    """A square of it, anywhere and of any size down to NEAREST, perhaps mirrored: (size, size, 3)."""
    h, w = background.frame.shape[:2]
    shorter = min(h, w)
    side = round(shorter * rng.uniform(NEAREST, 1))
    top, left = (int(rng.integers(0, rest - side, endpoint=True)) for rest in (h, w))
    square = background.frame[top : top + side, left : left + side]
    how = cv2.INTER_AREA if side > size else cv2.INTER_LINEAR
    cropped = np.asarray(cv2.resize(square, (size, size), interpolation=how), np.uint8)
    return cropped[:, ::-1] if rng.random() < 0.5 else cropped
