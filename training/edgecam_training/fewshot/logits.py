"""What a fitted head says of pooled features, before it is written down as a `Head`."""

import numpy as np

from edgecam_engines.taught.remembered import Remembered
from edgecam_training.fewshot.cache import add_keys
from edgecam_training.fewshot.learned import Floats, Keys, Learned


def logits_of(learned: Learned, pooled: Floats) -> Floats:
    """(n, d) -> (n, k)"""
    said = pooled @ learned.weight.T + learned.bias
    if learned.keys is not None:
        space = learned.keys.space
        said = said + space.stretch(pooled) * add_keys(learned.keys, space.unit(pooled))
    return np.asarray(said)


def remembered(keys: Keys | None) -> Remembered | None:
    """The part that is not linear, as a `Head` holds it."""
    if keys is None:
        return None
    numbers = ([keys.space.length], [keys.weight], [keys.sharpness])
    parts = (keys.space.mean, keys.rows, keys.values, *numbers)
    return Remembered(*(np.asarray(part, np.float32) for part in parts))
