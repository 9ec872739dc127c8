"""Photos to show mixes on, and pictures made up for it where there are no photos."""

from typing import NamedTuple

import cv2
import numpy as np
import torch
from torch import Tensor

CELL = 16  # pixels a map cell, as in the network


class Specimens(NamedTuple):
    """A batch with its names and with maps of where each image shows its label."""

    images: Tensor  # (n, h, w, 3) uint8 BGR
    labels: Tensor  # (n,) int64
    names: list[str]  # of each image
    saliency: Tensor  # (n, h / 16, w / 16)
    fill: Tensor  # (3,) uint8 BGR


SHAPES = ("disc", "square", "triangle", "ring")


def specimens(n: int, hw: tuple[int, int], *, seed: int) -> Specimens:
    """One shape each on a striped ground; the map is where the shape is, as coarse as a network's."""
    rng = np.random.default_rng(seed)
    pictures = [_picture(SHAPES[i % len(SHAPES)], hw, rng) for i in range(n)]
    grid = (hw[1] // CELL, hw[0] // CELL)
    maps = [cv2.resize(mask.astype(np.float32), grid, interpolation=cv2.INTER_AREA) for _, mask in pictures]
    return Specimens(
        torch.from_numpy(np.stack([frame for frame, _ in pictures])),
        torch.arange(n) % len(SHAPES),
        [SHAPES[i % len(SHAPES)] for i in range(n)],
        torch.from_numpy(np.stack(maps)),
        torch.full((3,), 127, dtype=torch.uint8),
    )


def _picture(
    shape: str, hw: tuple[int, int], rng: np.random.Generator
) -> tuple[np.ndarray[tuple[int, ...], np.dtype[np.uint8]], np.ndarray[tuple[int, ...], np.dtype[np.uint8]]]:
    h, w = hw
    y, x = np.mgrid[:h, :w]
    angle = rng.uniform(0, np.pi)
    stripes = np.sin((x * np.cos(angle) + y * np.sin(angle)) / rng.uniform(4, 9))[..., None]
    frame = np.clip(rng.uniform(70, 150, 3) + 22 * stripes, 0, 255).astype(np.uint8)
    mask = np.zeros(hw, np.uint8)
    radius = int(min(hw) * rng.uniform(0.17, 0.26))
    cx, cy = (int(rng.uniform(0.3, 0.7) * size) for size in (w, h))
    if shape in {"disc", "ring"}:
        cv2.circle(mask, (cx, cy), radius, 1, -1 if shape == "disc" else max(2, radius // 3))
    else:
        corners = {"square": 4, "triangle": 3}[shape]
        turn = 2 * np.pi * np.arange(corners) / corners + np.pi / 4
        points = np.stack([cx + radius * np.cos(turn), cy + radius * np.sin(turn)], axis=1)
        cv2.fillPoly(mask, [points.round().astype(np.int32)], 1)
    frame[mask > 0] = rng.choice([30, 230], 3)
    return frame, mask
