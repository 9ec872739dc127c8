"""The pictures that explain mixes."""

from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from edgecam_training.mixing.kernel import Kernel
from edgecam_training.mixing.mixed import Given
from edgecam_training.mixing.registry import MIXES, Mix
from edgecam_training.mixing.specimens import Specimens
from edgecam_training.pictures import save

DRAWN = 6  # masks shown of each mix
SEED = 4  # of the samples: of eight photos none is its own partner


def kernel_picture(kernels: Sequence[tuple[str, Mix, Kernel]], path: Path) -> None:
    """Each kernel by distance, relative to distance 0, with two standard errors."""
    figure = Figure(figsize=(9, 5), layout="constrained")
    axes = figure.subplots()
    colours = mpl.colormaps["tab20"].colors  # type: ignore[attr-defined]
    for index, (name, mix, kernel) in enumerate(kernels):
        solid = mix.masks is not None and not mix.moves
        style = "-" if solid else ("--" if mix.masks is not None else ":")
        colour = colours[index % 10 * 2 + index // 10]
        far, mean, error = range(len(kernel.value)), kernel.relative.numpy(), 2 * kernel.error.numpy()
        label = f"{name}, {float(kernel.value[0]):.3f} at 0"
        axes.plot(far, mean, style, color=colour, lw=1.8, label=label)
        axes.fill_between(far, mean - error, mean + error, color=colour, alpha=0.15, lw=0)
    axes.set(
        xlabel="distance of two pixels, of 64",
        ylabel="kernel, relative to distance 0",
        title="How strongly a mix ties two pixels\n"
        "dashed: the part is moved as well; dotted: masks follow these photos",
        xlim=(0, len(kernel.value) - 1),
        ylim=(0, None),
    )
    axes.grid(alpha=0.3)
    figure.legend(loc="outside right upper", frameon=False, fontsize=9)
    save(figure, path)


def masks_picture(drawn: Sequence[tuple[str, Tensor]], path: Path) -> None:
    """A row a mix: how much of each place is replaced on average, then single masks, white replaced."""
    figure = Figure(figsize=(1.35 * (DRAWN + 1) + 1, 1.4 * len(drawn) + 0.4), layout="constrained")
    grid = figure.subplots(len(drawn), DRAWN + 1, squeeze=False)
    heat = None
    for row, (name, masks) in zip(grid, drawn, strict=True):
        heat = row[0].imshow(1 - masks.mean(dim=0).numpy(), cmap="viridis", vmin=0, vmax=0.6)
        for axes, mask in zip(row[1:], masks, strict=False):
            axes.imshow(1 - mask.numpy(), cmap="gray", vmin=0, vmax=1)
        for axes in row:
            axes.set(xticks=[], yticks=[])
        row[0].set_ylabel(name, fontsize=9)
    grid[0][0].set_title("mean replaced", fontsize=9)
    grid[0][1].set_title("single masks", fontsize=9, loc="left")
    if heat is not None:
        figure.colorbar(
            heat, ax=grid[:, 0].tolist(), location="left", shrink=min(1, 3 / len(drawn)), pad=0.15
        )
    save(figure, path)


def samples_picture(shown: Specimens, names: Sequence[str], path: Path) -> None:
    """The photos, their partners, and a row for each mix of the two with the weights of their labels."""
    columns = len(shown.images)
    rows = 2 + len(names)
    figure = Figure(figsize=(1.75 * columns + 0.4, 2.0 * rows), layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False)
    partner = torch.randperm(columns, generator=_rng())  # what every mix draws first
    for axes, images, name in ((grid[0], shown.images, "photo"), (grid[1], shown.images[partner], "partner")):
        _row(axes, images, name)
    for index in range(columns):
        grid[0][index].set_title(shown.names[index], fontsize=8)
        grid[1][index].set_title(shown.names[int(partner[index])], fontsize=8)
    for row, name in zip(grid[2:], names, strict=True):
        mix = MIXES[name]
        given = Given(mix.alpha, per_sample=True, fill=shown.fill, saliency=shown.saliency)
        mixed = mix.run(shown.images, shown.labels, given, _rng())
        _row(row, mixed.images, name)
        for axes, first, second in zip(row, mixed.first_share, mixed.second_share, strict=True):
            axes.set_title(f"{float(first):.2f} + {float(second):.2f}", fontsize=8)
    save(figure, path)


def _row(row: Sequence[Axes], images: Tensor, name: str) -> None:
    for axes, image in zip(row, images, strict=True):
        axes.imshow(image.flip(2).numpy())
        axes.set(xticks=[], yticks=[])
    row[0].set_ylabel(name, fontsize=9)


def _rng() -> torch.Generator:
    return torch.Generator().manual_seed(SEED)
