"""Pictures of the gate's findings: speed, how maps overlap, and the photos where they overlap least."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from edgecam_calibration.verdict import Reference, Verdict
from edgecam_engines.cam import MASK_LEVEL, normalise
from edgecam_engines.files import write_atomically
from edgecam_engines.geometry import map_to

WORST: Final = 3  # photos of a candidate
SAME: Final = 0.95  # maps that overlap more look alike, so there is nothing to show
_COLOURS: Final = {"passed": "#2b6cb0", "unproven": "#b7791f", "refused": "#c53030"}


def latency_picture(verdicts: Sequence[Verdict], path: Path) -> None:
    """One bar a timed candidate, coloured by its verdict, with the range of the middle 80 of 100 runs."""
    timed = [(v, v.latency) for v in verdicts if v.latency is not None]
    figure = Figure(figsize=(7, 0.8 + 0.45 * len(timed)), layout="constrained")
    axes = figure.subplots()
    for place, (verdict, latency) in enumerate(timed):
        reach = [[max(0.0, latency.median - latency.p10)], [max(0.0, latency.p90 - latency.median)]]
        axes.barh(place, latency.median, xerr=reach, capsize=3, color=_COLOURS[verdict.state], height=0.6)
        axes.annotate(
            f"{latency.median:.2f} ms, {verdict.state}",
            (0, place),
            xytext=(5, 0),
            textcoords="offset points",
            color="white",
            va="center",
            fontsize=9,
        )
    axes.set_yticks(range(len(timed)), [_name(verdict) for verdict, _ in timed])
    axes.invert_yaxis()
    axes.set(xlabel="ms a frame", xlim=(0, None))
    _save(figure, path)


def iou_picture(verdicts: Sequence[Verdict], path: Path) -> None:
    """A histogram of IoU with FP32 for each candidate, one below the other, with mean and 10th percentile."""
    figure = Figure(figsize=(7, 1.6 * len(verdicts) + 0.6), layout="constrained")
    panels: Any = figure.subplots(len(verdicts), 1, sharex=True, squeeze=False)
    for axes, verdict in zip(panels[:, 0], verdicts, strict=True):
        axes.hist(verdict.ious, bins=np.linspace(0, 1, 41), color=_COLOURS[verdict.state])
        axes.axvline(verdict.cam_iou.mean, color="#222222", label=f"mean {verdict.cam_iou.mean:.3f}")
        tenth = f"10th percentile {verdict.cam_iou.p10:.3f}"
        axes.axvline(verdict.cam_iou.p10, color="#222222", linestyle=":", label=tenth)
        axes.set(ylabel="photos", xlim=(0, 1.005))
        axes.set_title(f"{_name(verdict)}, {verdict.state}", loc="left", fontsize=10)
        axes.legend(loc="upper left", fontsize=8)
    panels[-1, 0].set_xlabel("IoU of its map with FP32's")
    _save(figure, path)


def worst_photos(verdict: Verdict) -> NDArray[np.int64]:
    """Which photos overlap least, worst first; none of those that look alike."""
    assert verdict.ious is not None
    worst = np.argsort(verdict.ious, kind="stable")[:WORST]
    return np.asarray(worst[verdict.ious[worst] < SAME], dtype=np.int64)


def worst_picture(verdict: Verdict, reference: Reference, at: NDArray[np.int64], path: Path) -> None:
    """Rows of photo, FP32's map and the candidate's, on the photos `at`."""
    assert verdict.outputs is not None
    assert verdict.ious is not None
    h, w = reference.frames[0].shape[:2]
    figure = Figure(figsize=(7, 7 / 3 * h / w * len(at) + 0.3), layout="constrained")
    panels: Any = figure.subplots(len(at), 3, squeeze=False)
    for row, i in zip(panels, at, strict=True):
        photo = reference.frames[i][:, :, ::-1]
        maps = (None, reference.outputs.maps[i], verdict.outputs.maps[i])
        words = ("photo", "FP32", f"{verdict.precision}, IoU {verdict.ious[i]:.2f}")
        for axes, cam, title in zip(row, maps, words, strict=True):
            axes.imshow(photo)
            if cam is not None:
                level = normalise(map_to(cam, (h, w)))
                axes.imshow(level, cmap="inferno", vmin=0, vmax=1, alpha=0.5)
                if level.any():
                    axes.contour(level, levels=[MASK_LEVEL], colors="white", linewidths=1.2)
            axes.set_title(title, fontsize=9)
            axes.axis("off")
    _save(figure, path)


def _name(verdict: Verdict) -> str:
    return f"{verdict.backend} {verdict.precision}"


def _save(figure: Figure, path: Path) -> None:
    write_atomically(path, lambda beside: figure.savefig(beside, dpi=100))
