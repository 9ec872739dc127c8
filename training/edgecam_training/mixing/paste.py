"""A part of the partner, resized into a box: for mixes that move what they take."""

import torch
import torch.nn.functional as F
from torch import Tensor

from edgecam_training.mixing.boxes import Boxes, outside


def paste(images: Tensor, partner: Tensor, into: Boxes, crop: Boxes | None = None) -> tuple[Tensor, Tensor]:
    """Each image with its partner's `crop` (otherwise all of the partner) resized into the box `into`.

    Boxes are one for the batch or one for each image. An image that is its own partner stays as it is.
    Returns the images and the masks (n, h, w), True where an image kept its pixel.
    """
    n, h, w, _ = images.shape
    moved = partner != torch.arange(n)
    pasted = images.clone()
    for chosen, target, source in _groups(moved, into, crop or whole(len(into.top), (h, w))):
        top, bottom, left, right = target
        if bottom > top and right > left:
            y0, y1, x0, x1 = source
            part = resize(images[partner[chosen], y0:y1, x0:x1], (bottom - top, right - left))
            pasted[chosen, top:bottom, left:right] = part
    return pasted, outside(into, (h, w)) | ~moved[:, None, None]


def whole(count: int, hw: tuple[int, int]) -> Boxes:
    """`count` boxes around the whole image."""
    zero = torch.zeros(count, dtype=torch.int64)
    return Boxes(zero, zero + hw[0], zero, zero + hw[1])


def resize(images: Tensor, hw: tuple[int, int]) -> Tensor:
    """uint8 (n, H, W, 3) -> (n, h, w, 3), bilinear and without aliasing."""
    pixels = images.permute(0, 3, 1, 2)
    if images.is_cuda:  # bytes are resized on CPUs alone
        small = F.interpolate(pixels.float(), size=hw, mode="bilinear", antialias=True).round_()
    else:
        small = F.interpolate(pixels, size=hw, mode="bilinear", antialias=True)
    return small.to(torch.uint8).permute(0, 2, 3, 1)


def _groups(moved: Tensor, into: Boxes, crop: Boxes) -> list[tuple[Tensor, list[int], list[int]]]:
    """(which images, box, crop) for all images that share a box."""
    chosen = moved.nonzero()[:, 0]
    boxes = [torch.stack(box, dim=1).tolist() for box in (into, crop)]
    if len(into.top) == 1:
        return [(chosen, boxes[0][0], boxes[1][0])] if len(chosen) else []
    return [(chosen[i : i + 1], boxes[0][k], boxes[1][k]) for i, k in enumerate(chosen.tolist())]
