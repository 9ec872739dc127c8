"""Which photos calibrate: the same number of each class where possible, drawn with a seed, no judge's."""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np

from edgecam_calibration.evaluate import Labelled
from edgecam_engines.console import log
from edgecam_engines.errors import DataError
from edgecam_engines.files import sha256_of

FEW: Final = 2  # photos of a class, below which its ranges are left to chance


class Covered(NamedTuple):
    """How well one class is covered by the chosen photos."""

    name: str
    chosen: int
    available: int


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


def without_judges(photos: Sequence[Labelled], judges: Sequence[Path]) -> list[Labelled]:
    """The photos that are none of the `judges`, by their contents, whatever their names; says how many go.

    A photo that the gate or a test judges by would have its ranges fitted to it. Raises DataError if none is
    left.
    """
    judging = {photo.path for photo in same_contents(photos, judges)}
    left = [photo for photo in photos if photo.path not in judging]
    if not left:
        raise DataError(
            "Every calibration photo is one of the photos that engines are judged or tested by, so "
            "nothing would be proved.\n"
            "Give others with --calibration DIR, or leave it out to use the training photos."
        )
    if len(left) < len(photos):
        log.print(
            f"{len(photos) - len(left)} calibration photos are photos to judge or test by and are left out; "
            f"{len(left)} remain."
        )
    return left


def same_contents(photos: Sequence[Labelled], others: Sequence[Path]) -> list[Labelled]:
    """The photos whose contents, byte by byte, are also those of one of the `others` that still exist."""
    # Files of unlike sizes differ, so most need not be read.
    there = [path for path in others if path.is_file()]
    by_size = {photo.path: photo.path.stat().st_size for photo in photos}
    sizes = {path.stat().st_size for path in there} & {*by_size.values()}
    digests = {sha256_of(path) for path in there if path.stat().st_size in sizes}
    return [p for p in photos if by_size[p.path] in sizes and sha256_of(p.path) in digests]


def once(photos: Sequence[Labelled]) -> list[Labelled]:
    """The photos in their order, those whose contents came before left out."""
    of_size = Counter(photo.path.stat().st_size for photo in photos)
    seen: set[str] = set()
    found = []
    for photo in photos:
        digest = sha256_of(photo.path) if of_size[photo.path.stat().st_size] > 1 else ""
        if digest not in seen:
            found.append(photo)
        seen |= {digest} - {""}
    return found


def coverage(
    chosen: Sequence[Labelled], available: Sequence[Labelled], classes: Sequence[str]
) -> list[Covered]:
    """How many photos of each class calibrate, of how many there were."""
    used, there = (Counter(photo.label for photo in photos) for photos in (chosen, available))
    return [Covered(name, used[label], there[label]) for label, name in enumerate(classes)]


def report_coverage(covered: Sequence[Covered]) -> None:
    """One line, and one more for classes with fewer than `FEW` photos."""
    counts = [each.chosen for each in covered]
    log.print(
        f"Calibrating on {sum(counts)} photos of {sum(map(bool, counts))} of {len(counts)} classes, "
        f"{min(counts)} to {max(counts)} of each."
    )
    scarce = [f"{each.name} ({each.chosen} of {each.available})" for each in covered if each.chosen < FEW]
    if scarce:
        more = f" and {len(scarce) - 8} more" if len(scarce) > 8 else ""
        log.print(f"Too few photos to calibrate on: {', '.join(scarce[:8])}{more}.", markup=False)


def set_hash(photos: Sequence[Labelled]) -> str:
    """A hash of the photos' contents, whatever their order and names."""
    digests = sorted(sha256_of(photo.path) for photo in photos)
    return hashlib.sha256("".join(digests).encode()).hexdigest()
