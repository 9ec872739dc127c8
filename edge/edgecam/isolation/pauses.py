"""How long to wait before each attempt to get a camera back."""

import random
from collections.abc import Iterator
from typing import Final

FIRST_S: Final = 0.25
# Short, since a camera must be seen again within two seconds of its return, and an attempt costs little.
LONGEST_S: Final = 1.25


def pauses(rng: random.Random, first: float = FIRST_S, longest: float = LONGEST_S) -> Iterator[float]:
    """Seconds, doubling up to `longest`, each shortened by up to a half.

    By chance, so that many cameras that one switch took away do not all come back at the same moment.
    """
    pause = min(first, longest)
    while True:
        yield pause * rng.uniform(0.5, 1.0)
        pause = min(2 * pause, longest)
