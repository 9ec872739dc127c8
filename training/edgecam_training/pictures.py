"""A run's pictures: curves, confusion matrix, and a sheet of photos with their maps."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from edgecam_engines.cam import largest_box, mask, normalise
from edgecam_engines.files import write_atomically
from edgecam_engines.geometry import map_to
from edgecam_training.judge import Judged
from edgecam_training.model import Model

_BLUE, _ORANGE, _RED = "#2b6cb0", "#dd6b20", "#c53030"


def save(figure: Figure, path: Path) -> None:
    """Write a figure as PNG at once."""
    write_atomically(path, lambda beside: figure.savefig(beside, dpi=110))


def curves_picture(history: list[dict[str, Any]], path: Path) -> None:
    """Loss on the left, validation accuracy on the right, by epoch."""
    figure = Figure(figsize=(10, 3.6), layout="constrained")
    left, right = figure.subplots(1, 2)
    epochs = [row["epoch"] for row in history]
    for key, colour, name in (
        ("train_loss", _BLUE, "training (mixed photos)"),
        ("val_loss", _ORANGE, "validation"),
    ):
        values = [np.nan if row[key] is None else row[key] for row in history]
        left.plot(epochs, values, color=colour, label=name, marker="." if len(epochs) < 3 else None)
    right.plot(epochs, [100 * row["val_top1"] for row in history], color=_ORANGE, marker=".")
    left.set(xlabel="epoch", ylabel="cross-entropy, nats", title="Loss")
    right.set(xlabel="epoch", ylabel="top-1, %", title="Validation accuracy")
    left.legend()
    for axes in (left, right):
        axes.grid(alpha=0.3)
        axes.xaxis.get_major_locator().set_params(integer=True)
    save(figure, path)


@torch.inference_mode()
def overlay_sheet(
    model: Model,
    frames: NDArray[np.uint8],
    judged: Judged,
    classes: Sequence[str],
    chosen: NDArray[np.int64],
    path: Path,
) -> None:
    """The chosen photos with the map and box of the class that each was called."""
    called = judged.logits.argmax(axis=1)
    columns = min(5, len(chosen))
    rows = -(-len(chosen) // columns)
    figure = Figure(figsize=(2.5 * columns, 2.8 * rows), layout="constrained")
    grid = np.atleast_1d(figure.subplots(rows, columns, squeeze=False)).ravel()
    features = model(torch.from_numpy(np.array(frames[chosen])))
    maps = model.cams(features).numpy()
    for axes in grid:
        axes.axis("off")
    for axes, index, cams in zip(grid, chosen, maps, strict=False):
        draw_photo(axes, frames[index], cams[called[index]])
        right = called[index] == judged.labels[index]
        name = classes[called[index]]
        title = name if right else f"{name}\nis {classes[judged.labels[index]]}"
        axes.set_title(title, fontsize=9, color="black" if right else _RED)
    save(figure, path)


def draw_photo(axes: Axes, frame: NDArray[np.uint8], cam: NDArray[np.float32]) -> None:
    """One photo (h, w, 3) BGR, its map (gh, gw) as heat, and the box around the largest piece above half."""
    h, w, _ = frame.shape
    heat = normalise(map_to(cam, (h, w)))
    colours = mpl.colormaps["inferno"](heat)
    colours[..., 3] = 0.65 * heat
    axes.imshow(frame[:, :, ::-1])
    axes.imshow(colours)
    if (box := largest_box(mask(cam, (h, w)))) is not None:
        axes.add_patch(
            Rectangle(
                (box.left, box.top), box.right - box.left, box.bottom - box.top, fill=False, ec="cyan", lw=1.5
            )
        )
