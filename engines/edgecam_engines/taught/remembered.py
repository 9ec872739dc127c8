"""The part of a class head that is not linear: photos it remembers, and how alike what it sees is to them.

Added to the logits: |x| / length * weight * exp(-sharpness * (1 - u.keys')) values, where x are the pooled
features less `mean` and u is x scaled to length 1. Source: Tip-Adapter, arXiv:2111.03930.
"""

from dataclasses import dataclass, fields
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
_PREFIX: Final = "remembered."


@dataclass(frozen=True)
class Remembered:
    """What Tip-Adapter calls a cache."""

    mean: Floats  # (d,)
    keys: Floats  # (n, d), unit rows
    values: Floats  # (n, classes)
    length: Floats  # (1,), as are the next two
    weight: Floats
    sharpness: Floats

    def __post_init__(self) -> None:
        n, d = self.keys.shape
        if self.mean.shape != (d,) or len(self.values) != n or self.values.ndim != 2:
            raise ValueError(f"Remembered photos {self.keys.shape}, {self.values.shape} do not fit together.")
        if any(part.shape != (1,) for part in (self.length, self.weight, self.sharpness)):
            raise ValueError("Length, weight and sharpness of remembered photos are one number each.")

    def logits(self, pooled: Floats) -> Floats:
        """(n, d) -> (n, classes), to be added to the linear ones."""
        away = pooled - self.mean
        near = np.exp(-self.sharpness * (1 - unit(away) @ self.keys.T)) @ self.values
        length = np.linalg.norm(away, axis=1, keepdims=True) / self.length
        return np.asarray(length * self.weight * near, np.float32)

    def tensors(self) -> dict[str, Floats]:
        """For a head's file."""
        return {
            _PREFIX + f.name: np.ascontiguousarray(getattr(self, f.name), np.float32) for f in fields(self)
        }


def remembered_of(tensors: dict[str, NDArray[Any]]) -> Remembered | None:
    """What `tensors` wrote, read back; None where there is nothing of it. Raises ValueError and KeyError."""
    if _PREFIX + "keys" not in tensors:
        return None
    parts = {f.name: tensors[_PREFIX + f.name] for f in fields(Remembered)}
    if not all(part.dtype == np.float32 and np.isfinite(part).all() for part in parts.values()):
        raise ValueError("what it remembers are no finite float32 numbers")
    if parts["keys"].ndim != 2:
        raise ValueError(f"its keys are {parts['keys'].shape}")
    return Remembered(**parts)


def unit(rows: Floats) -> Floats:
    """Rows scaled to length 1; a row of zeros stays."""
    length = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.asarray(rows / np.where(length > 0, length, 1), rows.dtype)
