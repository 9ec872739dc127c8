"""`edgecam eval` and `bench`: how good, and how fast."""

from pathlib import Path
from typing import Annotated, Optional

import typer

from edgecam.cli.shared import BackendName, Bundle, Json, SkipCheck, Threads


def evaluate(
    bundle: Bundle,
    data: Annotated[Path, typer.Argument(help="DATA/CLASS/*.jpg, or a folder with test or val.")],
    boxes: Annotated[
        Path | None, typer.Option(help="Where things are: CSV, COCO, VOC, ImageNet or WSOL metadata.")
    ] = None,
    masks: Annotated[Path | None, typer.Option(help="Folder of masks, named as the photos.")] = None,
    val: Annotated[Path | None, typer.Option(help="Photos to choose thresholds on; else DATA/val.")] = None,
    val_boxes: Annotated[Path | None, typer.Option(help="Boxes of those photos.")] = None,
    val_masks: Annotated[Path | None, typer.Option(help="Masks of those photos.")] = None,
    max_fpr: Annotated[
        float | None, typer.Option(help="Choose a threshold: false positives at most.")
    ] = None,
    positive: Annotated[str | None, typer.Option(help="The class that --max-fpr is about.")] = None,
    against: Annotated[Path | None, typer.Option(help="Another bundle, compared photo by photo.")] = None,
    html: Annotated[Path | None, typer.Option(help="Also write one page with pictures.")] = None,
    skip_check: SkipCheck = False,
    backend: BackendName = None,
    threads: Threads = 1,
    json: Json = False,
) -> None:
    """Measure how well a bundle names labelled photos, and where its maps point."""
    from edgecam.commands.evaluate import Asked, Known, evaluate

    asked = Asked(
        Known(boxes, masks), val, Known(val_boxes, val_masks), max_fpr, positive, against, html, skip_check
    )
    evaluate(bundle, data, asked, json=json, backend=backend and backend.value, threads=threads)


def bench(
    bundle: Bundle,
    runs: Annotated[int, typer.Option(min=64, help="Timed runs, after warm-up.")] = 700,
    histogram: Annotated[Optional[Path], typer.Option(help="Draw the latencies to this PNG.")] = None,  # noqa: UP045
    skip_check: SkipCheck = False,
    backend: BackendName = None,
    threads: Threads = 1,
    json: Json = False,
) -> None:
    """Time one bundle on this machine and print the result."""
    from edgecam.commands.bench import bench

    bench(
        bundle,
        runs=runs,
        json=json,
        backend=backend and backend.value,
        threads=threads,
        histogram=histogram,
        skip_check=skip_check,
    )
