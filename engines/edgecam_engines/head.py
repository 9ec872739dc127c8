"""The class head: a small file of numbers beside the engine, so new classes need no rebuild.

logits = W mean(F) + b, and the map of class k is W[k] F: exactly the class activation map of
Zhou et al., arXiv:1512.04150, with mean(map) + b == logits and no backward pass.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from edgecam_engines.engine import Features
from edgecam_engines.errors import BundleDamaged, BundleError
from edgecam_engines.files import read_checked, write_atomically
from edgecam_engines.taught.remembered import Remembered, remembered_of
from edgecam_engines.taught.unknown import EARLIER, KIND, Rejection, rejection_of

FloatArray = NDArray[np.float32]
_LIMIT: Final = 256 << 20  # bytes; 21,000 classes of 1,280 features have 108 million


class Ranked(NamedTuple):
    """One class of an answer."""

    class_index: int
    label: str
    confidence: float  # calibrated softmax probability


@dataclass(frozen=True)
class Head:
    """A linear classifier over pooled features, and what it takes to read its answers."""

    weight: FloatArray  # (classes, d)
    bias: FloatArray  # (classes,)
    classes: tuple[str, ...]
    temperature: float = 1.0  # logits are divided by it before the softmax
    unknown: Rejection | None = None  # when what is seen is none of the classes; None: never asked
    remembered: Remembered | None = None  # what is not linear in it; the maps do not show that

    def __post_init__(self) -> None:
        k = len(self.classes)
        if self.weight.ndim != 2 or self.weight.shape[0] != k or self.bias.shape != (k,) or k < 2:
            raise ValueError(
                f"A head needs two classes or more and one row and bias for each: {k} names, "
                f"weight {self.weight.shape}, bias {self.bias.shape}."
            )
        if self.remembered is not None and (
            self.remembered.values.shape[1] != k or len(self.remembered.mean) != self.weight.shape[1]
        ):
            raise ValueError("What the head remembers is of other classes or other features.")
        if self.unknown is not None and (
            len(self.unknown.spread) > k or self.unknown.weight.shape[1] != self.weight.shape[1]
        ):
            raise ValueError("What the head rejects is of other classes or other features.")
        if not 1e-30 < self.temperature < 1e30:  # inside what float32 can divide by
            raise ValueError(f"The temperature must be above 0 and finite, not {self.temperature}.")

    def logits(self, features: Features) -> FloatArray:
        """(n, d, gh, gw) -> (n, classes)."""
        pooled = features.mean(axis=(2, 3), dtype=np.float32)
        linear = pooled @ self.weight.T + self.bias
        if self.remembered is not None:
            linear = linear + self.remembered.logits(pooled)
        return np.asarray(linear, dtype=np.float32)

    @property
    def exact_maps(self) -> bool:
        """Whether mean(map) + bias is the logit. Otherwise a map leaves out what the head remembers."""
        return self.remembered is None

    def known(self, features: Features, logits: FloatArray) -> NDArray[np.bool_]:
        """Whether each is any of the classes, (n,); with no rejection, always. `logits` are of `features`."""
        if self.unknown is None:
            return np.ones(len(features), np.bool_)
        pooled = features.mean(axis=(2, 3), dtype=np.float32)
        return self.unknown.known(pooled, logits)

    def probabilities(self, logits: FloatArray) -> FloatArray:
        """Softmax of logits / temperature, (n, classes) -> (n, classes)."""
        scaled = logits / np.float32(self.temperature)
        exp = np.exp(scaled - scaled.max(axis=1, keepdims=True))
        return np.asarray(exp / exp.sum(axis=1, keepdims=True), dtype=np.float32)

    def cam(self, features: Features, indices: Sequence[int] | NDArray[np.int64]) -> FloatArray:
        """One map per picture, of the class asked for it: (n, d, gh, gw), n indices -> (n, gh, gw)."""
        n, d, gh, gw = features.shape
        rows = self.weight[np.asarray(indices)]  # (n, d)
        maps = np.matmul(rows[:, None, :], features.reshape(n, d, gh * gw))
        return np.asarray(maps.reshape(n, gh, gw), dtype=np.float32)

    def ranked(self, probabilities: FloatArray, top: int) -> list[Ranked]:
        """The best classes of one picture, (classes,) -> at most `top`, best first."""
        best = np.argsort(-probabilities, kind="stable")[:top]
        return [Ranked(int(k), self.classes[k], float(probabilities[k])) for k in best]


def save_head(head: Head, path: Path) -> None:
    """Write a head as safetensors with its names in the header, beside and then renamed."""
    from safetensors.numpy import save

    about, tensors = _parts(head)
    write_atomically(path, save(tensors, metadata=about))


def same_head(one: Head, other: Head) -> bool:
    """Whether two heads are the same in every number and name."""
    (about, tensors), (about_too, tensors_too) = _parts(one), _parts(other)
    return (
        about == about_too
        and tensors.keys() == tensors_too.keys()
        and all(np.array_equal(values, tensors_too[name]) for name, values in tensors.items())
    )


def _parts(head: Head) -> tuple[dict[str, str], dict[str, FloatArray]]:
    """What stands in a head's file: its words and its numbers."""
    about = {"classes": json.dumps(head.classes), "temperature": repr(head.temperature)}
    pairs = (("weight", head.weight), ("bias", head.bias))
    tensors = {name: np.ascontiguousarray(values, dtype=np.float32) for name, values in pairs}
    if head.unknown is not None:
        about |= {"unknown": KIND, "unknown_threshold": repr(head.unknown.threshold)}
        tensors |= head.unknown.tensors()
    if head.remembered is not None:
        tensors |= head.remembered.tensors()
    return about, tensors


def load_head(path: Path, sha256: str | None = None) -> Head:
    """Read what save_head wrote; with `sha256`, only if that is what is there.

    Raises BundleDamaged when it is anything else: another content, another form, numbers that are none;
    BundleError for a head of an earlier edgecam, which told unknown things in another way.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        content = read_checked(path, _LIMIT, sha256)
        tensors = load(content)
        about = _metadata(content)
        head = Head(
            weight=_float32(tensors["weight"]),
            bias=_float32(tensors["bias"]),
            classes=_names(about["classes"]),
            temperature=float(about["temperature"]),
            unknown=_unknown(path, about, tensors),
            remembered=remembered_of(tensors),
        )
        if not (np.isfinite(head.weight).all() and np.isfinite(head.bias).all()):
            raise ValueError("it holds values that are not finite")
    except (SafetensorError, KeyError, ValueError, TypeError, OSError, RecursionError) as error:
        raise BundleDamaged(
            f"{path} is not a class head that edgecam wrote ({error}).\n"
            f"Copy the bundle again, or build it again with `edgecam build-engine`."
        ) from error
    return head


def _unknown(path: Path, about: dict[str, Any], tensors: dict[str, FloatArray]) -> Rejection | None:
    if "unknown" not in about:
        return None
    if about["unknown"] in EARLIER:
        raise BundleError(
            f"{path} was taught by an earlier edgecam, which told unknown things by {about['unknown']}; that "
            f"noticed too few of them and is gone.\nFit the head again, from the photos that were kept:\n"
            f"    edgecam teach BUNDLE --head NAME"
        )
    return rejection_of(about["unknown"], float(about["unknown_threshold"]), tensors)


def _metadata(content: bytes) -> dict[str, Any]:
    """The free part of a safetensors header: eight bytes with its length come first, then JSON."""
    length = int.from_bytes(content[:8], "little")
    about = json.loads(content[8 : 8 + length]).get("__metadata__")
    if not isinstance(about, dict):
        raise ValueError("it does not say what its classes are")
    return about


def _float32(values: NDArray[Any]) -> FloatArray:
    if values.dtype != np.float32:
        raise ValueError(f"its numbers are {values.dtype}, not float32")
    return values


def _names(listed: str) -> tuple[str, ...]:
    names = json.loads(listed)
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise ValueError("its classes are not a list of names")
    return tuple(names)
