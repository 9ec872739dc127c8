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
    recolour: float = 1.0,
    balance: float = 0.0,
    seed: tuple[int, int],
    first_step: int = 0,
) -> Iterator[Batch]:
    """One epoch from `first_step` on. Every draw depends on (seed, place in the epoch) alone, so an
    epoch can be taken up again at any step and gives the same batches."""
    order = epoch_order(labels, balance, np.random.default_rng(seed))
    change = partial(augment, min_crop=min_crop, flip_vertical=flip_vertical, recolour=recolour)

    def make(step: int) -> Batch:
        places = range(step * batch, min((step + 1) * batch, len(order)))
        chosen = order[places.start : places.stop]
        rngs = [np.random.default_rng([*seed, place]) for place in places]
        frames = [change(photos[i], hw, rng) for i, rng in zip(chosen, rngs, strict=True)]
        return Batch(torch.from_numpy(np.stack(frames)), torch.from_numpy(labels[chosen]))

    yield from ahead(make, range(first_step, steps_per_epoch(len(photos), batch)))


def epoch_order(labels: NDArray[np.int64], balance: float, rng: np.random.Generator) -> NDArray[np.int64]:
    """As many indices as there are photos, in random order, (n,).

    A class of c photos is shown in proportion to c^(1 - balance): 0 shows every photo once, 1 all classes
    alike. A photo that is due r times is shown floor(r) or ceil(r) times (systematic resampling).
    """
    n = len(labels)
    mixed = rng.permutation(n)
    weight = np.maximum(np.bincount(labels), 1)[labels[mixed]] ** -float(balance)
    due = np.round(np.cumsum(weight) * (n / weight.sum()), 6)
    times = np.diff(np.floor(np.concatenate([[0.0], due]) + rng.random())).astype(np.int64)
    return rng.permutation(np.repeat(mixed, times))


def ahead(make: Callable[[int], Batch], steps: range) -> Iterator[Batch]:
    """make(step) for every step, each started while the one before is in use."""
    with ThreadPoolExecutor(1) as pool:
        pending = [pool.submit(make, step) for step in steps[:2]]
        for step in steps:
            yield pending.pop(0).result()
            if step + 2 < steps.stop:
                pending.append(pool.submit(make, step + 2))
