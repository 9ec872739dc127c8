"""Pictures of a run: its latencies as a histogram, and how many frames were answered within which time."""

from importlib.util import find_spec
from pathlib import Path

import numpy as np

from edgecam.bench.percentiles import order_statistic
from edgecam.bench.timing import Floats
from edgecam_engines.errors import OutputError
from edgecam_engines.files import write_atomically


def need_matplotlib(option: str) -> None:
    """Say so before anything is measured. Raises OutputError."""
    if find_spec("matplotlib") is None:
        raise OutputError(
            f"{option} needs matplotlib, which is not installed. Leave it out, or:\n"
            f"    pip install matplotlib"
        )


def draw_histogram(latency_ms: Floats, title: str, path: Path) -> None:
    """How often which latency was measured."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 4), layout="constrained")
    axes = figure.subplots()
    axes.hist(latency_ms, bins=60, color="#3b6ea5")
    for percent, style in ((50, "--"), (99, ":")):
        at = order_statistic(latency_ms, percent)
        axes.axvline(at, color="#222222", linestyle=style, label=f"p{percent} {at:.2f} ms")
    axes.set(title=title, xlabel="latency, ms", ylabel="queries")
    axes.legend()
    write_atomically(path, lambda file: figure.savefig(file, dpi=120))


def draw_cdf(latency_ms: Floats, title: str, path: Path) -> None:
    """The share of queries that took longer than a time, on a logarithmic axis: one reads the tail."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 4), layout="constrained")
    axes = figure.subplots()
    n = len(latency_ms)
    slower = np.arange(n, 0, -1) / n
    axes.step(np.sort(latency_ms), slower, where="post", color="#3b6ea5")
    for percent in (50, 90, 99):
        axes.axhline(1 - percent / 100, color="#999999", linewidth=0.7)
        axes.annotate(
            f"p{percent}",
            (1, 1 - percent / 100),
            xytext=(4, 0),
            xycoords=("axes fraction", "data"),
            textcoords="offset points",
            verticalalignment="center",
            fontsize=8,
        )
    axes.set(title=title, xlabel="latency, ms", ylabel="share of queries that took longer", yscale="log")
    axes.yaxis.set_major_formatter(lambda share, _: f"{100 * share:g} %")
    write_atomically(path, lambda file: figure.savefig(file, dpi=120))
