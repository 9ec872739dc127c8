"""`edgecam data augment`, the work itself: photos and a teacher in, a finished folder out.

    CLASS/composed-0000.jpg       the new photos; below train/ when the originals stand beside them
    .truth/boxes.csv              image_id,x0,y0,x1,y1 around what is seen of the thing
    .truth/masks/CLASS/*.png      0 ground, 128 thing; the folder is hidden, else it would be a class
    log.jsonl                     every photo taken apart and every composite tried, used or not and why
    contact.jpg  about.json

The masks are exact about what was pasted. That this is the thing, and all of it, is the teacher's opinion.
The same seed, photos and teacher give the same bytes with the same releases of the libraries.

Foreground and ground exchanged: the idea of ForAug (arXiv:2503.09399), which has a segmentation network
where this has a class map and GrabCut. The thresholds are this project's.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np

from edgecam_engines.console import log, track
from edgecam_engines.engine import Frame
from edgecam_engines.errors import DataError
from edgecam_engines.photo import BadPhoto, read_photo
from edgecam_engines.place import WorkFolder, swap_in
from edgecam_training.composite.contact import MASKED, mask_path
from edgecam_training.composite.make import JPEG_QUALITY
from edgecam_training.composite.paste import Box
from edgecam_training.composite.tables import HEADER
from edgecam_training.composite.terms import generator
from edgecam_training.items import Item
from edgecam_training.recompose.bank import Bank, Kept, load_ground, load_thing, strip_of
from edgecam_training.recompose.compose import MOST_PAINTED, Composite, compose, merged
from edgecam_training.recompose.cut import cut
from edgecam_training.recompose.journal import (
    Entry,
    about,
    counts,
    entry_of_composite,
    entry_of_cut,
    entry_of_read,
    told,
)
from edgecam_training.recompose.order import Order, Tools
from edgecam_training.recompose.photos import Photos, read_small
from edgecam_training.recompose.place import ABOUT, add_originals
from edgecam_training.recompose.sheet import result
from edgecam_training.recompose.teacher import labels_of

TRIES: Final = 6  # composites tried for each one wanted
DISAGREES: Final = "the teacher does not see the class"
PAINTED: Final = "too much painted ground is seen"
_SHOWN, _MOST_CLASSES = 2, 20  # on the contact sheet: of a class, and classes
_TRUTH: Final = ".truth"
_JPEG: Final = [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY]


@dataclass
class _Work:
    """What has come of it so far."""

    root: Path
    photos: Photos
    order: Order
    tools: Tools
    bank: Bank
    labels: dict[str, int]  # a class of ours as the teacher counts
    entries: list[Entry] = field(default_factory=list)
    boxes: dict[str, Box] = field(default_factory=dict)  # by image_id
    rows: list[Frame] = field(default_factory=list)  # of the contact sheet


def make(photos: Photos, order: Order, tools: Tools, out: Path) -> dict[str, Any]:
    """Make the folder `out`, in place of one made before, and return what about.json says.

    Raises DataError (among it: not one composite was accepted), OutputError, EngineError.
    """
    out = out.absolute()
    labels = labels_of(photos.classes, tools.teacher.head.classes, photos.train_root)
    with WorkFolder(out) as root, WorkFolder(out) as scratch:
        work = _Work(root, photos, order, tools, Bank(scratch), labels)
        work.entries += [entry_of_read(_name(photos, bad.path), bad.reason) for bad in photos.problems]
        for label, item in track(_wanted(work), "Taking photos apart", order.per_class * len(labels)):
            _take_apart(work, label, item)
        for label, _ in enumerate(photos.classes):
            _compose_class(work, label)
        if not work.boxes:
            raise DataError(_nothing(work))
        if order.with_originals:
            add_originals(root, photos)
        document = about(order, tools, photos.classes, work.entries)
        _write(work, document)
        swap_in(root, out)
    return document


def _wanted(work: _Work) -> Iterator[tuple[int, Item]]:
    """Photos of each class in an order drawn with the seed, until as many things are cut as are wanted."""
    for label, name in enumerate(work.photos.classes):
        own = [item for item in work.photos.train if item.label == label]
        for k in generator(work.order.seed, "order", name).permutation(len(own)):
            if len(work.bank.things.get(label, [])) < work.order.per_class:
                yield label, own[k]


def _take_apart(work: _Work, label: int, item: Item) -> None:
    name, of_class = _name(work.photos, item.path), work.photos.classes[label]
    try:
        photo = read_small(item.path, work.order.size)
    except BadPhoto as bad:
        log.print(f"Left out {bad.path}: {bad.reason}", markup=False)
        work.entries.append(entry_of_read(name, bad.reason, of_class))
        return
    rng = generator(work.order.seed, "fill", name)
    found = cut(photo, work.labels[of_class], work.tools.teacher, work.tools.fill, rng)
    work.bank.keep(name, label, photo, found)
    work.entries.append(entry_of_cut(of_class, name, found))


def _compose_class(work: _Work, label: int) -> None:
    """Composites of one class until there are enough, or TRIES times as many were tried."""
    name, order = work.photos.classes[label], work.order
    things, grounds = work.bank.things.get(label, []), _grounds(work, label)
    if not things or not grounds:
        return
    made = 0
    for number in track(range(TRIES * order.per_class), f"Composing {name}"):
        if made < order.per_class:
            rng = generator(order.seed, "compose", name, number)
            ground = grounds[int(rng.integers(len(grounds)))]
            made += _try(work, label, made, things[number % len(things)], ground, rng)


def _grounds(work: _Work, label: int) -> list[Kept]:
    if work.tools.grounds is not None:
        return [Kept(path.name, -1, path) for path in work.tools.grounds]
    return [kept for kept in work.bank.grounds if kept.label != label]


def _try(work: _Work, label: int, number: int, thing: Kept, ground: Kept, rng: np.random.Generator) -> bool:
    """One composite; written if it is good. Returns whether it is."""
    name = work.photos.classes[label]
    new = compose(load_thing(thing), load_ground(ground, work.order.size), rng)
    p, why = _judged(work, name, new)
    if why is None and work.tools.repaint is not None:
        under = work.tools.repaint.fill(new.frame, ~new.mask, rng)
        new = new._replace(frame=merged(new.layer, under))
        p, why = _judged(work, name, new)
    image_id = f"{'train/' if work.order.with_originals else ''}{name}/composed-{number:04d}.jpg"
    work.entries.append(entry_of_composite(name, thing.name, ground.name, new, p, why, image_id))
    if why is not None:
        return False
    assert new.box is not None  # a thing is never wholly outside its frame
    _save(work, image_id, new)
    work.boxes[image_id] = new.box
    if number < _SHOWN and label < _MOST_CLASSES:
        made = result(read_photo(work.root / image_id), new.mask, new.box, f"{name} p {p:.2f}")
        work.rows.append(np.hstack([read_photo(strip_of(thing)), made]))
    return True


def _judged(work: _Work, name: str, new: Composite) -> tuple[float, str | None]:
    """The teacher's probability of the class, and why the composite is refused."""
    p = work.tools.teacher.probability(new.frame, work.labels[name])
    if work.tools.repaint is None and new.painted > MOST_PAINTED:
        return p, PAINTED
    return p, None if p >= work.order.agree else DISAGREES


def _save(work: _Work, image_id: str, new: Composite) -> None:
    mask = np.where(new.mask, np.uint8(MASKED), np.uint8(0))
    masks = mask_path(work.root / _TRUTH, image_id)
    for path in (work.root / image_id, masks):
        path.parent.mkdir(parents=True, exist_ok=True)
    (work.root / image_id).write_bytes(cv2.imencode(".jpg", new.frame, _JPEG)[1].tobytes())
    masks.write_bytes(cv2.imencode(".png", mask)[1].tobytes())


def _write(work: _Work, document: dict[str, Any]) -> None:
    lines = "".join(json.dumps(entry, ensure_ascii=False) + "\n" for entry in work.entries)
    boxes = "".join(",".join([image_id, *map(str, box)]) + "\n" for image_id, box in work.boxes.items())
    for name, text in (
        ("log.jsonl", lines),
        (f"{_TRUTH}/boxes.csv", f"{HEADER}\n{boxes}"),
        (ABOUT, json.dumps(document, indent=2, ensure_ascii=False) + "\n"),
    ):
        (work.root / name).write_text(text, encoding="utf-8", newline="\n")
    (work.root / "contact.jpg").write_bytes(cv2.imencode(".jpg", np.vstack(work.rows), _JPEG)[1].tobytes())


def _nothing(work: _Work) -> str:
    sums = {name: counts(work.entries, name) for name in work.photos.classes}
    lines = "".join(
        f"\n    {name}: {told(found) or 'there is no ground for it'}" for name, found in sums.items()
    )
    return (
        f"Not one composite was accepted:{lines}\n"
        f"Give grounds of your own (--backgrounds DIR), a teacher that was trained for longer, or a lower "
        f"--agree."
    )


def _name(photos: Photos, path: Path) -> str:
    """A photo's path below the data set, for lists."""
    root = photos.train_root if path.is_relative_to(photos.train_root) else photos.val_root
    return path.relative_to(root).as_posix()
