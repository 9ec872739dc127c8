"""CutMix: a box of each image is replaced by the same box of a partner."""

import math

import torch
from torch import Tensor

from edgecam_training.mixing.mixed import Mixed


def cutmix(images: Tensor, labels: Tensor, *, alpha: float, rng: torch.Generator) -> Mixed:
    """One box and one random pairing for the batch; images (n, h, w, 3).

    The label share comes from the clipped box, not from the draw.
    Source: CutMix, arXiv:1905.04899.
    """
    n, h, w, _ = images.shape
    partner = torch.randperm(n, generator=rng)
    top, bottom, left, right = random_box(h, w, alpha=alpha, rng=rng)
    pasted = images.clone()
    pasted[:, top:bottom, left:right] = images[partner, top:bottom, left:right]
    kept = 1 - (bottom - top) * (right - left) / (h * w)
    return Mixed(pasted, labels, labels[partner], torch.full((n,), kept))


def random_box(h: int, w: int, *, alpha: float, rng: torch.Generator) -> tuple[int, int, int, int]:
    """A box covering about `1 - kept` of an image, kept ~ Beta(alpha, alpha).

    Returns top, bottom, left, right in pixels, half-open. The centre is uniform over the pixels and
    the box is clipped to the image, so its true share may be smaller than the draw.
    """
    side = math.sqrt(1 - beta(alpha, rng))
    box_h, box_w = int(h * side), int(w * side)
    cy, cx = (int(torch.randint(size, (), generator=rng)) for size in (h, w))
    top, left = cy - box_h // 2, cx - box_w // 2
    return max(top, 0), min(top + box_h, h), max(left, 0), min(left + box_w, w)


def beta(alpha: float, rng: torch.Generator) -> float:
    """One draw of Beta(alpha, alpha), by two gamma draws from the given generator."""
    concentration = torch.full((2,), alpha, dtype=torch.float64)
    a, b = torch._standard_gamma(concentration, generator=rng).tolist()
    return a / (a + b) if a + b > 0 else 0.5
