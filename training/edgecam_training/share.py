"""Gives a trained network what all its maps share, from photos that it learned from."""

from collections.abc import Iterator
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray

from edgecam_calibration.shared_map import fit_shared
from edgecam_engines.geometry import fit
from edgecam_training.batches import Frames, epoch_order
from edgecam_training.model import Model

PHOTOS: Final = 512  # a hundred thousand cells, for as many unknowns as there are channels
_BATCH: Final = 32


@torch.inference_mode()
def share_maps(
    model: Model,
    photos: Frames,
    labels: NDArray[np.int64],
    hw: tuple[int, int],
    *,
    strength: float,
    seed: int,
    device: torch.device,
) -> None:
    """Fit the shared row to whole training photos at (h, w), all classes alike, for the class head to add."""
    order = epoch_order(labels, 1.0, np.random.default_rng(seed))[:PHOTOS]
    model.eval()

    def seen() -> Iterator[tuple[NDArray[np.float32], NDArray[np.int64]]]:
        for places in (order[i : i + _BATCH] for i in range(0, len(order), _BATCH)):
            frames = np.stack([fit(photos[int(place)], hw) for place in places])
            yield model(torch.from_numpy(frames).to(device)).float().cpu().numpy(), labels[places]

    weight = model.classify.effective()[0].double().cpu().numpy()
    model.classify.share(fit_shared(seen(), weight, strength))
