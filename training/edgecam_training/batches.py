"""Batches of augmented photos, made in a thread while the network works on the one before."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from edgecam_training.augment import augment


class Batch(NamedTuple):
    frames: Tensor  # (n, h, w, 3) uint8 BGR
    labels: Tensor  # (n,) int64


def steps_per_epoch(photos: int, batch: int) -> int:
    """A last batch of a single photo is dropped: batch normalisation needs two."""
    return photos // batch + (photos % batch >= 2)


def epoch_batches(
    photos: NDArray[np.uint8],
    labels: NDArray[np.int64],
    *,
    hw: tuple[int, int],
    batch: int,
    min_crop: float,
    flip_vertical: bool = False,
    seed: tuple[int, int],
    first_step: int = 0,
) -> Iterator[Batch]:
    """One epoch from `first_step` on. Every draw depends on (seed, photo) alone, so an epoch can be
    taken up again at any step and gives the same batches."""
    order = np.random.default_rng(seed).permutation(len(photos))

    change = partial(augment, min_crop=min_crop, flip_vertical=flip_vertical)

    def make(step: int) -> Batch:
        chosen = order[step * batch : (step + 1) * batch]
        frames = [change(photos[i], hw, np.random.default_rng([*seed, int(i)])) for i in chosen]
        return Batch(torch.from_numpy(np.stack(frames)), torch.from_numpy(labels[chosen]))

    yield from ahead(make, range(first_step, steps_per_epoch(len(photos), batch)))


def ahead(make: Callable[[int], Batch], steps: range) -> Iterator[Batch]:
    """make(step) for every step, each started while the one before is in use."""
    with ThreadPoolExecutor(1) as pool:
        pending = [pool.submit(make, step) for step in steps[:2]]
        for step in steps:
            yield pending.pop(0).result()
            if step + 2 < steps.stop:
                pending.append(pool.submit(make, step + 2))
