"""What the tests of decisions share: frames that are told apart, and results from bare probabilities."""

from collections.abc import Sequence

import numpy as np

from edgecam.result import UNKNOWN, Result
from edgecam_engines.engine import Frame
from edgecam_engines.geometry import Box
from edgecam_engines.head import Ranked

CLASSES = ("background", "crack", "hot spot")
BOX = Box(1, 2, 3, 4)


def picture(number: int) -> Frame:
    """A frame that carries its number."""
    return np.full((4, 6, 3), number % 256, np.uint8)


def answer(
    probabilities: Sequence[float],
    number: int = 0,
    at: float = 1000.0,
    threshold: float = 0.5,
    classes: Sequence[str] = CLASSES,
) -> Result:
    """As `recognise` would give it."""
    exact = np.asarray(probabilities, np.float32)
    order = np.argsort(-exact, kind="stable")[:3]
    top = tuple(Ranked(int(k), classes[k], float(exact[k])) for k in order)
    known = top[0].confidence >= threshold
    return Result(
        frame=number,
        captured_at=at,
        age_ms=5.0,
        skipped=0,
        label=top[0].label if known else UNKNOWN,
        confidence=top[0].confidence,
        box=BOX if known else None,
        top=top,
        heat=np.full((2, 2), number % 256, np.uint8) if known else None,
        probabilities=exact,
        classes=tuple(classes),
    )


def sure(kind: int, confidence: float = 0.9) -> list[float]:
    """Probabilities in which class `kind` has `confidence` and the others share the rest."""
    rest = (1 - confidence) / (len(CLASSES) - 1)
    return [confidence if k == kind else rest for k in range(len(CLASSES))]
