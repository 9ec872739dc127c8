"""`edgecam eval` and `bench`: how good, and how fast."""

from enum import Enum
from pathlib import Path
from typing import Annotated, Optional

import typer

from edgecam.cli.shared import BackendName, Bundle, Json, SkipCheck, Threads


class Scenario(str, Enum):
    single_stream = "single-stream"
    multi_stream = "multi-stream"
    offline = "offline"
    server = "server"
    camera = "camera"
    soak = "soak"


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
    target: Annotated[
        list[Path],
        typer.Argument(metavar="BUNDLE | compare A.json B.json", help="A bundle, or two results of --out."),
    ],
    scenario: Annotated[Scenario, typer.Option(help="How frames come.")] = Scenario.single_stream,
    runs: Annotated[int, typer.Option(min=64, help="Timed queries, after warm-up.")] = 700,
    batch: Annotated[int, typer.Option(min=1, help="Frames a query of multi-stream and offline.")] = 8,
    fps: Annotated[float, typer.Option(min=0.1, help="Of the scenario camera.")] = 30.0,
    camera: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(metavar="URI", help="Let the scenario camera read a real one, or a file at its pace."),
    ] = None,
    record: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(metavar="FILE.mp4", help="Encode the overlay meanwhile, so that it counts."),
    ] = None,
    rate: Annotated[
        Optional[float],  # noqa: UP045
        typer.Option(min=0.01, help="Of the scenario server, a second; otherwise the highest is searched."),
    ] = None,
    p99_ms: Annotated[
        Optional[float],  # noqa: UP045
        typer.Option(
            "--p99-ms", min=0.01, help="What a rate must hold; otherwise one frame's time at --fps."
        ),
    ] = None,
    minutes: Annotated[float, typer.Option(min=0.01, help="Of the scenario soak.")] = 10.0,
    power_mode: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(help="Name of the mode that the board must be in, such as MAXN; else INVALID."),
    ] = None,
    energy: Annotated[
        bool, typer.Option("--energy", help="Joules an inference, where the machine tells its power.")
    ] = False,
    roofline: Annotated[
        bool, typer.Option("--roofline", help="What the network asks, and a prediction for an AGX Orin.")
    ] = False,
    out: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(help="Save FILE.json, with every raw sample beside it in FILE.npz."),
    ] = None,
    csv: Annotated[Optional[Path], typer.Option(help="Every query as a line of a CSV.")] = None,  # noqa: UP045
    histogram: Annotated[Optional[Path], typer.Option(help="Draw the latencies to this PNG.")] = None,  # noqa: UP045
    cdf: Annotated[Optional[Path], typer.Option(help="Draw their tail to this PNG.")] = None,  # noqa: UP045
    timeline: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(help="Every stage of every query as a JSON file that ui.perfetto.dev opens."),
    ] = None,
    html: Annotated[Optional[Path], typer.Option(help="One page with all of it.")] = None,  # noqa: UP045
    against: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(
            metavar="CMD", help="Measure another program in turn: 'edgecam bench B.edgecam --lines'."
        ),
    ] = None,
    lines: Annotated[bool, typer.Option("--lines", help="Be that other program.")] = False,
    skip_check: SkipCheck = False,
    backend: BackendName = None,
    threads: Threads = 1,
    json: Json = False,
) -> None:
    """Time one bundle on this machine and print the result, or compare two saved results."""
    from edgecam.bench.order import Order
    from edgecam.commands import bench

    if target[0] == Path("compare"):
        if len(target) != 3:
            raise typer.BadParameter("compare takes two results: edgecam bench compare A.json B.json")
        bench.compare(target[1], target[2], json=json)
        return
    if len(target) != 1:
        raise typer.BadParameter("bench takes one bundle, or: compare A.json B.json")
    order = Order(
        scenario=scenario.value,
        runs=runs,
        backend=backend and backend.value,
        threads=threads,
        skip_check=skip_check,
        batch=batch,
        fps=fps,
        rate=rate,
        p99_ms=p99_ms,
        minutes=minutes,
        power_mode=power_mode,
        energy=energy,
        roofline=roofline,
        camera=camera,
        record=None if record is None else str(record),
    )
    files = bench.Outputs(out, csv, histogram, cdf, timeline, html)
    if camera is not None and scenario != Scenario.camera:
        raise typer.BadParameter("--camera is read by the scenario camera: add --scenario camera.")
    more = energy or roofline or record is not None or files != bench.Outputs(out)
    if (lines or against) and (more or scenario != Scenario.single_stream):
        raise typer.BadParameter("--against and --lines measure single frames in turn and write --out alone.")
    if lines:
        bench.lines(target[0], order)
    elif against is not None:
        bench.against(target[0], against, order, out, json=json)
    else:
        bench.bench(target[0], order, files, json=json)
