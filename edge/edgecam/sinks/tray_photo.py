"""One hard frame on disk: a JPEG, and beside it a .json of all that was said of it."""

import json
import re
from pathlib import Path
from typing import Any, Final, NamedTuple

import cv2
import numpy as np

from edgecam.decisions.hard import Doubt
from edgecam.moment import iso
from edgecam.result import Result
from edgecam.sinks.tray_quota import make_room
from edgecam_engines.engine import Frame
from edgecam_engines.errors import OutputError
from edgecam_engines.files import write_atomically

QUALITY: Final = 92  # of the JPEG, as cameras and phones choose it


class Hard(NamedTuple):
    """A frame that was found hard."""

    frame: Frame
    result: Result
    doubt: Doubt


def save(hard: Hard, folder: Path, quota: int) -> None:
    """Write a photo and its .json, all or nothing. Raises OutputError, OSError."""
    photo = cv2.imencode(".jpg", hard.frame, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])[1].tobytes()
    name = _name(hard.result)
    document = json.dumps(_about(hard, f"{name}.jpg"), indent=2, ensure_ascii=False) + "\n"
    about = document.encode("utf-8", "replace")  # a file's name may hold bytes that are no letters
    folder.mkdir(parents=True, exist_ok=True)  # somebody may have emptied the tray, folder and all
    make_room(folder, len(photo) + len(about), quota)
    # The photo comes last, so one that is there has its file beside it.
    sidecar = folder / f"{name}.json"
    write_atomically(sidecar, about)
    try:
        write_atomically(folder / f"{name}.jpg", photo)
    except OutputError:
        sidecar.unlink(missing_ok=True)
        raise


def _about(hard: Hard, photo: str) -> dict[str, Any]:
    """What a labeller may want to know. All probabilities are the frame's own."""
    result = hard.result
    probabilities = np.asarray(result.probabilities, dtype=np.float64).round(6).tolist()
    return {
        "schema": 1,
        "photo": photo,
        "camera": result.camera,
        "captured_at": iso(result.captured_at),
        "frame": result.frame,
        "why": list(hard.doubt.why),
        "label": result.label,
        "frame_label": result.frame_label or result.label,
        "margin": round(hard.doubt.margin, 6),
        "probabilities": dict(zip(result.classes, probabilities, strict=True)),
    }


def _name(result: Result) -> str:
    """Sorts by time. Nothing of a camera's name but letters and digits gets into it."""
    camera = re.sub(r"[^A-Za-z0-9]+", "-", result.camera).strip("-")[:40]
    moment = iso(result.captured_at).replace(":", "")
    return "-".join(part for part in (moment, camera, str(result.frame)) if part)
