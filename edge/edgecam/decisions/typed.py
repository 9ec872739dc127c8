"""What people type: numbers, and names of classes."""

import difflib
from collections.abc import Sequence
from typing import Final

from edgecam_engines.errors import SettingsError

NUMBER: Final = r"(\d*\.?\d+(?:e[+-]?\d+)?)"  # not negative; nothing that is no number matches


def known_class(name: str, classes: Sequence[str], option: str) -> str:
    """The name, if the head has it. Raises SettingsError with the nearest; `option` is where it stood."""
    if name in classes:
        return name
    near = difflib.get_close_matches(name, classes, n=3, cutoff=0.5)
    hint = f"Did you mean {near[0]!r}?" if near else f"The head has {', '.join(map(repr, classes[:12]))}"
    if not near:
        hint += " and others." if len(classes) > 12 else "."
    raise SettingsError(f"{option} names {name!r}, which is no class of this head.\n{hint}")
