"""What mixes do, drawn: kernels by distance, masks, and mixed photos."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from edgecam_calibration.evaluate import Labelled
from edgecam_calibration.run import Run, open_run, still_there
from edgecam_engines.console import log
from edgecam_engines.files import write_json
from edgecam_engines.geometry import fit_batch
from edgecam_engines.onnxruntime import OnnxRuntimeEngine
from edgecam_engines.photo import read_photo
from edgecam_training.backbone import make_backbone
from edgecam_training.mixing.draw import beta
from edgecam_training.mixing.kernel import SIDE, Kernel, axial, kernel_of
from edgecam_training.mixing.mixed import Given
from edgecam_training.mixing.pictures import kernel_picture, masks_picture, samples_picture
from edgecam_training.mixing.plan import parse_mixes
from edgecam_training.mixing.registry import MIXES, Mix
from edgecam_training.mixing.specimens import Specimens
from edgecam_training.options import load_options

PHOTOS = 8
DISTANCES = (4, 8, 16, 32, 48)


class Explained(NamedTuple):
    """What is known of one mix."""

    name: str
    mix: Mix
    masks: Tensor  # (draws, SIDE, SIDE), the weight of the image underneath
    kernel: Kernel
    bias: float | None  # mean of (share that the label gets - share drawn); None: no share is drawn


def explain_run(run: Path, names: Sequence[str] = (), out: Path | None = None, *, draws: int = 1000) -> None:
    """Explain a finished run's mixes (or those named) with its validation photos and its maps of them.

    Writes into `out`, otherwise RUN/mixes. Raises TrainingError, DataError.
    """
    options = load_options(run / "options.json")
    names = list(names) or list(parse_mixes(options.mix, options.mix_probability))
    if not names:
        log.print("There is no mix to explain: the run has --mix none.")
        return
    opened = open_run(run)
    chosen = spread_over_classes(still_there(opened.val, "validation"), PHOTOS)
    explain(seen_by(opened, chosen, make_backbone(options.backbone, pretrained=False).blank), names,
            out or run / "mixes", draws=draws)  # fmt: skip


def spread_over_classes(photos: list[Labelled], count: int) -> list[Labelled]:
    """The first photo of each class, then the second, and so on."""
    place: dict[int, int] = {}
    turns = []
    for photo in photos:
        turns.append(place.setdefault(photo.label, 0))
        place[photo.label] += 1
    return [photo for _, photo in sorted(zip(turns, photos, strict=True), key=lambda pair: pair[0])][:count]


def seen_by(run: Run, photos: list[Labelled], fill: Tensor) -> Specimens:
    """Photos at the run's input size with the maps that its network draws of their labels."""
    engine = OnnxRuntimeEngine(run.model, name="float")
    frames = fit_batch([read_photo(photo.path) for photo in photos], engine.input_hw)
    labels = np.array([photo.label for photo in photos])
    maps = run.head.cam(engine.infer(frames), labels)
    engine.close()
    names = [run.head.classes[label] for label in labels]
    return Specimens(*map(torch.from_numpy, (frames, labels)), names, torch.from_numpy(maps), fill)


def explain(shown: Specimens, names: Sequence[str], out: Path, *, draws: int) -> None:
    """Write kernel.png, kernel.json, masks.png and samples.png into `out`."""
    known = [explained(name, shown, draws) for name in names]
    kernel_picture([(e.name, e.mix, e.kernel) for e in known], out / "kernel.png")
    masks_picture([(e.name, e.masks) for e in known], out / "masks.png")
    samples_picture(shown, names, out / "samples.png")
    write_json(out / "kernel.json", {"side": SIDE, "draws": draws, "mixes": [_row(e) for e in known]})
    log.print(f"What the mixes do is drawn in {out}.", markup=False)


def explained(name: str, shown: Specimens, draws: int) -> Explained:
    """Draw masks of one mix, from its law or, where they follow the photos, from the photos."""
    mix, rng = MIXES[name], torch.Generator().manual_seed(0)
    if mix.masks is None:
        masks = masks_on(mix, shown, draws, rng)
        return Explained(name, mix, masks, kernel_of(masks), None)
    kept = beta(mix.alpha + 1, mix.alpha, draws, rng)
    masks = mix.masks(kept, (SIDE, SIDE), rng).float()
    bias = None if mix.own_size else float((masks.mean(dim=(1, 2)) - kept).mean())
    return Explained(name, mix, masks, kernel_of(masks), bias)


def masks_on(mix: Mix, shown: Specimens, draws: int, rng: torch.Generator) -> Tensor:
    """Masks that a mix draws over these images, as in training; (draws or a few more, SIDE, SIDE)."""
    n = len(shown.labels)
    blank = torch.zeros(n, SIDE, SIDE, 3, dtype=torch.uint8)
    given = Given(mix.alpha, per_sample=True, saliency=shown.saliency)
    masks = [mix.run(blank, shown.labels, given, rng).mask for _ in range(-(-draws // n))]
    return torch.cat([mask for mask in masks if mask is not None])


def _row(e: Explained) -> dict[str, object]:
    along = kernel_of(e.masks, axial)
    return {
        "mix": e.name,
        "kernel_at_0": round(float(e.kernel.value[0]), 4),
        "relative_at": _at(e.kernel.relative),
        "standard_error_at": _at(e.kernel.error),
        "relative_along_axes_at": _at(along.relative),
        "mean_share_minus_drawn": e.bias if e.bias is None else round(e.bias, 4),
        "theorem_holds": e.mix.masks is not None and not e.mix.moves,
    }


def _at(values: Tensor) -> dict[str, float]:
    return {str(d): round(float(values[d]), 4) for d in DISTANCES}
