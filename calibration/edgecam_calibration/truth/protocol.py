"""How the published WSOL evaluation brings boxes and masks to the 224 x 224 pixels that it compares.

Source: resize_bbox and get_mask in evaluation.py of clovaai/wsolevaluation (MIT), arXiv:2001.07437.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from edgecam_calibration.truth.checks import Size
from edgecam_calibration.truth.types import Boxes, ImageTruth, Mask

PROTOCOL_SIZE: Final = (224, 224)


def resize_boxes(boxes: Boxes, size: Size, to: Size = PROTOCOL_SIZE) -> NDArray[np.int64]:
    """Boxes (k, 4) of an image of `size` as the protocol brings them to `to`: scaled, then cut to int.

    Both sizes are (w, h).
    """
    # The same order of operations as there, so that rounding is the same to the last bit.
    return np.asarray(boxes * np.array(to * 2, np.float64) / np.array(size * 2, np.float64)).astype(np.int64)


def protocol_boxes(image: ImageTruth, size: Size | None = None) -> NDArray[np.int64]:
    """The image's boxes (k, 4) in the protocol's 224 x 224. `size` is the image's, where it says none.

    Raises ValueError when the size is not known.
    """
    if (known := image.size or size) is None:
        raise ValueError(f"The size of {image.image_id} is not known, so its boxes cannot be scaled.")
    return resize_boxes(image.boxes, known)


def protocol_mask(image: ImageTruth) -> Mask:
    """The image's mask in the protocol's 224 x 224: 1 object, 0 background, 255 ignore and no object.

    Each file is resized with nearest neighbour before any are combined, as get_mask does there.
    """
    return image.mask(PROTOCOL_SIZE[::-1])
