"""Mean and covariance of what a convolution's kernel sees, from places drawn at random."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgecam_calibration.quantization.graph import Conv


@dataclass
class Moments:
    """Running sums over patches. Groups are 1 for a dense convolution, its channels for a depthwise one."""

    count: int
    total: NDArray[np.float64]  # (groups, k), k = inputs of one output: channels in the group x kernel
    square: NDArray[np.floating]  # (groups, k, k)

    @classmethod
    def empty(cls, conv: Conv, weight_shape: tuple[int, ...]) -> "Moments":
        """Nothing seen yet."""
        k = int(np.prod(weight_shape[1:]))
        return cls(0, np.zeros((conv.group, k)), np.zeros((conv.group, k, k)))

    def add(self, patches: NDArray[np.float32]) -> None:
        """Count patches (groups, samples, k)."""
        self.count += patches.shape[1]
        self.total += patches.sum(axis=1, dtype=np.float64)
        self.square += patches.transpose(0, 2, 1) @ patches

    def compact(self) -> "Moments":
        """The same in half the memory; nothing should be added any more."""
        return Moments(self.count, self.total, self.square.astype(np.float32))

    def scaled(self, scale: NDArray[np.float64]) -> "Moments":
        """As if the convolution's input channels had been multiplied by `scale` (c,)."""
        groups, k = self.total.shape
        factors = np.repeat(scale, groups * k // len(scale)).reshape(groups, k)
        square = self.square * factors[:, :, None] * factors[:, None, :]
        return Moments(self.count, self.total * factors, square)

    @property
    def mean(self) -> NDArray[np.float64]:
        """(groups, k)."""
        return self.total / self.count

    @property
    def covariance(self) -> NDArray[np.float64]:
        """(groups, k, k)."""
        mean = self.mean
        return self.square.astype(np.float64) / self.count - mean[:, :, None] * mean[:, None, :]


def draw_patches(
    given: NDArray[np.float32],
    conv: Conv,
    kernel: tuple[int, int],
    each: int,
    rng: np.random.Generator,
) -> NDArray[np.float32]:
    """`each` patches a picture of a convolution's input (n, c, h, w), zero padding included.

    Returns (groups, n * each, k).
    """
    top, left, bottom, right = conv.pads
    padded = np.pad(given, ((0, 0), (0, 0), (top, bottom), (left, right)))
    n, _, h, w = padded.shape
    (kh, kw), (down, along) = kernel, conv.strides
    picture = np.repeat(np.arange(n), each)
    y = rng.integers(0, (h - kh) // down + 1, n * each) * down
    x = rng.integers(0, (w - kw) // along + 1, n * each) * along
    windows = np.lib.stride_tricks.sliding_window_view(padded, kernel, axis=(2, 3))
    patches = windows[picture, :, y, x].reshape(n * each, conv.group, -1)  # (samples, groups, k)
    return np.ascontiguousarray(patches.transpose(1, 0, 2))
