"""Names for events that sort by time and are unique over restarts, cameras and machines.

The layout is ULID's: 48 bits of milliseconds since the epoch and 80 random ones, in Crockford's base 32.
Source: github.com/ulid/spec.
"""

import secrets
from collections.abc import Callable
from typing import Final

_ALPHABET: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"  # no I, L, O, U: nobody misreads one
_LENGTH: Final = 26
_RANDOM_BITS: Final = 80


class Ids:
    """Gives names that only grow, also when the clock is set back."""

    def __init__(self, randbits: Callable[[int], int] = secrets.randbits) -> None:
        self._randbits = randbits
        self._last = -1

    def new(self, at: float) -> str:
        """26 letters and digits for a moment in seconds since the epoch."""
        value = max(0, int(at * 1e3)) << _RANDOM_BITS | self._randbits(_RANDOM_BITS)
        self._last = max(value, self._last + 1)
        return "".join(_ALPHABET[self._last >> 5 * place & 31] for place in reversed(range(_LENGTH)))
