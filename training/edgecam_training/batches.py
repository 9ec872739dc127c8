"""Batches of augmented photos, made in a thread while the network works on the one before."""

from collections.abc import Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from edgecam_engines.engine import Frame
from edgecam_training.augment import augment


class Batch(NamedTuple):
    frames: Tensor  # (n, h, w, 3) uint8 BGR
    labels: Tensor  # (n,) int64


class Frames(Protocol):
    """Photos by their number: an array of decoded ones, or shards that are read when asked."""

    def __len__(self) -> int: ...
    def __getitem__(self, index: int, /) -> Frame: ...  # uint8 (h, w, 3) BGR


def steps_per_epoch(photos: int, batch: int) -> int:
    """A last batch of a single photo is dropped: batch normalisation needs two."""
    return photos // batch + (photos % batch >= 2)


def epoch_batches(
    photos: Frames,
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
    part: tuple[int, int] = (0, 1),
    shards: NDArray[np.int64] | None = None,
    threads: int = 1,
) -> Generator[Batch, None, None]:
    """One epoch from `first_step` on. Every draw depends on (seed, place in the epoch) alone, so an
    epoch can be taken up again at any step and gives the same batches.

    With part (r, n), only the places r, r + n, r + 2n, ... of each batch: n processes make the batch of one.
    `shards` (n,) says in which file each photo lies; photos of few files are then shown together.
    """
    rng = np.random.default_rng(seed)
    order = epoch_order(labels, balance, rng)
    if shards is not None:
        order = order[near(shards[order], rng)]
    rank, size = part

    def photo(place: int) -> Frame:
        rng = np.random.default_rng([*seed, place])
        return augment(
            photos[order[place]],
            hw,
            rng,
            min_crop=min_crop,
            flip_vertical=flip_vertical,
            recolour=recolour,
        )

    with ThreadPoolExecutor(threads) as pool:

        def make(step: int) -> Batch:
            places = range(step * batch + rank, min((step + 1) * batch, len(order)), size)
            # One photo takes a third of a millisecond: handing it to another thread is not worth it.
            each = pool.map(photo, places) if threads > 1 else map(photo, places)
            frames = np.stack([*each]) if places else np.empty((0, *hw, 3), np.uint8)
            return Batch(torch.from_numpy(frames), torch.from_numpy(labels[order[list(places)]]))

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


def near(shards: NDArray[np.int64], rng: np.random.Generator, *, together: int = 8) -> NDArray[np.int64]:
    """Reorder photos of `shards` (n,) so that `together` files at a time, drawn at random, are read; (n,).

    Within those the order stays. Reading all over a thousand files would leave the disk's cache no chance.
    """
    turn = rng.permutation(int(shards.max()) + 1) // together
    return np.argsort(turn[shards], kind="stable")


def ahead(make: Callable[[int], Batch], steps: range) -> Iterator[Batch]:
    """make(step) for every step, each started while the one before is in use."""
    with ThreadPoolExecutor(1) as pool:
        pending = [pool.submit(make, step) for step in steps[:2]]
        for step in steps:
            yield pending.pop(0).result()
            if step + 2 < steps.stop:
                pending.append(pool.submit(make, step + 2))
