"""Pictures of scores: confusion, reliability, ROC, precision and recall, boxes. Needs matplotlib."""

from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from edgecam_calibration.classification.curves import Curve
from edgecam_calibration.classification.operating_point import OperatingPoint
from edgecam_calibration.classification.reliability import Bin, Reliability
from edgecam_calibration.localization.box_accuracy import IOU_LEVELS
from edgecam_calibration.localization.report import Localization
from edgecam_engines.errors import OutputError
from edgecam_engines.files import write_atomically

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST_CURVES: Final = 10
_BLUE, _ORANGE, _GREY = "#2b6cb0", "#dd6b20", "#a0aec0"


def need_matplotlib(what: str) -> None:
    """Say what is missing before any work is done. Raises OutputError; `what` is the option that draws."""
    if find_spec("matplotlib") is None:
        raise OutputError(
            f"{what} needs matplotlib, which is not installed. Leave it out, or:\n    pip install matplotlib"
        )


def confusion_picture(confusion: NDArray[np.int64], classes: Sequence[str], path: Path) -> None:
    """Rows are what it is, in shares of the row; counts are written where they fit."""
    side = min(16.0, 3.0 + 0.32 * len(classes))
    figure = _figure(side + 1, side)
    axes = figure.subplots()
    shares = confusion / np.maximum(confusion.sum(axis=1, keepdims=True), 1)
    image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    figure.colorbar(image, ax=axes, label="share of the row", shrink=0.8)
    axes.set_xticks(range(len(classes)), classes, rotation=90)
    axes.set_yticks(range(len(classes)), classes)
    axes.set(xlabel="called", ylabel="is")
    for row, column in zip(*np.nonzero(confusion), strict=True):
        colour = "white" if shares[row, column] > 0.5 else "black"
        count = str(int(confusion[row, column]))
        axes.text(column, row, count, ha="center", va="center", color=colour, fontsize=7)
    _save(figure, path)


def localization_picture(found: Localization, path: Path) -> None:
    """Box accuracy at each threshold, with the chosen one marked; precision and recall of the pixels."""
    curves = [curve for curve in (found.box_curve, found.pixel_curve) if curve is not None]
    figure = _figure(5.6 * len(curves), 4.6)
    panels = list(figure.subplots(1, len(curves), squeeze=False)[0])
    if found.box_curve is not None:
        axes, curve = panels.pop(0), found.box_curve
        for level, shares in zip(IOU_LEVELS, curve.any_contour, strict=True):
            axes.plot(curve.thresholds, shares, label=f"IoU {level:g}")
        if found.chosen.box is not None:
            axes.axvline(found.chosen.box, color=_GREY, linestyle="--", label="chosen")
        axes.set(xlabel="threshold, share of the map's maximum", ylabel="share of images", ylim=(0, 1))
        axes.set_title("A box of the map meets a true one")
        axes.legend(fontsize=8)
        axes.grid(alpha=0.3)
    if found.pixel_curve is not None:
        axes, pixels = panels.pop(0), found.pixel_curve
        axes.plot(pixels.recall, pixels.precision, color=_BLUE)
        axes.set(
            xlabel="recall", ylabel="precision", xlim=(0, 1.01), ylim=(0, 1.01), title="Pixels of the thing"
        )
        axes.grid(alpha=0.3)
    _save(figure, path)


def reliability_picture(found: Reliability, path: Path) -> None:
    """Share right against confidence, with intervals; below, how many answers there are at each."""
    figure = _figure(5.4, 5.6)
    top, bottom = figure.subplots(2, 1, sharex=True, height_ratios=[4, 1])
    top.plot([0, 1], [0, 1], color=_GREY, linestyle="--", label="right as often as it says")
    for bars, colour, name in (
        (found.bins, _BLUE, f"bins of equal width, error {found.ece.value:.1%}"),
        (found.adaptive_bins, _ORANGE, f"of equal number, error {found.adaptive_ece.value:.1%}"),
    ):
        _bars(top, bars, colour, name)
    top.set(ylabel="share right", xlim=(0, 1), ylim=(0, 1), title=f"{found.n} answers")
    top.legend(loc="upper left", fontsize=8)
    bottom.bar(
        [bar.low for bar in found.bins],
        [bar.n for bar in found.bins],
        width=[bar.high - bar.low for bar in found.bins],
        align="edge",
        color=_BLUE,
        edgecolor="white",
    )
    bottom.set(xlabel="confidence", ylabel="answers")
    for axes in (top, bottom):
        axes.grid(alpha=0.3)
    _save(figure, path)


def roc_picture(curves: Mapping[str, Curve], path: Path, point: OperatingPoint | None = None) -> None:
    """Each class against the rest, at most the ten smallest areas; a cross at the operating point."""
    figure = _figure(5.6, 5.2)
    axes = figure.subplots()
    axes.plot([0, 1], [0, 1], color=_GREY, linestyle="--", label="by chance")
    colour = _colours(curves)
    areas = {name: found.auroc for name, found in curves.items()}
    for name, found in _worst(curves, areas).items():
        label = f"{name} {areas[name]:.3f}"
        axes.plot([0, *found.fpr], [0, *found.tpr], color=colour[name], label=label, linewidth=1.5)
    _mark(axes, point)
    axes.set(xlabel="false positives, share of the others", ylabel="found, share of the class")
    axes.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.01), title="ROC and the area under it")
    _finish(figure, axes, path, "lower right")


def precision_recall_picture(curves: Mapping[str, Curve], path: Path) -> None:
    """Each class against the rest, at most the ten with the smallest average precision."""
    figure = _figure(5.6, 5.2)
    axes = figure.subplots()
    colour = _colours(curves)
    areas = {name: found.average_precision for name, found in curves.items()}
    for name, found in _worst(curves, areas).items():
        axes.plot(
            [0, *found.tpr],
            [found.precision[0], *found.precision],
            color=colour[name],
            label=f"{name} {areas[name]:.3f}",
            drawstyle="steps-pre",
            linewidth=1.5,
        )
    axes.set(xlabel="recall", ylabel="precision", title="Precision, recall and average precision")
    axes.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.01))
    _finish(figure, axes, path, "lower left")


def _worst(curves: Mapping[str, Curve], areas: Mapping[str, float | None]) -> dict[str, Curve]:
    """At most ten curves that have an area, the smallest first."""
    known = [(area, name) for name, area in areas.items() if area is not None]
    return {name: curves[name] for _, name in sorted(known)[:MOST_CURVES]}


def _colours(curves: Mapping[str, Curve]) -> dict[str, str]:
    """A class has one colour in every picture."""
    return {name: f"C{k % 10}" for k, name in enumerate(curves)}


def _bars(axes: Any, bars: list[Bin], colour: str, name: str) -> None:
    accuracy = np.array([bar.accuracy for bar in bars])
    bounds = np.array([bar.accuracy_ci95 for bar in bars])
    reach = np.abs(bounds.T - accuracy)
    confidence = [bar.confidence for bar in bars]
    axes.errorbar(confidence, accuracy, yerr=reach, color=colour, label=name, marker="o", ms=4, capsize=2)


def _mark(axes: Any, point: OperatingPoint | None) -> None:
    if point is None or point.positive is None or point.tpr is None or point.fpr is None:
        return
    label = f"{point.positive} at {point.threshold:.3f} or more"
    axes.plot([point.fpr], [point.tpr], marker="x", color="black", linestyle="none", label=label)


def _figure(width: float, height: float) -> "Figure":
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def _finish(figure: "Figure", axes: Any, path: Path, place: str) -> None:
    axes.grid(alpha=0.3)
    if axes.get_legend_handles_labels()[0]:
        axes.legend(loc=place, fontsize=8)
    _save(figure, path)


def _save(figure: "Figure", path: Path) -> None:
    write_atomically(path, lambda beside: figure.savefig(beside, dpi=110))
