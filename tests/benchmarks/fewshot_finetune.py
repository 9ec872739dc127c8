"""The whole network trained on a draw of few photos, to be compared with a head that was taught the same."""

import json
import time
from pathlib import Path

import numpy as np
from fewshot_features import listed
from numpy.typing import NDArray

from edgecam_engines.files import write_json
from edgecam_training.options import Options
from edgecam_training.train import train

# Nine steps an epoch: the averaged weights must forget within a few epochs, not within dozens.
OPTIONS = Options(epochs=16, ema=0.97, val_share=0.0)


def finetuned(
    data: Path, drawn: NDArray[np.int64], classes: NDArray[np.int64], out: Path
) -> tuple[float, float]:
    """Top-1 on val and minutes of training from ImageNet weights.

    `drawn` are photos of DATA/train in the order of `fewshot_features.listed`, `classes` those that are told
    apart, by their place in the sorted names. What `out` holds of an earlier start is gone on with.
    """
    done = out / "done.json"
    if not done.is_file():
        photos = out / "photos"
        _link(data, drawn, classes, photos)
        began = time.monotonic()
        top1 = train(
            photos, out / "run", OPTIONS, resume=(out / "run" / "options.json").is_file()
        ).report.top1
        write_json(done, {"top1": top1, "minutes": (time.monotonic() - began) / 60})
    told = json.loads(done.read_text())
    return float(told["top1"]), float(told["minutes"])


def _link(data: Path, drawn: NDArray[np.int64], classes: NDArray[np.int64], photos: Path) -> None:
    names = sorted(p.name for p in (data / "train").iterdir() if p.is_dir())
    train_photos = listed(data / "train", names)
    chosen = [("train", train_photos[i]) for i in drawn]
    chosen += [("val", photo) for photo in listed(data / "val", names) if photo.label in classes]
    for part, photo in chosen:
        link = photos / part / names[photo.label] / photo.path.name
        link.parent.mkdir(parents=True, exist_ok=True)
        if not link.is_symlink():
            link.symlink_to(photo.path.resolve())
