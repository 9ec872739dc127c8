"""What became of every photo and every composite: a line each, and the sums that are told."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from importlib.metadata import version
from typing import Any, TypeAlias

import cv2

from edgecam_training.composite.contact import MASKED
from edgecam_training.composite.make import JPEG_QUALITY
from edgecam_training.recompose.compose import Composite
from edgecam_training.recompose.cut import Cut
from edgecam_training.recompose.order import Order, Tools
from edgecam_training.recompose.place import MADE_BY

Entry: TypeAlias = dict[str, Any]  # one line of the log


def entry_of_read(photo: str, why: str, of_class: str | None = None) -> Entry:
    """A photo that could not be used at all."""
    return {"step": "read", "class": of_class, "photo": photo, "used": False, "why": why}


def entry_of_cut(of_class: str, photo: str, found: Cut) -> Entry:
    """A photo that was taken apart, as far as it went."""
    return {
        "step": "cut",
        "class": of_class,
        "photo": photo,
        "used": found.refused is None,
        "why": found.refused,
        "ground_used": found.refused is None and found.ground_refused is None,
        "ground_why": found.ground_refused,
        **_rounded(area=found.area, p_photo=found.p_photo, p_thing=found.p_thing, p_ground=found.p_ground),
    }


def entry_of_composite(
    of_class: str, photo: str, ground: str, new: Composite, p: float, why: str | None, image_id: str
) -> Entry:
    """A composite that was tried."""
    return {
        "step": "compose",
        "class": of_class,
        "photo": photo,
        "ground": ground,
        "used": why is None,
        "why": why,
        "image_id": image_id if why is None else None,
        "mirrored": new.pose.mirrored,
        **_rounded(scale=new.pose.scale, painted=new.painted, p=p),
    }


def _rounded(**values: float | None) -> dict[str, float | None]:
    return {name: None if value is None else round(value, 4) for name, value in values.items()}


def counts(entries: Sequence[Entry], of_class: str) -> Entry:
    """What became of one class, and for which reasons how much of it was not used."""
    own = [entry for entry in entries if entry["class"] == of_class]
    taken = [entry for entry in own if entry["step"] == "cut"]
    tried = [entry for entry in own if entry["step"] == "compose"]
    why = Counter(entry["why"] for entry in own if not entry["used"])
    why.update(entry["ground_why"] for entry in taken if entry["ground_why"])
    return {
        "photos": len(taken),
        "things": sum(entry["used"] for entry in taken),
        "grounds": sum(entry["ground_used"] for entry in taken),
        "tried": len(tried),
        "made": sum(entry["used"] for entry in tried),
        "refused": dict(sorted(why.items())),
    }


def about(order: Order, tools: Tools, classes: Sequence[str], entries: Sequence[Entry]) -> Entry:
    """What about.json says. No clock and no path in it: it is the same for one seed, too."""
    return {
        "made_by": MADE_BY,
        **asdict(order),
        "fill": type(tools.fill).__name__.lower(),
        "repainted_by": type(tools.repaint).__name__.lower() if tools.repaint else None,
        "backgrounds": "own" if tools.grounds is not None else "other classes",
        "teacher": {"engine": tools.teacher.engine.name, "input_hw": list(tools.teacher.engine.input_hw)},
        "classes": {name: counts(entries, name) for name in classes},
        "masks": {"ground": 0, "thing": MASKED},
        "boxes": "x0,y0,x1,y1 in pixels, both corners inside, around what is seen of the thing",
        "jpeg_quality": JPEG_QUALITY,
        "versions": {name: version(name) for name in ("numpy", "pillow")} | {"opencv": cv2.__version__},
    }


def told(found: Entry) -> str:
    """The reasons of one class in words."""
    return ", ".join(f"{many} x {why}" for why, many in found["refused"].items())
