"""Golden photos: some photos in the bundle, and how each of its models answered them when it was measured.

    golden/answers.safetensors   logits and maps of each model, the class of each map
    golden/00.png ...            the photos, fitted to the input, in the order of the answers

An engine that answers otherwise on another device was never measured: kernels that saturate, a driver that
computes something else, a plan that was put together wrongly. No hash can tell that.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from edgecam_engines.cam import mask, mask_iou
from edgecam_engines.engine import Engine, Frame, Frames
from edgecam_engines.errors import BundleDamaged
from edgecam_engines.files import write_atomically
from edgecam_engines.head import Head

FOLDER: Final = "golden"
ANSWERS: Final = f"{FOLDER}/answers.safetensors"  # relative to the bundle
_SURE: Final = 3.0  # times the tolerated error: a label with a lead as large must not change


class Answers(NamedTuple):
    """What one model said to k photos."""

    logits: NDArray[np.float32]  # (k, classes)
    maps: NDArray[np.float32]  # (k, gh, gw) of the classes that `Golden` names


@dataclass(frozen=True)
class Golden:
    """The photos and what was measured on them."""

    frames: Frames  # (k, h, w, 3) BGR, fitted to the input
    classes: NDArray[np.int64]  # (k,) the class that each map belongs to
    head: str  # the class head that was used, by name
    answers: Mapping[str, Answers]  # by the model's file, relative to the bundle


class Tolerance(NamedTuple):
    """How far a right engine may be from what was measured elsewhere, where kernels round otherwise."""

    logits: float  # root mean square error, as a share of the logits' own spread
    cam_iou: float  # mean IoU of the maps, at least


# Measured with ONNX Runtime between fused kernels and the same model computed in float: FP16 0.002 and
# 0.99, INT8 0.01 to 0.02 and 0.89 to 0.95. Features in another order are off by more than 1.
TOLERANCES: Final[dict[str, Tolerance]] = {
    "fp32": Tolerance(0.01, 0.95),
    "fp16": Tolerance(0.03, 0.95),
    "int8": Tolerance(0.10, 0.80),
}


class Deviation(NamedTuple):
    """How far an engine is from what it should say."""

    labels: int  # photos called otherwise though the lead was clear
    sure: int  # photos with a clear lead
    logits: float  # as in Tolerance; infinite where it gave no numbers
    cam_iou: float

    def complaints(self, allowed: Tolerance) -> list[str]:
        """What is not within tolerance, in words; empty for a faithful engine."""
        found = []
        if self.labels:
            found.append(f"{self.labels} of {self.sure} labels that were sure are others")
        if not self.logits <= allowed.logits:
            found.append(f"its logits are off by {self.logits:.1%}, more than {allowed.logits:.0%}")
        if not self.cam_iou >= allowed.cam_iou:
            found.append(
                f"its maps overlap with those measured at a mean IoU of {self.cam_iou:.2f}, "
                f"less than {allowed.cam_iou:.2f}"
            )
        return found


def answer(engine: Engine, head: Head, golden: Golden) -> Answers:
    """Ask an engine about the photos, one at a time as a camera does: a batch would keep more memory."""
    logits, maps = [], []
    with np.errstate(over="ignore", invalid="ignore"):  # `deviation` tells it better
        for frame, of in zip(golden.frames, golden.classes, strict=True):
            features = engine.infer(frame[None])
            logits.append(head.logits(features))
            maps.append(head.cam(features, [int(of)]))
    return Answers(np.concatenate(logits), np.concatenate(maps))


def deviation(found: Answers, expected: Answers, input_hw: tuple[int, int], allowed: Tolerance) -> Deviation:
    """How far `found` is from `expected`. Where anything is not a number, everything is wrong."""
    k = len(expected.logits)
    if found.maps.shape != expected.maps.shape or not np.isfinite(found.logits).all():
        return Deviation(k, k, float("inf"), 0.0)
    centred = expected.logits - expected.logits.mean(axis=1, keepdims=True)
    spread = max(float(np.sqrt((centred**2).mean())), float(np.finfo(np.float32).tiny))
    # A number that all logits of a photo share changes no answer.
    moved = found.logits - found.logits.mean(axis=1, keepdims=True) - centred
    error = float(np.sqrt((moved.astype(np.float64) ** 2).mean())) / spread
    second, first = np.sort(expected.logits, axis=1)[:, -2:].T
    sure = first - second > _SURE * allowed.logits * spread
    other = found.logits.argmax(axis=1) != expected.logits.argmax(axis=1)
    ious = [_iou(a, b, input_hw) for a, b in zip(expected.maps, found.maps, strict=True)]
    return Deviation(int((sure & other).sum()), int(sure.sum()), error, float(np.mean(ious)))


def save_golden(golden: Golden, bundle: Path) -> None:
    """Write photos and answers into a bundle's folder, before its manifest."""
    from safetensors.numpy import save

    for number, frame in enumerate(golden.frames):
        write_atomically(bundle / _photo(number), cv2.imencode(".png", frame)[1].tobytes())
    tensors: dict[str, NDArray[Any]] = {"classes": np.asarray(golden.classes, np.int64)}
    for file, said in golden.answers.items():
        tensors[f"{file}:logits"] = np.ascontiguousarray(said.logits, np.float32)
        tensors[f"{file}:maps"] = np.ascontiguousarray(said.maps, np.float32)
    about = {"head": golden.head, "models": json.dumps(sorted(golden.answers))}
    write_atomically(bundle / ANSWERS, save(tensors, metadata=about))


def load_golden(bundle: Path, input_hw: tuple[int, int]) -> Golden:
    """Read what save_golden wrote. Raises BundleDamaged when it is anything else."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(bundle / ANSWERS, framework="numpy") as file:
            about = file.metadata() or {}
            classes = np.asarray(file.get_tensor("classes"), np.int64)
            answers = {
                str(name): Answers(file.get_tensor(f"{name}:logits"), file.get_tensor(f"{name}:maps"))
                for name in json.loads(about["models"])
            }
            golden = Golden(_read_photos(bundle, len(classes), input_hw), classes, about["head"], answers)
        _check(golden)
    except (SafetensorError, KeyError, ValueError, TypeError, OSError, RecursionError) as error:
        raise BundleDamaged(
            f"The golden photos of {bundle.name} cannot be read ({error}).\n"
            f"Copy the bundle again, or build it again with `edgecam build-engine`."
        ) from error
    return golden


def _check(golden: Golden) -> None:
    k = len(golden.frames)
    for name, said in golden.answers.items():
        if said.logits.ndim != 2 or said.maps.ndim != 3 or not len(said.logits) == len(said.maps) == k:
            raise ValueError(f"the answers of {name} are {said.logits.shape} and {said.maps.shape}")
        if said.logits.shape[1] < 2 or not np.isfinite(said.logits).all():
            raise ValueError(f"the answers of {name} are no logits")
        if ((golden.classes < 0) | (golden.classes >= said.logits.shape[1])).any():
            raise ValueError("it names classes that there are not")


def _read_photos(bundle: Path, count: int, input_hw: tuple[int, int]) -> Frames:
    if not 0 < count <= 1000:
        raise ValueError(f"it has answers to {count} photos")
    frames: list[Frame] = []
    for number in range(count):
        frame = cv2.imdecode(np.fromfile(bundle / _photo(number), np.uint8), cv2.IMREAD_COLOR)
        if frame is None or frame.shape != (*input_hw, 3):
            raise ValueError(f"{_photo(number)} is no photo of {input_hw[0]} x {input_hw[1]} pixels")
        frames.append(np.asarray(frame, np.uint8))
    return np.stack(frames)


def _photo(number: int) -> str:
    return f"{FOLDER}/{number:02}.png"


def _iou(expected: NDArray[np.float32], found: NDArray[np.float32], hw: tuple[int, int]) -> float:
    return mask_iou(mask(expected, hw), mask(found, hw)) if np.isfinite(found).all() else 0.0
