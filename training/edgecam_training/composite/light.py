"""Lighting, softness and noise, drawn alike for every class so that none of them gives a class away."""

from typing import Final

import cv2
import numpy as np

from edgecam_training.composite.place import Layer
from edgecam_training.composite.terms import Frame, Levels

_NOISE: Final = 5.0  # highest standard deviation, in grey levels


def lit(layer: Layer, rng: np.random.Generator) -> Layer:
    """Another exposure, contrast and colour of light, which falls off to one side. Alpha stays."""
    size = layer.alpha.shape[0]
    gain = (rng.uniform(0.75, 1.25) * rng.uniform(0.93, 1.07, size=3)).astype(np.float32)
    contrast = np.float32(rng.uniform(0.85, 1.15))
    towards, fall = rng.uniform(0, 2 * np.pi), rng.uniform(0, 0.35)
    x, y = (np.float32(fall * part) for part in (np.cos(towards), np.sin(towards)))
    across = np.linspace(-0.5, 0.5, size, dtype=np.float32)
    ramp = 1 + x * across[None, :] + y * across[:, None]
    full = 255 * layer.alpha[:, :, None]
    changed = layer.colour * contrast  # about the middle of what the alpha allows
    changed += full * ((1 - contrast) / 2)
    changed *= ramp[:, :, None] * gain
    np.maximum(changed, 0, out=changed)
    return Layer(np.minimum(changed, full, out=changed), layer.alpha)


def softened(layer: Layer, rng: np.random.Generator) -> Layer:
    """Half of the layers out of focus by up to a pixel and a bit.

    Cut-outs of few pixels are soft because they are magnified, and most of them are fruit and vegetables:
    without this, softness would tell the class.
    """
    if rng.random() < 0.5:
        return layer
    size = layer.alpha.shape[0]
    sigma = rng.uniform(0.4, 1.2) * size / 224
    both = np.dstack([layer.colour, 255 * layer.alpha])
    both = cv2.GaussianBlur(both, (0, 0), sigma).astype(np.float32)
    return Layer(both[:, :, :3], both[:, :, 3] / np.float32(255))


def feathered(layer: Layer, rng: np.random.Generator) -> Layer:
    """Edges that fade inwards over two to five pixels (of 224); nothing shows that was not in the cut-out."""
    sigma = rng.uniform(0.5, 1.5) * layer.alpha.shape[0] / 224
    solid = np.minimum(np.float32(1), 2 * layer.alpha)  # a wing that one half sees through has no edge inside
    around = cv2.GaussianBlur(solid, (0, 0), sigma).astype(np.float32)
    kept = np.minimum(np.float32(1), np.float32(1.3) * around)
    return Layer(layer.colour * kept[:, :, None], np.asarray(layer.alpha * kept, np.float32))


def whole(frame: Frame) -> Layer:
    """A photo as a layer that covers everything."""
    return Layer(frame.astype(np.float32), np.ones(frame.shape[:2], np.float32))


def grain(size: int, rng: np.random.Generator) -> Levels:
    """(size, size, 3) sensor noise in grey levels, over object and background alike."""
    noise = rng.standard_normal((size, size, 3), dtype=np.float32)
    return np.asarray(noise * np.float32(rng.uniform(0, _NOISE)), np.float32)
