"""The thresholds at which a set of score maps is judged."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from edgecam_calibration.localization.scoremap import Binning

INTERVAL: Final = 0.001  # between thresholds: what the published figures were made with


class Sweep:
    """Thresholds from 0 on, as shares of a map's maximum."""

    def __init__(self, interval: float = INTERVAL) -> None:
        """Raises ValueError for an interval that is not above 0 and below 1."""
        if not 0 < interval < 1:
            raise ValueError(f"The interval between thresholds must lie between 0 and 1: {interval}.")
        self.thresholds: NDArray[np.float64] = np.arange(0, 1, interval)
        # Boxes are taken from a map of 256 levels, so that many thresholds make one cut: levels > cut.
        cuts, of = np.unique((self.thresholds * 255).astype(np.int64), return_inverse=True)
        self.cuts: NDArray[np.int64] = cuts  # (c,)
        self.cut_of: NDArray[np.int64] = of  # (t,) which cut each threshold makes
        # Pixels are sorted by the map itself; 1.0, which every map reaches, has a bin of its own.
        self.binning = Binning(np.unique(np.append(self.thresholds, 1.0)))

    def nearest(self, threshold: float) -> int:
        """The index of the threshold that comes nearest."""
        return int(np.abs(self.thresholds - threshold).argmin())
