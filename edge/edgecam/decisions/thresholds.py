"""When a class is named and when no longer: two levels, so that an answer between them does not flicker."""

import re
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from edgecam.decisions.typed import NUMBER, known_class
from edgecam_engines.errors import SettingsError

_LEVELS: Final = re.compile(rf"{NUMBER}(?:\s*/\s*{NUMBER})?")


class Levels(NamedTuple):
    """Confidences of one class."""

    on: float  # named from here on
    off: float  # and until it falls below this; never above `on`


def parse_levels(text: str, option: str) -> Levels:
    """ "0.8/0.6", or "0.8" for both. Raises SettingsError; `option` is where it stood."""
    found = _LEVELS.fullmatch(text.strip())
    if found:
        on, off = float(found[1]), float(found[2] or found[1])
        if off <= on <= 1:
            return Levels(on, off)
    raise SettingsError(
        f"{option} is {text!r}, which cannot be meant.\n"
        f"Give 0.8, or 0.8/0.6: named from 0.8 on and until below 0.6. Both lie from 0 to 1, and the "
        f"second is not above the first."
    )


def levels_of(threshold: float, by_class: Mapping[str, str], classes: Sequence[str]) -> tuple[Levels, ...]:
    """One for each class of the head; `threshold` where none is given. Raises SettingsError."""
    given = {
        known_class(name, classes, "--thresholds"): parse_levels(text, f"The threshold of {name!r}")
        for name, text in by_class.items()
    }
    if not 0 <= threshold <= 1:
        raise SettingsError(
            f"--threshold {threshold} cannot be meant.\nGive a confidence from 0 to 1, as 0.5."
        )
    plain = Levels(threshold, threshold)
    return tuple(given.get(name, plain) for name in classes)


class Hysteresis:
    """Names the best class, or none: its confidence must reach `on`, or only `off` if it was named before.

    Only the best class is ever named, also when the one that was named still lies above its `off`.
    """

    def __init__(self, levels: Sequence[Levels]) -> None:
        self._levels = tuple(levels)
        self._named: int | None = None

    def name(self, probabilities: NDArray[np.float32], agreed: bool = True) -> int | None:
        """Index of the class (classes,), or None for unknown. Not `agreed` means unknown."""
        best = int(probabilities.argmax())
        level = self._levels[best].off if best == self._named else self._levels[best].on
        self._named = best if agreed and float(probabilities[best]) >= level else None
        return self._named

    def alone(self, probabilities: NDArray[np.float32]) -> int | None:
        """The same for a frame without a past."""
        best = int(probabilities.argmax())
        return best if float(probabilities[best]) >= self._levels[best].on else None

    def forget(self) -> None:
        """What comes next has nothing to do with what was."""
        self._named = None
