"""Maps that lie in a folder as .npy files, one for each image, and how they are scored."""

import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path, PurePosixPath
from typing import Any, Final, NamedTuple

from numpy.typing import NDArray

from edgecam_calibration.localization.scorer import Scorer
from edgecam_calibration.truth import ImageTruth, Truth, protocol_boxes, resize_boxes
from edgecam_calibration.truth.protocol import PROTOCOL_SIZE
from edgecam_engines.console import track
from edgecam_engines.errors import DataError
from edgecam_engines.npy import read_npy
from edgecam_engines.photo import SUFFIXES

_HW: Final = PROTOCOL_SIZE[::-1]
_CHUNK: Final = 50  # images that a worker is given at a time
_WORTH_A_WORKER: Final = 400  # images; starting a process takes as long as some hundred of them


@dataclass(frozen=True)
class Job:
    """How images are scored."""

    to_224: bool  # maps, boxes and masks are brought there first, as published; else maps stay as they are
    boxes_in_map: bool  # boxes are in the map's own pixels; else in those of an image of known size
    interval: float
    numbers: Mapping[Any, int]  # the label of an image -> its class, from 0; empty: all are one class


class Stored(NamedTuple):
    """One image's map and truth."""

    cam: Path
    truth: ImageTruth


class Scored(NamedTuple):
    """What a set of stored maps came to."""

    scorer: Scorer
    beyond: list[str]  # boxes that reach beyond their map, which are used as they stand


def find_cams(folder: Path, truth: Truth) -> list[Stored]:
    """The .npy of each image of which boxes or a mask are known, in their order.

    The image cat/001.jpg has its map at cat/001.jpg.npy or cat/001.npy below `folder`. Raises DataError
    when one is missing, or is that of two images.
    """
    known = [image for image in truth.images.values() if len(image.boxes) or image.masks is not None]
    if not known:
        raise DataError("The ground truth has no image with a box or a mask: there is nothing to score.")
    found = [(image, _find(folder, image.image_id)) for image in known]
    missing = [image.image_id for image, cam in found if cam is None]
    if missing:
        raise DataError(_missing(folder, missing, len(known)))
    stored = [Stored(cam, image) for image, cam in found if cam is not None]
    shared = [cam for cam, times in Counter(cam for cam, _ in stored).items() if times > 1]
    if shared:
        raise DataError(
            f"{shared[0]} is the map of more than one image: their names differ in the suffix alone.\n"
            f"Name the maps with it: cat/001.jpg.npy and cat/001.png.npy"
        )
    return stored


def read_cam(path: Path) -> NDArray[Any]:
    """A stored map (gh, gw) of numbers. Raises DataError: not .npy, pickled, of another shape, or text."""
    try:
        cam = read_npy(path)
    except (OSError, ValueError) as error:
        raise DataError(
            f"{path} is not readable as a map: {error}.\n"
            f"Store it with numpy.save(path, cam), where cam has the shape (h, w)."
        ) from error
    if cam.ndim != 2 or not cam.size:
        raise DataError(
            f"{path} is no map: it holds {cam.dtype} {cam.shape}, not numbers (h, w).\n"
            f"Store one map an image, that of its class: numpy.save(path, cams[label])"
        )
    return cam


def score_stored(stored: Sequence[Stored], job: Job, *, workers: int = 1) -> Scored:
    """Score the maps, in several processes if asked for; the figures do not depend on how many.

    Raises DataError for a map or a mask that cannot be read.
    """
    chunks = [stored[k : k + _CHUNK] for k in range(0, len(stored), _CHUNK)]
    total = Scored(_scorer(job), [])
    for part in track(
        _parts(chunks, job, min(workers, len(stored) // _WORTH_A_WORKER)), "Scoring", len(chunks)
    ):
        total.scorer.extend(part.scorer)
        total.beyond.extend(part.beyond)
    return total


def available_processors() -> int:
    """Processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _parts(chunks: list[Sequence[Stored]], job: Job, workers: int) -> Iterator[Scored]:
    if workers <= 1:
        yield from (_score(chunk, job) for chunk in chunks)
        return
    # Started afresh: a fork of a process that has threads may hang.
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn"), initializer=_one_thread) as pool:
        try:
            yield from pool.map(_score, chunks, [job] * len(chunks))
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _one_thread() -> None:
    import cv2

    cv2.setNumThreads(1)


def _score(chunk: Sequence[Stored], job: Job) -> Scored:
    scored = Scored(_scorer(job), [])
    for path, image in chunk:
        cam = read_cam(path)
        h, w = cam.shape
        mask = None if image.masks is None else image.mask(_HW if job.to_224 else (h, w))
        boxes: NDArray[Any] = image.boxes
        if job.boxes_in_map:
            scored.beyond.extend(_beyond(image, (w, h)))
        if job.to_224:
            boxes = resize_boxes(boxes, (w, h)) if job.boxes_in_map else protocol_boxes(image)
        scored.scorer.add(cam, boxes=boxes, mask=mask, label=job.numbers.get(image.label, 0))
    return scored


def _beyond(image: ImageTruth, size: tuple[int, int]) -> Iterator[str]:
    """A line for each box with a corner outside a map of (w, h); half a pixel is rounding."""
    for box in image.boxes.tolist():
        if min(box) < -0.5 or box[2] > size[0] - 0.5 or box[3] > size[1] - 0.5:
            said = ",".join(f"{edge:g}" for edge in box)
            yield (
                f"{image.image_id}: box {said} reaches beyond its map of {size[0]} x {size[1]} pixels "
                f"(used as it stands)"
            )


def _scorer(job: Job) -> Scorer:
    return Scorer(hw=_HW if job.to_224 else None, interval=job.interval, classes=max(1, len(job.numbers)))


def _find(folder: Path, image_id: str) -> Path | None:
    name = PurePosixPath(image_id)
    names = [name, name.with_suffix("")] if name.suffix.lower() in SUFFIXES else [name]
    names += [name.with_name(name.name + suffix) for suffix in sorted(SUFFIXES)]
    files = (folder / f"{each}.npy" for each in names)
    return next((file for file in files if file.is_file()), None)


def _missing(folder: Path, missing: list[str], known: int) -> str:
    named = "\n".join(f"    {image_id}" for image_id in missing[:10])
    more = f"\n    and {len(missing) - 10} more" if len(missing) > 10 else ""
    example = PurePosixPath(missing[0])
    return (
        f"{folder} has no map for {len(missing)} of the {known} images of the ground truth:\n{named}{more}\n"
        f"A score of some of a set is no score of the set. Store the missing maps, the first as "
        f"{example}.npy, or take these images out of the ground truth."
    )
