"""The ablation's runs as a table, a page and a picture: means over seeds with Student's 95 % intervals."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
from scipy.stats import t

from edgecam_training.options import Options

# name in a run -> heading, factor, decimals
COLUMNS: Final[dict[str, tuple[str, float, int]]] = {
    "top1": ("top-1 %", 100, 1),
    "macro_f1": ("macro F1 %", 100, 1),
    "max_box_acc_v2": ("MaxBoxAccV2 %", 100, 1),
    "pxap": ("PxAP %", 100, 1),
    "miou": ("mIoU %", 100, 1),
    "ece": ("ECE %", 100, 1),
    "images_per_cpu_s": ("img/CPU s", 1, 0),
    "peak_mb": ("peak MB", 1, 0),
}
COMPARED: Final = ("top1", "max_box_acc_v2")


class Mean(NamedTuple):
    """A mean over seeds and half the width of its 95 % interval; None from one seed."""

    value: float
    reach: float | None


class Summary(NamedTuple):
    header: tuple[str, ...]
    rows: list[tuple[str, ...]]
    document: list[dict[str, Any]]  # one a row, figures as shares


def mean_of(values: Sequence[float]) -> Mean:
    """Student's interval: 4.3 standard errors either way for three seeds."""
    n = len(values)
    if n < 2:
        return Mean(float(np.mean(values)), None)
    reach = t.ppf(0.975, n - 1) * np.std(values, ddof=1) / np.sqrt(n)
    return Mean(float(np.mean(values)), float(reach))


def summary(runs: Sequence[dict[str, Any]], *, plain: str) -> Summary:
    """One row each, in the order they come in; differences are paired, seed by seed, with the row `plain`."""
    by_row: dict[str, dict[int, dict[str, Any]]] = {}
    for run in runs:
        by_row.setdefault(run["row"], {})[run["seed"]] = run
    base = by_row.get(plain, {})
    document = []
    for row, seeds in by_row.items():
        means = {name: mean_of([run[name] for run in seeds.values()]) for name in COLUMNS}
        paired = sorted({*seeds} & {*base}) if row != plain else []
        moved = {
            name: mean_of([seeds[seed][name] - base[seed][name] for seed in paired])
            for name in COMPARED
            if paired
        }
        document.append({"row": row, "seeds": sorted(seeds), **_told(means), "less_plain": _told(moved)})
    header = ("row", *(heading for heading, _, _ in COLUMNS.values()), "top-1 less none", "MBAv2 less none")
    return Summary(header, [_cells(told) for told in document], document)


def _told(means: dict[str, Mean]) -> dict[str, list[float | None]]:
    return {name: [mean.value, mean.reach] for name, mean in means.items()}


def _cells(told: dict[str, Any]) -> tuple[str, ...]:
    figures = [_figure(*told[name], factor, decimals) for name, (_, factor, decimals) in COLUMNS.items()]
    moved = told["less_plain"]
    differences = [_figure(*moved[name], 100, 1, "+") if name in moved else "" for name in COMPARED]
    return (told["row"], *figures, *differences)


def _figure(value: float, reach: float | None, factor: float, decimals: int, sign: str = "") -> str:
    about = f"{value * factor:{sign}.{decimals}f}"
    return about if reach is None else f"{about} ± {reach * factor:.{decimals}f}"


def markdown(
    table: Summary, runs: Sequence[dict[str, Any]], plain: Options, sizes: dict[str, int], cpu: str
) -> str:
    """The page for the docs."""
    seeds = sorted({run["seed"] for run in runs})
    better = [told["row"] for told in table.document if _above_zero(told, "max_box_acc_v2")]
    worse = [told["row"] for told in table.document if _below_zero(told, "max_box_acc_v2")]
    lines = [
        "# Which regularizer helps what",
        "",
        "Written by `python tests/benchmarks/ablation.py --docs docs`; change nothing here by hand.",
        "",
        f"Every row is the same run but for what it names: EfficientNet-Lite0, {plain.input_height} px, "
        f"{plain.epochs} epochs, batch {plain.batch}, 10 classes x {sizes['per-class']} composite pictures "
        f"whose boxes and masks are exact; {runs[0]['n']} other pictures, of other cut-outs on other "
        f"backgrounds, judge it. Mean over {len(seeds)} seeds ± half of Student's 95 % interval. A box in "
        f"the middle of every picture that knows nothing of it would have a MaxBoxAccV2 of "
        f"{runs[0]['centre_max_box_acc_v2']:.1%}. Speed is photos for each second of one processor core of "
        f"{cpu}.",
        "",
        f"MaxBoxAccV2 above plain class activation maps beyond doubt (paired over seeds): "
        f"{'; '.join(better) or 'none'}. Below beyond doubt: {'; '.join(worse) or 'none'}.",
        "",
        "![MaxBoxAccV2 and top-1 by row](ablation.png)",
        "",
        f"| {' | '.join(table.header)} |",
        f"|{'---|' * len(table.header)}",
        *(f"| {' | '.join(row)} |" for row in table.rows),
        "",
    ]
    return "\n".join(lines)


def _above_zero(told: dict[str, Any], name: str) -> bool:
    value, reach = told["less_plain"].get(name, (0.0, None))
    return reach is not None and value - reach > 0


def _below_zero(told: dict[str, Any], name: str) -> bool:
    value, reach = told["less_plain"].get(name, (0.0, None))
    return reach is not None and value + reach < 0


def chart(table: Summary, path: Path) -> None:
    """Two columns of dots with intervals, a row each; the line is the plain row."""
    from matplotlib.figure import Figure

    names = [told["row"] for told in table.document]
    figure = Figure(figsize=(9, 0.32 * len(names) + 1.2), layout="constrained")
    axes = figure.subplots(1, 2, sharey=True)
    for axis, column in zip(axes, ("max_box_acc_v2", "top1"), strict=True):
        figures = [told[column] for told in table.document]
        values = [100 * value for value, _ in figures]
        reaches = [100 * (reach or 0.0) for _, reach in figures]
        axis.errorbar(values, range(len(names)), xerr=reaches, fmt="o", color="tab:blue", capsize=3)
        axis.axvline(values[0], color="0.6", linewidth=1)
        axis.set_title(COLUMNS[column][0])
        axis.grid(axis="x", alpha=0.3)
    axes[0].set_yticks(range(len(names)), names)
    axes[0].invert_yaxis()
    figure.savefig(path, dpi=110)
