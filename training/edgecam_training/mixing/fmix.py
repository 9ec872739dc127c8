"""FMix: patches of any shape, cut where a random landscape is high."""

from typing import Final

import numpy as np
import torch
from torch import Tensor

from edgecam_training.mixing.blend import mix_by
from edgecam_training.mixing.mixed import Given, Mixed

DECAY: Final = 3.0  # amplitudes fall with frequency to this power


def fmix(images: Tensor, labels: Tensor, given: Given, rng: torch.Generator) -> Mixed:
    """Source: FMix, arXiv:2002.12047. The public code keeps two columns of the spectrum; this keeps all."""
    return mix_by(fmix_masks, images, labels, given, rng)


def fmix_masks(kept: Tensor, hw: tuple[int, int], rng: torch.Generator, *, canvas: int = 1) -> Tensor:
    """True on the highest `kept` share of a landscape's pixels, rounded up or down by chance, (m, h, w).

    As published a landscape goes on at the opposite edge, so far pixels are tied again. A `canvas` of 2
    draws twice the height and width and crops, which unties them and leaves larger patches.
    """
    h, w = hw
    height = landscapes(len(kept), (canvas * h, canvas * w), rng)[:, :h, :w].flatten(1).numpy()
    up = torch.rand(kept.shape, generator=rng) < 0.5
    count = torch.where(up, (kept * h * w).ceil(), (kept * h * w).floor()).long()
    masks = np.zeros(height.shape, bool)
    for mask, row, k in zip(masks, height, count.tolist(), strict=True):
        # Partitioned in numpy: forty times as fast as torch's sort of all rows.
        if k:
            mask[np.argpartition(row, -k)[-k:]] = True
    return torch.from_numpy(masks).reshape(-1, h, w)


def landscapes(count: int, hw: tuple[int, int], rng: torch.Generator) -> Tensor:
    """Gaussian noise whose spectrum falls as frequency to the power of DECAY, (count, h, w) float32.

    The noise is drawn in the image and filtered. Drawn as a spectrum, as published, what varies from row to
    row alone comes out with half the power, because a real image keeps only the symmetric part of it.
    """
    h, w = hw
    frequency = torch.hypot(torch.fft.fftfreq(h)[:, None], torch.fft.rfftfreq(w)[None])
    scale = frequency.clamp(min=1 / max(h, w)) ** -DECAY
    return torch.fft.irfft2(torch.fft.rfft2(torch.randn(count, h, w, generator=rng)) * scale, s=hw)
