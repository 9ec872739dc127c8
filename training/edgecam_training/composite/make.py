"""`edgecam data composite`, the work itself: material in, a finished folder out, the same bytes for one seed.

    train/CLASS/*.jpg  val/CLASS/*.jpg  test/CLASS/*.jpg   as `edgecam train` and `edgecam eval` read them
    masks/{train,val,test}/CLASS/*.png                     0 background, 128 object
    boxes/{train,val,test}.csv                             image_id,x0,y0,x1,y1
    metadata/{train-weaksup,train-fullsup,test}/*.txt      the same in the WSOL protocol's layout
    contact.jpg  about.json

`val` is the protocol's train-fullsup: the part that may choose a threshold. A mask's object is 128 and not
255, since 255 means "ignore" to many readers, and not 1, which the eye cannot tell from 0.

The same seed gives the same bytes with the same releases of the packages, OpenCV, NumPy and Pillow;
about.json names them.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeVar

import cv2
import numpy as np

from edgecam_engines.console import track
from edgecam_engines.errors import OutputError
from edgecam_engines.place import WorkFolder, swap_in
from edgecam_engines.signals import stop_on_signal
from edgecam_training.composite.backgrounds import Background
from edgecam_training.composite.contact import MASKED, contact_sheet, mask_path
from edgecam_training.composite.cutouts import Cutout
from edgecam_training.composite.gather import Material
from edgecam_training.composite.picture import Cast, draw
from edgecam_training.composite.splits import deal
from edgecam_training.composite.tables import Row, write_tables
from edgecam_training.composite.terms import PARTS, Frame, Part, generator

Thing = TypeVar("Thing", Cutout, Background)

JPEG_QUALITY: Final = 92
LICENCE: Final = (
    "The pictures are derived from the sources named here and stand under their licences, which do not all "
    "allow being mixed and passed on. To share the data set, share the command and the seed."
)


@dataclass(frozen=True)
class Order:
    """How much of what."""

    per_class: int = 300  # pictures of a class in train
    val_per_class: int = 20
    test_per_class: int = 50
    size: int = 224  # pixels of each side
    seed: int = 0

    def count(self, part: Part) -> int:
        """Pictures of a class in a part."""
        return {"train": self.per_class, "val": self.val_per_class, "test": self.test_per_class}[part.folder]


class Share(NamedTuple):
    """What one part is made of. No two parts share a cut-out, a neutral thing or a background."""

    objects: dict[str, list[Cutout]]
    cast: Cast


class Job(NamedTuple):
    """One picture to be made."""

    image_id: str
    label: int
    cutout: Cutout
    cast: Cast
    rng: np.random.Generator


def check_out(out: Path) -> None:
    """Refuse, before any work, a place where a data set could not or should not go."""
    if out.exists() and not out.is_dir():
        raise OutputError(f"{out} is a file. Choose another --out.")
    if out.is_dir() and any(out.iterdir()):
        raise OutputError(f"{out} is not empty, so it is left alone. Empty it, or choose another --out.")


def make(material: Material, order: Order, out: Path, *, workers: int) -> dict[str, Any]:
    """Make the data set in `out` and return what about.json says. Raises OutputError, DataError."""
    check_out(out)
    out = out.absolute()
    shares = share_out(material, order.seed)
    with WorkFolder(out) as root:
        tables = {part: _make_part(root, part, shares[part], order, workers) for part in PARTS}
        for part, rows in tables.items():
            write_tables(root, part, rows, order.size)
        sheet = contact_sheet(root, tables, tuple(material.classes))
        (root / "contact.jpg").write_bytes(_jpeg(sheet))
        about = _about(material, order, shares)
        (root / "about.json").write_text(json.dumps(about, indent=2) + "\n", encoding="utf-8")
        swap_in(root, out)
    return about


def share_out(material: Material, seed: int) -> dict[Part, Share]:
    """Deal everything to the parts, each list in an order of its own drawn with the seed."""
    objects = {name: _dealt(groups, seed, "cut-outs", name) for name, groups in material.classes.items()}
    grounds = _dealt(material.backgrounds, seed, "backgrounds")
    neutral = _dealt(material.neutral, seed, "neutral") if material.neutral else [[]] * len(PARTS)
    return {
        part: Share({name: lists[k] for name, lists in objects.items()}, Cast(grounds[k], neutral[k]))
        for k, part in enumerate(PARTS)
    }


def _dealt(groups: Sequence[Sequence[Thing]], *key: object) -> list[list[Thing]]:
    flat = [thing for group in groups for thing in group]
    ends = np.cumsum([len(group) for group in groups])
    numbered = [list(range(end - len(group), end)) for group, end in zip(groups, ends, strict=True)]
    return [[flat[k] for k in part] for part in deal(numbered, generator(*key))]


def _make_part(root: Path, part: Part, share: Share, order: Order, workers: int) -> list[Row]:
    """Every picture and mask of a part, written as they are made; rows by class and number."""
    for name in share.objects:
        (root / part.folder / name).mkdir(parents=True)
        (root / "masks" / part.folder / name).mkdir(parents=True)
    jobs = list(_jobs(part, share, order))
    made = _in_order(jobs, lambda job: _make(root, job, order.size), workers)
    return list(track(made, f"Making {part.split}", len(jobs)))


def _in_order(jobs: list[Job], make: Callable[[Job], Row], workers: int) -> Iterator[Row]:
    """What becomes of each job. Asked to stop, it raises KeyboardInterrupt between two of them.

    An interrupt in the midst of handing work to the pool could leave one of its locks held for ever.
    """
    few = 16 * workers  # begun at a time, and so finished before it stops
    with ThreadPoolExecutor(workers) as pool, stop_on_signal() as stop:
        for start in range(0, len(jobs), few):
            for row in pool.map(make, jobs[start : start + few]):
                if stop.asked:
                    raise KeyboardInterrupt
                yield row


def _jobs(part: Part, share: Share, order: Order) -> Iterator[Job]:
    """Cut-outs take turns, so that each is seen equally often."""
    for label, (name, cutouts) in enumerate(share.objects.items()):
        for index in range(order.count(part)):
            yield Job(
                image_id=f"{part.folder}/{name}/{name}-{index:04d}.jpg",
                label=label,
                cutout=cutouts[index % len(cutouts)],
                cast=share.cast,
                rng=generator(order.seed, part.split, name, index),
            )


def _make(root: Path, job: Job, size: int) -> Row:
    picture = draw(job.cutout, job.cast, size, job.rng)
    (root / job.image_id).write_bytes(_jpeg(picture.frame))
    mask = np.where(picture.mask, np.uint8(MASKED), np.uint8(0))
    mask_path(root, job.image_id).write_bytes(cv2.imencode(".png", mask)[1].tobytes())
    return Row(job.image_id, job.label, picture.box, picture.cutout, picture.background)


def _jpeg(frame: Frame) -> bytes:
    return cv2.imencode(".jpg", frame, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])[1].tobytes()


def _about(material: Material, order: Order, shares: dict[Part, Share]) -> dict[str, Any]:
    """No clock and no path in it: it is the same for one seed, too."""
    return {
        "made_by": "edgecam data composite",
        "seed": order.seed,
        "size": order.size,
        "classes": list(material.classes),
        "photos_per_class": {part.folder: order.count(part) for part in PARTS},
        "splits": {part.split: part.folder for part in PARTS},
        "sources": [source._asdict() for source in material.sources],
        "licence": LICENCE,
        "masks": {"background": 0, "object": MASKED},
        "boxes": "x0,y0,x1,y1 in pixels, both corners inside, around the visible part of the object",
        "jpeg_quality": JPEG_QUALITY,
        "versions": {name: version(name) for name in ("numpy", "pillow")} | {"opencv": cv2.__version__},
        "made_of": {part.folder: _made_of(share) for part, share in shares.items()},
    }


def _made_of(share: Share) -> dict[str, Any]:
    """Names, so that anybody can check that parts share nothing."""
    return {
        "cutouts": {name: sorted(one.name for one in things) for name, things in share.objects.items()},
        "neutral": sorted(one.name for one in share.cast.neutral),
        "backgrounds": sorted(one.name for one in share.cast.backgrounds),
    }
