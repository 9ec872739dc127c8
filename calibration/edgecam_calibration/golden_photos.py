"""Which of the gate's photos go into the bundle, with every engine's answers to them."""

from collections.abc import Mapping
from typing import Final

import numpy as np
from numpy.typing import NDArray

from edgecam_calibration.evaluate import Outputs
from edgecam_calibration.verdict import Reference
from edgecam_engines.golden import Answers, Golden

PHOTOS: Final = 12


def choose_golden(
    reference: Reference, *, rng: np.random.Generator, count: int = PHOTOS
) -> NDArray[np.int64]:
    """Which photos (at most `count`,), in their order: half of them classes in turn, half the hardest.

    Hard ones are those where FP32's first class leads the second by least: what rounds otherwise shows
    there first. The others are sure, so their labels must never change.
    """
    logits = reference.outputs.logits
    second, first = np.sort(logits, axis=1)[:, -2:].T
    hardest = np.argsort(first - second, kind="stable")[: count // 2]
    rest = np.setdiff1d(rng.permutation(len(logits)), hardest, assume_unique=True)  # keeps the order
    labels = reference.labels[rest]
    earlier = [int((labels[:i] == label).sum()) for i, label in enumerate(labels)]  # of the same class
    covering = rest[np.argsort(earlier, kind="stable")][: count - len(hardest)]
    return np.asarray(np.sort(np.concatenate([hardest, covering])), np.int64)


def golden_of(
    reference: Reference, at: NDArray[np.int64], answers: Mapping[str, Outputs], head: str
) -> Golden:
    """The photos `at`, and what each model file answered to them in the gate."""
    return Golden(
        frames=np.stack([reference.frames[i] for i in at]),
        classes=reference.outputs.map_class[at],
        head=head,
        answers={file: Answers(said.logits[at], said.maps[at]) for file, said in answers.items()},
    )
