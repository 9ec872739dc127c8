"""Painting over a part of a photo: one small protocol, and what needs no model."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from edgecam_engines.engine import Frame
from edgecam_engines.errors import DataError

_RADIUS: Final = 5  # pixels that Telea's method looks back
_WIDEST: Final = 0.5  # of the longer side: beyond it, one mean colour is what is left to say


class Fill(Protocol):
    """Something that paints over the masked part of a photo and leaves the rest as it is, to the bit."""

    def fill(self, photo: Frame, mask: NDArray[np.bool_], rng: np.random.Generator, /) -> Frame:
        """(h, w, 3) BGR and (h, w) True where to paint -> (h, w, 3)."""
        ...


class Telea:
    """From the outline inwards, along lines of equal brightness (Telea, 2004). Sharp; streaky when wide."""

    def fill(self, photo: Frame, mask: NDArray[np.bool_], rng: np.random.Generator, /) -> Frame:
        painted = cv2.inpaint(photo, mask.astype(np.uint8), _RADIUS, cv2.INPAINT_TELEA)
        return np.asarray(np.where(mask[:, :, None], painted, photo), np.uint8)


class Blur:
    """The mean of what is around, from near where there is something near and from far where there is not."""

    def fill(self, photo: Frame, mask: NDArray[np.bool_], rng: np.random.Generator, /) -> Frame:
        known = (~mask).astype(np.float32)
        picture = photo.astype(np.float32)
        painted: NDArray[np.floating] = np.full(photo.shape, mean_colour(photo, ~mask), np.float32)
        sigma = _WIDEST * max(mask.shape) / 2
        while sigma >= 1:
            weight = cv2.GaussianBlur(known, (0, 0), sigma)[:, :, None]
            near = cv2.GaussianBlur(picture * known[:, :, None], (0, 0), sigma)
            share = np.minimum(1, 4 * weight)  # where little is known at this width, the wider mean stays
            painted = share * near / np.maximum(weight, 1e-6) + (1 - share) * painted
            sigma /= 2
        whole = np.rint(np.clip(painted, 0, 255)).astype(np.uint8)
        return np.asarray(np.where(mask[:, :, None], whole, photo), np.uint8)


def mean_colour(photo: Frame, where: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """(3,) of the pixels that are True; of all when none is."""
    pixels = photo[where] if where.any() else photo.reshape(-1, 3)
    return np.asarray(np.rint(pixels.mean(axis=0)), np.uint8)


FILLS: Final[dict[str, Callable[[], Fill]]] = {"telea": Telea, "blur": Blur}


@dataclass(frozen=True)
class Brush:
    """Which way of painting was asked for."""

    fill: str = "blur"  # or "telea", or "diffusers"
    model: Path | None = None  # of diffusers: a folder on this disk
    prompt: str = "a photo"


def open_fills(brush: Brush) -> tuple[Fill, Fill | None]:
    """What closes the hole that a thing leaves, and what paints everything but the thing anew, if anything.

    Diffusion starts from the composite, so that what it paints goes with the thing; there the hole is only
    a start. Raises DataError for a model that is missing or not asked for.
    """
    if brush.fill in FILLS:
        if brush.model is not None:
            raise DataError(f"--model is for --fill diffusers; --fill {brush.fill} has none. Leave it out.")
        return FILLS[brush.fill](), None
    if brush.model is None:
        raise DataError(
            f"--fill {brush.fill} needs --model DIR, the folder of an inpainting pipeline on this disk.\n"
            f"Nothing is downloaded. Without a model, use --fill blur."
        )
    from edgecam_training.recompose.diffusion import open_diffusion

    return Blur(), open_diffusion(brush.model, brush.prompt)
