"""Which pictures show the same thing: copies, mirrored copies, and what a list declares."""

from collections.abc import Iterable, Sequence
from typing import Final

import numpy as np

from edgecam_training.composite.terms import Levels

# Mean difference of thumbnails in grey levels. Mirrored and recompressed copies among the stamps stay below
# 4; the nearest pair of different things, a hammer and a wrench, is 9 apart.
NEAR: Final = 5.0


def groups(
    names: Sequence[str], thumbnails: Sequence[Levels], declared: Iterable[Sequence[str]] = ()
) -> list[list[int]]:
    """Indices in groups that must stay together, (24, 24, c) thumbnails given; in the order of the names."""
    leader = list(range(len(names)))

    def led_by(k: int) -> int:
        while leader[k] != k:
            k = leader[k]
        return k

    for first, second in (*_alike(thumbnails), *_pairs(names, declared)):
        a, b = sorted((led_by(first), led_by(second)))
        leader[b] = a
    found: dict[int, list[int]] = {}
    for k in range(len(names)):
        found.setdefault(led_by(k), []).append(k)
    return list(found.values())


def _alike(thumbnails: Sequence[Levels]) -> list[tuple[int, int]]:
    """Pairs whose thumbnails, as they are or mirrored, differ by less than NEAR."""
    pairs = []
    # Means differ by no more than the pictures do, and mirroring leaves them: only near ones are compared.
    means = np.array([thumbnail.mean() for thumbnail in thumbnails])
    for second, thumbnail in enumerate(thumbnails):
        for first in np.flatnonzero(np.abs(means[:second] - means[second]) < NEAR).tolist():
            views = (thumbnail, thumbnail[:, ::-1])
            if min(np.abs(thumbnails[first] - view).mean() for view in views) < NEAR:
                pairs.append((first, second))
    return pairs


def _pairs(names: Sequence[str], declared: Iterable[Sequence[str]]) -> list[tuple[int, int]]:
    place = {name: k for k, name in enumerate(names)}
    here = [[place[name] for name in family if name in place] for family in declared]
    return [(family[0], other) for family in here for other in family[1:]]
