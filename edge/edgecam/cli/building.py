"""`edgecam build-engine`, `lint` and `export`: models, in and out."""

from enum import Enum
from pathlib import Path
from typing import Annotated, Optional

import typer

from edgecam.cli.shared import Bundle, Json, Threads


class Precision(str, Enum):
    auto = "auto"
    fp32 = "fp32"
    fp16 = "fp16"
    mixed = "mixed"
    int8 = "int8"


class BuildBackend(str, Enum):
    auto = "auto"
    onnxruntime = "onnxruntime"
    onnxruntime_cuda = "onnxruntime-cuda"
    onnxruntime_tensorrt = "onnxruntime-tensorrt"
    onnxruntime_openvino = "onnxruntime-openvino"
    tensorrt = "tensorrt"
    tensorrt_dla0 = "tensorrt-dla0"
    tensorrt_dla1 = "tensorrt-dla1"


class ExportFormat(str, Enum):
    onnx = "onnx"
    triton = "triton"


def build_engine(
    run: Annotated[Path, typer.Argument(help="A run folder from `edgecam train`.")],
    out: Annotated[Path, typer.Option(help="The bundle to make, NAME.edgecam.")],
    precision: Annotated[Precision, typer.Option(help="What may ship.")] = Precision.auto,
    backend: Annotated[BuildBackend, typer.Option(help="What it is built for.")] = BuildBackend.auto,
    calibration: Annotated[
        Optional[Path], typer.Option(help="Folder of photos to calibrate with; otherwise training photos.")  # noqa: UP045
    ] = None,
    val: Annotated[
        Path | None, typer.Option(help="More photos that nobody trained on, DIR/CLASS/*, to judge by.")
    ] = None,
    boxes: Annotated[
        Path | None, typer.Option(help="Where things are in the photos it is judged by, as for `eval`.")
    ] = None,
    max_drop: Annotated[float, typer.Option(min=0, help="Most points of top-1 to lose.")] = 1.0,
    min_agreement: Annotated[
        float, typer.Option(min=0, max=1, help="Least share of photos with FP32's label.")
    ] = 0.985,
    min_cam_iou: Annotated[float, typer.Option(min=0, max=1, help="Least mean IoU of the maps.")] = 0.90,
    min_cam_iou_p10: Annotated[
        float, typer.Option(min=0, max=1, help="Least 10th percentile of that IoU.")
    ] = 0.75,
    max_box_drop: Annotated[
        float, typer.Option(min=0, help="Most points of box accuracy to lose, with --boxes.")
    ] = 2.0,
    max_f1_drop: Annotated[
        float | None, typer.Option(min=0, help="Most points of macro F1 to lose; else only told.")
    ] = None,
    max_ece_rise: Annotated[
        float | None, typer.Option(min=0, help="Most points of calibration error to gain; else only told.")
    ] = None,
    accept_unproven: Annotated[
        bool,
        typer.Option("--accept-unproven", help="Ship what too few photos were asked about; it is noted."),
    ] = False,
    threads: Threads = 1,
    json: Json = False,
) -> None:
    """Build engines from a run, measure each, and ship the fastest that passes as a bundle."""
    from edgecam.commands.build_engine import build
    from edgecam_calibration.verdict import Bounds

    build(
        run,
        out,
        precision=precision.value,
        backend=backend.value,
        calibration=calibration,
        val=val,
        boxes=boxes,
        bounds=Bounds(
            max_drop=max_drop,
            min_cam_iou=min_cam_iou,
            min_cam_iou_p10=min_cam_iou_p10,
            min_agreement=min_agreement,
            max_box_drop=max_box_drop,
            max_f1_drop=max_f1_drop,
            max_ece_rise=max_ece_rise,
        ),
        accept_unproven=accept_unproven,
        threads=threads,
        json=json,
    )


def lint(
    model: Annotated[Path, typer.Argument(help="An ONNX file, of edgecam or of any other tool.")],
    json: Json = False,
) -> None:
    """Say what TensorRT would refuse or spoil in an ONNX file, by node, and what to do about it."""
    from edgecam.commands.lint import lint

    if not lint(model, json=json):
        raise typer.Exit(1)


def export(
    bundle: Bundle,
    out: Annotated[Path, typer.Option(help="FILE.onnx, or the folder that is Triton's model repository.")],
    form: Annotated[ExportFormat, typer.Option("--format", help="One file, or a model for Triton.")],
    with_head: Annotated[
        bool, typer.Option("--with-head", help="Outputs logits and cam; otherwise features.")
    ] = False,
    probabilities: Annotated[
        bool, typer.Option("--probabilities", help="With --with-head: calibrated ones as well.")
    ] = False,
    head: Annotated[str | None, typer.Option(help="One of the bundle's class heads.")] = None,
    precision: Annotated[
        str | None, typer.Option(help="One of the bundle's models, as fp16 or int8; otherwise what it ships.")
    ] = None,
    photos: Annotated[
        Path | None, typer.Option(help="Folder of photos to check the result on; otherwise the bundle's own.")
    ] = None,
    max_batch: Annotated[int, typer.Option(min=1, help="Of Triton: frames in one execution.")] = 8,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace what is there.")] = False,
    json: Json = False,
) -> None:
    """Write a bundle's model for other tools, once it answers as the bundle does."""
    from edgecam.commands.export import export
    from edgecam_engines.export.bundle import Order

    if probabilities and not with_head:
        raise typer.BadParameter("--probabilities needs --with-head.")
    order = Order(form.value, with_head, probabilities, head, precision, photos, max_batch, overwrite)
    export(bundle, out, order, json=json)
