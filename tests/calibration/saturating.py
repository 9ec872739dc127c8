"""INT8 as x86 without VNNI computes it, in exact integers: the trap that a gate must not walk into.

vpmaddubsw multiplies unsigned bytes by signed ones and adds neighbours, and the sum of the two products is
cut off at 16 bits before anything else happens. Signed activations become unsigned by adding 128, which is
taken off at the end. Weights of 7 bits keep the sum below 2 * 255 * 63 = 32130, within 16 bits.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgecam_engines.engine import Features, Frames, check_frames

CELL = 16


def whole_sums(activations: NDArray[np.uint8], weights: NDArray[np.int8]) -> NDArray[Any]:
    """(m, k) by (k, n) in 32 bits, as VNNI and every plain loop have it."""
    return activations.astype(np.int32) @ weights.astype(np.int32)


def saturating_sums(activations: NDArray[np.uint8], weights: NDArray[np.int8]) -> NDArray[Any]:
    """(m, k) by (k, n), the sum of each two neighbours along k cut off at 16 bits; k is even."""
    (m, k), n = activations.shape, weights.shape[1]
    left = activations.reshape(m, k // 2, 2).astype(np.int32)
    right = weights.reshape(k // 2, 2, n).astype(np.int32)
    total = np.zeros((m, n), np.int32)
    for pair in range(k // 2):
        products = left[:, pair, :] @ right[pair]
        total += np.clip(products, -32768, 32767)
    return total


class CellSums:
    """Mean blue, green and red of 16 x 16 cells by weights of `largest`, with any way to multiply.

    What one convolution of stride 16 over centred signed bytes is.
    """

    def __init__(self, largest: int, multiply: Callable[[Any, Any], NDArray[Any]]) -> None:
        self.name, self.input_hw = "cells-int8", (64, 64)
        self._multiply, self._scale = multiply, 1 / (largest * CELL * CELL * 128)
        channels = np.eye(3, dtype=np.int8) * np.int8(largest)
        self._weights = np.repeat(channels, CELL * CELL, axis=0)  # channel by channel: (768, 3)

    def infer(self, frames: Frames, /) -> Features:
        check_frames(frames, self.input_hw)
        n, (h, w) = len(frames), self.input_hw
        cells = frames.reshape(n, h // CELL, CELL, w // CELL, CELL, 3).transpose(0, 1, 3, 5, 2, 4)
        # Signed bytes less 128 are what the graph means; the kernel adds the 128 again.
        sums = self._multiply(cells.reshape(-1, 3 * CELL * CELL), self._weights)
        sums = sums - 128 * self._weights.sum(axis=0, dtype=np.int64)
        features = (sums * self._scale).reshape(n, h // CELL, w // CELL, 3).transpose(0, 3, 1, 2)
        return np.ascontiguousarray(features, np.float32)

    def close(self) -> None:
        pass
