"""For the gate: whether maps still find things whose boxes are known, at FP32's best threshold."""

from collections.abc import Sequence
from dataclasses import dataclass
from os.path import commonpath
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from edgecam_calibration.evaluate import Labelled, Outputs
from edgecam_calibration.localization.box_accuracy import box_ious
from edgecam_calibration.localization.contours import proposals
from edgecam_calibration.localization.scoremap import scoremap
from edgecam_calibration.localization.sweep import INTERVAL, Sweep
from edgecam_calibration.truth import Truth, match, protocol_boxes
from edgecam_calibration.truth.protocol import PROTOCOL_SIZE
from edgecam_engines.errors import DataError

MET: Final = 0.5  # IoU of a map's best box with a true one
_HW: Final = PROTOCOL_SIZE[::-1]


@dataclass(frozen=True)
class KnownBoxes:
    """The gate's photos whose boxes are known and whose class FP32 names rightly."""

    at: NDArray[np.int64]  # (k,) which photos
    boxes: list[NDArray[np.int64]]  # (g, 4) each, in the 224 x 224 of the protocol
    cut: NDArray[np.int64]  # (1,) the level of 256 that is best for FP32's maps
    hits: NDArray[np.bool_]  # (k,) FP32's


def known_boxes(
    truth: Truth,
    photos: Sequence[Labelled],
    labels: NDArray[np.int64],
    classes: Sequence[str],
    fp32: Outputs,
) -> KnownBoxes:
    """Match the photos and judge FP32's maps. Raises DataError when there is no photo to judge by.

    The maps are those of the class that FP32 names; where that is another than the photo's, there is
    nothing that its box should meet.
    """
    # The folder of the class folders, or whatever holds all of them.
    root = Path(commonpath([photo.path.parent.parent for photo in photos]))
    found = match(truth, [photo.path for photo in photos], root).found
    at, boxes = [], []
    for i, photo in enumerate(photos):
        if photo.path in found and fp32.map_class[i] == labels[i]:
            mine = protocol_boxes(found[photo.path].of_class(classes[labels[i]]))
            if len(mine):
                at.append(i)
                boxes.append(mine)
    if not at:
        raise DataError(
            f"None of the {len(photos)} photos that the gate judges by has a box in --boxes, for example "
            f"{photos[0].path.parent.name}/{photos[0].path.name}.\nName them alike: paths below the folder "
            f"of photos. Or leave --boxes out."
        )
    cuts = Sweep(INTERVAL).cuts
    met = np.stack([_met(fp32.maps[i], each, cuts) for i, each in zip(at, boxes, strict=True)])  # (k, c)
    best = int(met.mean(axis=0).argmax())
    return KnownBoxes(np.array(at), boxes, cuts[[best]], met[:, best])


def box_hits(maps: NDArray[np.float32], known: KnownBoxes) -> NDArray[np.bool_]:
    """Whether each known thing is found by a candidate's maps (n, gh, gw) -> (k,)."""
    pairs = zip(known.at, known.boxes, strict=True)
    return np.array([_met(maps[i], boxes, known.cut)[0] for i, boxes in pairs], dtype=np.bool_)


def _met(cam: NDArray[np.float32], boxes: NDArray[np.int64], cuts: NDArray[np.int64]) -> NDArray[np.bool_]:
    met: NDArray[np.bool_] = box_ious(proposals(scoremap(cam, _HW), cuts), boxes).best >= MET
    return met
