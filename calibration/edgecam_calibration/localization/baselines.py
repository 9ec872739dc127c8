"""Maps that need no network: what a method must beat before its maps mean anything."""

from typing import Final

import numpy as np

from edgecam_calibration.localization.scoremap import ScoreMap, scoremap

SPREAD: Final = 0.25  # standard deviation, as a share of each side


def centre_gaussian(hw: tuple[int, int]) -> ScoreMap:
    """A bump in the middle of (h, w), as high as wide in shares of the sides: photographers aim.

    Its cuts are ellipses of every size, so the spread hardly matters: PxAP and the boxes depend on the
    order of the pixels, and 0.25 leaves no large step between the sizes that the 256 levels can make.
    Source: the centre-Gaussian baseline of Choe et al., arXiv:2001.07437, whose spread is not given.
    """
    down, right = (np.exp(-0.5 * (((np.arange(n) + 0.5) / n - 0.5) / SPREAD) ** 2) for n in hw)
    return scoremap(np.outer(down, right))
