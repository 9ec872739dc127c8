"""The pointing game: whether the highest point of a map lies on the object.

A pixel counts as in a box when it is one of the box's own, corners included, without any tolerance (the
game as first published forgave 15 pixels: Zhang et al., arXiv:1608.00507). Where several pixels share the
highest value, all of them must lie on an object; a map that is flat points nowhere, which is a miss.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from edgecam_calibration.localization.scoremap import ScoreMap


def points_into_mask(score: ScoreMap, codes: NDArray[np.uint8]) -> bool | None:
    """Whether the peak is the object's; codes (h, w) are 0 background, 1 object, 2 left out.

    It is looked for among the pixels that are not left out; None when all of them are.
    """
    at = codes[score == 1]
    if (at == 2).all():  # also where there is no peak at all
        counted = codes != 2
        highest = score[counted].max(initial=-1)
        if highest <= 0:
            return None if highest < 0 else False
        at = codes[counted & (score == highest)]
    return bool((at[at != 2] == 1).all())


def points_into_box(score: ScoreMap, boxes: ArrayLike) -> bool:
    """Whether the peak lies in a box; boxes (g, 4) are x0, y0, x1, y1 with both corners inside."""
    y, x = np.divmod(np.flatnonzero(score == 1)[:, None], score.shape[1])  # every map but a flat one has a 1
    x0, y0, x1, y1 = np.asarray(boxes, np.float64).T
    inside = (x >= x0) & (x <= x1) & (y >= y0) & (y <= y1)
    return bool(len(x) and inside.any(axis=1).all())
