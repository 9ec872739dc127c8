"""Published latencies on an AGX Orin in MAXN, and what those networks cost, to fit and to check `predict`.

EfficientViT-B1 to B3 (arXiv:2205.14756, its repository's table): TensorRT, FP16, batch 1, transfers included.
ResNet-50: MLPerf Inference v3.1, closed, edge, SingleStream p90, TensorRT, INT8.

The layers are written down from the papers' architectures; multiply-accumulates and parameters are checked
against those that the papers give. How many kernels TensorRT makes of one linear attention besides its
convolutions is not published: 12 are taken (two products, ten that slice, cast, pad, turn and divide).
"""

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from edgecam.roofline.cost import Cost, Layer

ATTENTION_KERNELS: Final = 12


class Published(NamedTuple):
    """One network at one size."""

    network: str
    side: int  # pixels
    precision: str
    milliseconds: float
    cost: Cost


class _Net:
    """Layers, added from input to output."""

    def __init__(self, side: int) -> None:
        self.side, self.layers = side, list[Layer]()

    def conv(self, inputs: int, outputs: int, kernel: int = 1, stride: int = 1, groups: int = 1) -> None:
        before, self.side = self.side, -(-self.side // stride)
        weights = outputs * (inputs // groups) * kernel**2
        moved = inputs * before**2 + outputs * self.side**2
        self.layers.append(Layer("", "Conv", 2 * weights * self.side**2, moved, weights))

    def inverted(self, inputs: int, outputs: int, stride: int = 1, expand: int = 4) -> None:
        """Widen, depthwise, narrow."""
        middle = inputs * expand
        self.conv(inputs, middle)
        self.conv(middle, middle, 3, stride, middle)
        self.conv(middle, outputs)

    def move(self, numbers: int) -> None:
        self.layers.append(Layer("", "Move", 0, numbers, 0))

    def dense(self, inputs: int, outputs: int) -> None:
        self.layers.append(Layer("", "Gemm", 2 * inputs * outputs, inputs + outputs, inputs * outputs))

    def attention(self, channels: int, width: int) -> None:
        """EfficientViT's linear attention on two scales, heads of `width`."""
        tokens, three = self.side**2, 3 * channels
        self.conv(channels, three)
        self.conv(three, three, 5, 1, three)
        self.conv(three, three, 1, 1, three // width)
        for _ in range(2):
            product = 2 * 2 * channels * tokens * (width + 1)
            self.layers.append(Layer("", "MatMul", product, 3 * 2 * channels * tokens, 0))
        for _ in range(ATTENTION_KERNELS - 2):
            self.move(2 * 2 * channels * tokens)
        self.conv(2 * channels, channels)


def _efficientvit(
    widths: tuple[int, ...], depths: tuple[int, ...], head: int, ends: tuple[int, int], side: int
) -> Cost:
    net = _Net(side)
    net.conv(3, widths[0], 3, 2)
    for _ in range(depths[0]):
        net.conv(widths[0], widths[0], 3, 1, widths[0])
        net.conv(widths[0], widths[0])
    channels = widths[0]
    for width, depth in zip(widths[1:3], depths[1:3], strict=True):
        for number in range(depth):
            net.inverted(channels, width, 2 if number == 0 else 1)
            channels = width
    for width, depth in zip(widths[3:], depths[3:], strict=True):
        net.inverted(channels, width, 2)
        channels = width
        for _ in range(depth):
            net.attention(channels, head)
            net.inverted(channels, channels)
    net.conv(channels, ends[0])
    net.move(ends[0] * net.side**2)
    net.dense(ends[0], ends[1])
    net.dense(ends[1], 1000)
    return Cost(net.layers)


def resnet50(side: int = 224) -> Cost:
    net = _Net(side)
    net.conv(3, 64, 7, 2)
    net.move(80 * net.side**2)
    net.side //= 2
    channels = 64
    for stage, (width, depth) in enumerate(zip((64, 128, 256, 512), (3, 4, 6, 3), strict=True)):
        for number in range(depth):
            stride, before = (2 if stage and number == 0 else 1), net.side
            if number == 0:
                net.conv(channels, 4 * width, 1, stride)
                net.side = before
            net.conv(channels, width)
            net.conv(width, width, 3, stride)
            net.conv(width, 4 * width)
            channels = 4 * width
    net.move(channels * net.side**2)
    net.dense(channels, 1000)
    return Cost(net.layers)


def efficientvit(name: str, side: int) -> Cost:
    """B1, B2 or B3."""
    widths, depths, head, ends = _EFFICIENTVIT[name]
    return _efficientvit(widths, depths, head, ends, side)


_EFFICIENTVIT: Final = {
    "B1": ((16, 32, 64, 128, 256), (1, 2, 3, 3, 4), 16, (1536, 1600)),
    "B2": ((24, 48, 96, 192, 384), (1, 3, 4, 4, 6), 32, (2304, 2560)),
    "B3": ((32, 64, 128, 256, 512), (1, 4, 6, 6, 9), 32, (2304, 2560)),
}
_LATENCIES: Final = {
    "B1": {224: 1.48, 256: 1.57, 288: 1.82},
    "B2": {224: 2.63, 256: 2.84, 288: 3.30},
    "B3": {224: 4.36, 256: 4.74, 288: 5.63},
}


def published() -> list[Published]:
    """All ten, in the order of the papers."""
    found = [
        Published(f"EfficientViT-{name}", side, "fp16", ms, efficientvit(name, side))
        for name, by_side in _LATENCIES.items()
        for side, ms in by_side.items()
    ]
    return [*found, Published("ResNet-50", 224, "int8", 0.640, resnet50())]


def fit(points: list[Published]) -> tuple[float, float]:
    """Launch seconds and traffic factor with the least squared relative error, neither below 0."""
    from edgecam.roofline.predict import traffic

    table = np.array([[point.cost.kernels, traffic(point.cost, point.precision)] for point in points])
    seconds = np.array([point.milliseconds / 1e3 for point in points])
    launch, factor = _least_squares(table / seconds[:, None], np.ones(len(points)))
    return launch, factor


def left_out(points: list[Published]) -> list[tuple[Published, float]]:
    """Each with the milliseconds predicted for it by a fit to the other networks, all sizes left out."""
    from edgecam.roofline.predict import traffic

    found = []
    for point in points:
        launch, factor = fit([other for other in points if other.network != point.network])
        told = launch * point.cost.kernels + factor * traffic(point.cost, point.precision)
        found.append((point, told * 1e3))
    return found


def _least_squares(table: NDArray[np.float64], target: NDArray[np.float64]) -> tuple[float, float]:
    both, *_ = np.linalg.lstsq(table, target, rcond=None)
    if (both >= 0).all():
        return float(both[0]), float(both[1])
    # With two unknowns the bound leaves one of them alone.
    alone = [float(column @ target / (column @ column)) for column in table.T]
    errors = [float(((column * one - target) ** 2).sum()) for column, one in zip(table.T, alone, strict=True)]
    return (alone[0], 0.0) if errors[0] <= errors[1] else (0.0, alone[1])
