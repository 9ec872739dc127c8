"""Which segments must go."""

from collections.abc import Sequence


def surplus(sizes: Sequence[int], room: int) -> int:
    """How many of the oldest must go so that the rest takes at most `room` bytes. `sizes`: oldest first."""
    total = sum(sizes)
    for gone, size in enumerate(sizes):
        if total <= room:
            return gone
        total -= size
    return len(sizes)
