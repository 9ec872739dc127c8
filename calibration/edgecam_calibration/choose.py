"""Which photos calibrate: the same number of each class where possible, drawn with a seed."""

import hashlib
from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from edgecam_calibration.evaluate import Labelled
from edgecam_engines.files import sha256_of


def choose(photos: Sequence[Labelled], count: int, *, rng: np.random.Generator) -> list[Labelled]:
    """`count` photos, classes taken in turn, each class in random order; all of them if there are fewer."""
    piles: dict[int, list[Labelled]] = defaultdict(list)
    for index in rng.permutation(len(photos)):
        piles[photos[index].label].append(photos[index])
    chosen: list[Labelled] = []
    while len(chosen) < min(count, len(photos)):
        for label in sorted(piles):
            if piles[label] and len(chosen) < count:
                chosen.append(piles[label].pop())
    return chosen


def set_hash(photos: Sequence[Labelled]) -> str:
    """A hash of the photos' contents, whatever their order and names."""
    digests = sorted(sha256_of(photo.path) for photo in photos)
    return hashlib.sha256("".join(digests).encode()).hexdigest()
