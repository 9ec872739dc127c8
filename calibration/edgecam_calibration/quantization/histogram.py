"""A histogram of every channel of a tensor, which widens as larger values come."""

from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

PLACES = 2048  # counted, of each channel of a picture
BINS = 512  # a channel's; at least 256 of them are in use after the first batch


class Histogram(NamedTuple):
    """How often a tensor's values fell where."""

    counts: NDArray[np.float64]  # (bins,)
    edges: NDArray[np.float64]  # (bins + 1,), rising


@dataclass
class ChannelHistograms:
    """Counts per channel, with exact extremes. The memory it takes is fixed at the first batch.

    Of large pictures every few places are counted; the extremes are those of all.
    """

    FIELDS: ClassVar = ("low", "high", "start", "width", "counts")

    low: NDArray[np.float64]  # (c,) the smallest value seen
    high: NDArray[np.float64]  # (c,) the largest
    start: NDArray[np.float64]  # (c,) lower edge of the first bin
    width: NDArray[np.float64]  # (c,) of one bin
    counts: NDArray[np.int64]  # (c, BINS)

    @classmethod
    def first(cls, values: NDArray[np.float32]) -> "ChannelHistograms":
        """Laid out by the first batch, (n, c, ...)."""
        low, high = _extremes(values)
        width = np.maximum((high - low) / (BINS - 1), 1e-9 + 1e-6 * np.maximum(abs(low), abs(high)))
        histogram = cls(low, high, low.copy(), width, np.zeros((len(low), BINS), np.int64))
        histogram._count(_thinned(values))
        return histogram

    def add(self, values: NDArray[np.float32]) -> None:
        """Count another batch, (n, c, ...)."""
        low, high = _extremes(values)
        self.low, self.high = np.minimum(self.low, low), np.maximum(self.high, high)
        while (short := high >= self.start + BINS * self.width).any():
            self._double(short, downwards=False)
        while (short := low < self.start).any():
            self._double(short, downwards=True)
        self._count(_thinned(values))

    def merged(self, scale: NDArray[np.float64] | float = 1.0, bins: int = 2048) -> Histogram:
        """One histogram of the whole tensor after each channel was multiplied by its positive scale (c,)."""
        scales = np.broadcast_to(np.asarray(scale, np.float64), self.low.shape)
        low, high = self.range(scales)
        edges = np.linspace(low, high if high > low else low + 1e-9, bins + 1)
        counts = np.zeros(bins)
        for channel, scaled in enumerate(scales):
            places = self.start[channel] + self.width[channel] * np.arange(BINS + 1)
            places = np.clip(places, self.low[channel], self.high[channel])
            if self.low[channel] == 0:
                places[1] = 0  # what a rectifier made zero is zero, not spread over a bin
            below = np.concatenate([[0], np.cumsum(self.counts[channel])])
            # A bin's values are spread over it; bins coarser than the result's would leave a comb of gaps.
            counts += np.diff(np.interp(edges[1:], places * scaled, below), prepend=0)
        return Histogram(counts, edges)

    def range(self, scale: NDArray[np.float64] | float = 1.0) -> tuple[float, float]:
        """The tensor's smallest and largest value after scaling its channels."""
        return float((self.low * scale).min()), float((self.high * scale).max())

    def _count(self, values: NDArray[np.float32]) -> None:
        channels = values.shape[1]
        column = (1, channels) + (1,) * (values.ndim - 2)
        place = (values - self.start.reshape(column).astype(np.float32)) / self.width.reshape(column).astype(
            np.float32
        )
        place = np.clip(place, 0, BINS - 1).astype(np.int32)
        place += (np.arange(channels, dtype=np.int32) * BINS).reshape(column)
        self.counts += np.bincount(place.ravel(), minlength=channels * BINS).reshape(channels, BINS)

    def _double(self, which: NDArray[np.bool_], *, downwards: bool) -> None:
        """Join the bins of some channels in pairs, which frees half of them at one end."""
        pairs = self.counts[which].reshape(-1, BINS // 2, 2).sum(axis=2)
        free = np.zeros_like(pairs)
        self.counts[which] = np.concatenate([free, pairs] if downwards else [pairs, free], axis=1)
        if downwards:
            self.start[which] -= BINS * self.width[which]
        self.width[which] *= 2


def _thinned(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """(n, c, ...) -> (n, c, places), at most about `PLACES` of each picture."""
    flat = values.reshape(*values.shape[:2], -1)
    return flat[:, :, :: (flat.shape[2] // PLACES) | 1]  # odd, so that no column of pixels is favoured


def _extremes(values: NDArray[np.float32]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    axes = (0, *range(2, values.ndim))
    return values.min(axis=axes).astype(np.float64), values.max(axis=axes).astype(np.float64)
