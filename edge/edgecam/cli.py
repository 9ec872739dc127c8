"""The command line: one function a command, heavy imports inside it, one boundary for errors."""

from enum import Enum
from pathlib import Path
from typing import Annotated, Optional

import typer

from edgecam.boundary import guarded
from edgecam_training.options import Options

app = typer.Typer(
    name="edgecam",
    help="Labelled photos in, a camera that names what it sees and shows where.",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
data = typer.Typer(help="Make data sets.", no_args_is_help=True, rich_markup_mode=None)
app.add_typer(data, name="data")
DEFAULT = Options()

Bundle = Annotated[Path, typer.Argument(help="A bundle from `edgecam build-engine`.")]
Json = Annotated[bool, typer.Option("--json", help="One JSON document on stdout, logs on stderr.")]
Threads = Annotated[int, typer.Option(min=1, help="CPU threads of the engine.")]


class Filler(str, Enum):
    blur = "blur"
    telea = "telea"
    diffusers = "diffusers"


class Precision(str, Enum):
    auto = "auto"
    fp32 = "fp32"
    fp16 = "fp16"
    mixed = "mixed"
    int8 = "int8"


class Backend(str, Enum):
    onnxruntime = "onnxruntime"
    onnxruntime_cuda = "onnxruntime-cuda"
    onnxruntime_tensorrt = "onnxruntime-tensorrt"
    onnxruntime_openvino = "onnxruntime-openvino"
    tensorrt = "tensorrt"
    tensorrt_dla0 = "tensorrt-dla0"
    tensorrt_dla1 = "tensorrt-dla1"
    fixed = "fixed"


class ExportFormat(str, Enum):
    onnx = "onnx"
    triton = "triton"


class BuildBackend(str, Enum):
    auto = "auto"
    onnxruntime = "onnxruntime"
    onnxruntime_cuda = "onnxruntime-cuda"
    onnxruntime_tensorrt = "onnxruntime-tensorrt"
    onnxruntime_openvino = "onnxruntime-openvino"
    tensorrt = "tensorrt"
    tensorrt_dla0 = "tensorrt-dla0"
    tensorrt_dla1 = "tensorrt-dla1"


SkipCheck = Annotated[
    bool,
    typer.Option(
        "--skip-check", help="Take the engine as it is, though it may answer otherwise here; it is noted."
    ),
]
BackendName = Annotated[
    Optional[Backend],  # noqa: UP045
    typer.Option("--backend", help="Otherwise what the bundle ships."),
]


@app.command()
def train(
    data: Annotated[
        Path,
        typer.Argument(help="DATA/CLASS/*.jpg, or DATA/train and DATA/val; or shards, SHARD-{000..099}.tar."),
    ],
    out: Annotated[Path, typer.Option(help="Folder for the run.")] = Path("run"),
    val: Annotated[
        Path | None, typer.Option(help="Photos or shards to judge by; else DATA/val or a share of DATA.")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run in --out.")] = False,
    size: Annotated[
        str, typer.Option(help="Input pixels, SIDE or HEIGHTxWIDTH, multiples of 32.")
    ] = f"{DEFAULT.input_height}x{DEFAULT.input_width}",
    epochs: Annotated[int, typer.Option(help="Passes over the photos.")] = DEFAULT.epochs,
    batch: Annotated[int, typer.Option(help="Photos a step.")] = DEFAULT.batch,
    accumulate: Annotated[
        int, typer.Option(help="Parts to split each step into, where memory is short.")
    ] = DEFAULT.accumulate,
    save_memory: Annotated[
        bool, typer.Option("--save-memory", help="Compute the backbone's activations twice, not keep them.")
    ] = False,
    checkpoint_minutes: Annotated[
        float, typer.Option(help="Save at least this often, besides after every epoch.")
    ] = DEFAULT.checkpoint_minutes,
    backbone: Annotated[str, typer.Option(help="This or a torchvision classifier.")] = DEFAULT.backbone,
    head: Annotated[
        str, typer.Option(help="linear (attention), plain, moe; to compare: linear-elu, linear-relu.")
    ] = DEFAULT.head,
    experts: Annotated[int, typer.Option(help="Of the head moe.")] = DEFAULT.experts,
    experts_kept: Annotated[int, typer.Option(help="Of them for each map cell.")] = DEFAULT.experts_kept,
    expert_balance: Annotated[
        float, typer.Option(help="Loss term against unevenly used experts.")
    ] = DEFAULT.expert_balance,
    pretrained: Annotated[bool, typer.Option(help="Start from ImageNet weights.")] = DEFAULT.pretrained,
    seed: Annotated[int, typer.Option(help="Of the split and of every draw.")] = DEFAULT.seed,
    lr_head: Annotated[float, typer.Option(help="Highest learning rate of the head.")] = DEFAULT.lr_head,
    lr_backbone: Annotated[float, typer.Option(help="And of the backbone.")] = DEFAULT.lr_backbone,
    weight_decay: Annotated[
        float, typer.Option(help="AdamW's decoupled decay: w shrinks by lr * this a step, beside the loss.")
    ] = DEFAULT.weight_decay,
    l1: Annotated[
        float, typer.Option(help="Loss term l1 * sum |w|: drives weights to zero; the report counts them.")
    ] = DEFAULT.l1,
    l2: Annotated[
        float, typer.Option(help="Loss term l2 * sum w^2, rescaled by Adam: not the same as --weight-decay.")
    ] = DEFAULT.l2,
    label_smoothing: Annotated[float, typer.Option(help="Label smoothing.")] = DEFAULT.label_smoothing,
    dropout: Annotated[float, typer.Option(help="On pooled features.")] = DEFAULT.dropout,
    ema: Annotated[float, typer.Option(help="Decay of the averaged weights.")] = DEFAULT.ema,
    mix: Annotated[
        str, typer.Option(help="none, or names, each with its share of the steps: cutmix:0.3,fmix:0.2.")
    ] = DEFAULT.mix,
    mix_probability: Annotated[
        float, typer.Option(help="Share of mixed steps for names without their own.")
    ] = DEFAULT.mix_probability,
    mix_alpha: Annotated[
        Optional[float], typer.Option(help="Shares follow Beta(alpha, alpha); otherwise as published.")  # noqa: UP045
    ] = DEFAULT.mix_alpha,
    mix_per_sample: Annotated[
        bool, typer.Option("--mix-per-sample", help="A mask for each photo instead of one for the batch.")
    ] = False,
    explain_mix: Annotated[
        bool, typer.Option("--explain-mix", help="Afterwards draw what the mixes do, in OUT/mixes.")
    ] = False,
    clean_epochs: Annotated[int, typer.Option(help="Last epochs without mixing.")] = DEFAULT.clean_epochs,
    er: Annotated[float, typer.Option(help="Weight of SEAM's equivariance loss.")] = DEFAULT.er,
    ecr: Annotated[float, typer.Option(help="Weight of SEAM's cross loss.")] = DEFAULT.ecr,
    rvmin: Annotated[float, typer.Option(help="Weight of SEAM's adaptive min-pooling.")] = DEFAULT.rvmin,
    seam_cls: Annotated[
        float, typer.Option(help="Weight of the second branch's classification.")
    ] = DEFAULT.seam_cls,
    seam_pcm: Annotated[
        str, typer.Option(help="SEAM's pixel correlation module, in training alone: none, pairs or linear.")
    ] = DEFAULT.seam_pcm,
    distil: Annotated[
        float, typer.Option(help="Weight of learning from the maps that it refined.")
    ] = DEFAULT.distil,
    seam_transform: Annotated[
        str, typer.Option(help="The second branch: rescale, flip, quarter, tilt or shift.")
    ] = DEFAULT.seam_transform,
    cam_entropy: Annotated[
        float, typer.Option(help="Weight of Mixup-CAM's entropy in each cell; published 0.02.")
    ] = DEFAULT.cam_entropy,
    cam_concentration: Annotated[
        float, typer.Option(help="Weight of its spatial concentration; published 2e-4.")
    ] = DEFAULT.cam_concentration,
    shared_map: Annotated[
        float, typer.Option(help="How strongly maps show the thing itself; answers stay. 0: only evidence.")
    ] = DEFAULT.shared_map,
    head_epochs: Annotated[int, typer.Option(help="First epochs: the head alone.")] = DEFAULT.head_epochs,
    last_epochs: Annotated[int, typer.Option(help="Then with the last stages.")] = DEFAULT.last_epochs,
    frozen_stages: Annotated[
        int, typer.Option(help="First stages of the backbone that never learn.")
    ] = DEFAULT.frozen_stages,
    min_crop: Annotated[float, typer.Option(help="Smallest crop, as a share of area.")] = DEFAULT.min_crop,
    flip_vertical: Annotated[
        bool, typer.Option("--flip-vertical", help="Also mirror upside down: things seen from above.")
    ] = False,
    recolour: Annotated[
        float, typer.Option(help="Strength of random colour changes, 0 for none: colour tells the class.")
    ] = DEFAULT.recolour,
    train_scale: Annotated[
        float, typer.Option(help="Training's size as a share of the input.")
    ] = DEFAULT.train_scale,
    small_share: Annotated[
        float, typer.Option(help="Share of the epochs at a smaller input.")
    ] = DEFAULT.small_share,
    qat: Annotated[
        int, typer.Option(help="Of the epochs, the last ones: learn to be rounded to INT8.")
    ] = DEFAULT.qat,
    qat_lr: Annotated[float, typer.Option(help="Highest learning rate in them.")] = DEFAULT.qat_lr,
    qat_ranges: Annotated[
        str, typer.Option(help="How ranges are found in them: learned, or average.")
    ] = DEFAULT.qat_ranges,
    qat_lr_ranges: Annotated[
        float, typer.Option(help="Highest learning rate of learned ranges.")
    ] = DEFAULT.qat_lr_ranges,
    init: Annotated[
        str, typer.Option(help="A finished run to go on from with --qat, and in its settings.")
    ] = "",
    val_share: Annotated[float, typer.Option(help="Validation share without DATA/val.")] = DEFAULT.val_share,
    balance: Annotated[
        float, typer.Option(help="0 shows photos equally often, 1 classes, 0.5 is between.")
    ] = DEFAULT.balance,
    expect: Annotated[
        str, typer.Option(help="CLASS=SHARE,... in use, where the photos are in other shares.")
    ] = "",
    min_photos: Annotated[int, typer.Option(help="Fewest photos a class.")] = DEFAULT.min_photos,
    json: Json = False,
) -> None:
    """Train on a folder of photos; leaves a run folder with weights, graph, pictures and a report."""
    from edgecam.commands.train import continued, parse_shares, parse_size, train

    height, width = parse_size(size)
    options = Options(
        input_height=height,
        input_width=width,
        epochs=epochs,
        batch=batch,
        accumulate=accumulate,
        save_memory=save_memory,
        checkpoint_minutes=checkpoint_minutes,
        backbone=backbone,
        head=head,
        experts=experts,
        experts_kept=experts_kept,
        expert_balance=expert_balance,
        pretrained=pretrained,
        seed=seed,
        lr_head=lr_head,
        lr_backbone=lr_backbone,
        weight_decay=weight_decay,
        l1=l1,
        l2=l2,
        label_smoothing=label_smoothing,
        dropout=dropout,
        ema=ema,
        mix=mix,
        mix_probability=mix_probability,
        mix_alpha=mix_alpha,
        mix_per_sample=mix_per_sample,
        clean_epochs=clean_epochs,
        er=er,
        ecr=ecr,
        rvmin=rvmin,
        seam_cls=seam_cls,
        seam_pcm=seam_pcm,
        distil=distil,
        seam_transform=seam_transform,
        cam_entropy=cam_entropy,
        cam_concentration=cam_concentration,
        shared_map=shared_map,
        head_epochs=head_epochs,
        last_epochs=last_epochs,
        frozen_stages=frozen_stages,
        min_crop=min_crop,
        flip_vertical=flip_vertical,
        recolour=recolour,
        train_scale=train_scale,
        qat=qat,
        qat_lr=qat_lr,
        qat_ranges=qat_ranges,
        qat_lr_ranges=qat_lr_ranges,
        small_share=small_share,
        val_share=val_share,
        min_photos=min_photos,
        balance=balance,
        expect=parse_shares(expect),
    )
    train(data, out, continued(options, init), val=val, resume=resume, explain_mix=explain_mix, json=json)


@app.command("build-engine")
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


@app.command()
def lint(
    model: Annotated[Path, typer.Argument(help="An ONNX file, of edgecam or of any other tool.")],
    json: Json = False,
) -> None:
    """Say what TensorRT would refuse or spoil in an ONNX file, by node, and what to do about it."""
    from edgecam.commands.lint import lint

    if not lint(model, json=json):
        raise typer.Exit(1)


@app.command("eval")
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


@app.command()
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


@app.command()
def run(
    bundle: Annotated[Path, typer.Option(help="A bundle from `edgecam build-engine`.")],
    camera: Annotated[
        str, typer.Option(help="Camera number, /dev/videoN, video file, folder of photos or rtsp:// URL.")
    ] = "0",
    record: Annotated[Optional[Path], typer.Option(help="Save the overlay to FILE.mp4.")] = None,  # noqa: UP045
    max_frames: Annotated[Optional[int], typer.Option(min=1, help="Stop after this many.")] = None,  # noqa: UP045
    threshold: Annotated[
        float, typer.Option(min=0, max=1, help="Below this confidence the answer is unknown.")
    ] = 0.5,
    window: Annotated[
        Optional[bool], typer.Option(help="Show a window; otherwise where there is a display.")  # noqa: UP045
    ] = None,
    realtime: Annotated[bool, typer.Option("--realtime", help="Play a file at its own speed.")] = False,
    head: Annotated[Optional[str], typer.Option(help="One of the bundle's class heads.")] = None,  # noqa: UP045
    skip_check: SkipCheck = False,
    backend: BackendName = None,
    threads: Threads = 1,
    json: Annotated[bool, typer.Option("--json", help="One JSON line a frame on stdout.")] = False,
) -> None:
    """Name what a camera sees and show where."""
    from edgecam.live import run

    run(
        bundle,
        camera,
        backend=backend and backend.value,
        head=head,
        record=record,
        json_lines=json,
        max_frames=max_frames,
        threshold=threshold,
        window=window,
        realtime=realtime,
        threads=threads,
        skip_check=skip_check,
    )


@app.command()
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


@app.command()
def doctor(json: Json = False) -> None:
    """Say what this machine has, what it lacks, and what to do about it."""
    from edgecam.commands.doctor import doctor

    if not doctor(json=json):
        raise typer.Exit(1)


@app.command()
def demo(
    out: Annotated[Path, typer.Option(help="Folder for everything the demo makes.")] = Path("demo-out"),
    epochs: Annotated[int, typer.Option(min=1, help="Length of the demo's training.")] = 14,
    json: Json = False,
) -> None:
    """The whole road on real photos: train, build, measure, and a video with overlay."""
    from edgecam.commands.demo import demo

    demo(out, epochs=epochs, json=json)


@data.command()
def composite(
    out: Annotated[Path, typer.Option(help="Folder for the data set; new or empty.")],
    classes: Annotated[
        Optional[int],  # noqa: UP045
        typer.Option(min=2, help="Those with most cut-outs; otherwise all, of Debian's stamps 10."),
    ] = None,
    per_class: Annotated[int, typer.Option(min=1, help="Photos a class in train.")] = 300,
    val_per_class: Annotated[int, typer.Option(min=1, help="And in val, to choose thresholds with.")] = 20,
    test_per_class: Annotated[int, typer.Option(min=1, help="And in test.")] = 50,
    seed: Annotated[int, typer.Option(help="Of every draw: the same seed, the same bytes.")] = 0,
    size: Annotated[int, typer.Option(min=64, max=512, help="Pixels of each side.")] = 224,
    cutouts: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(help="Your own, DIR/CLASS/*.png with alpha; otherwise Debian's stamps are fetched."),
    ] = None,
    backgrounds: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(help="Your own photos; otherwise Debian's wallpapers are fetched."),
    ] = None,
    json: Json = False,
) -> None:
    """Paste cut-outs over photos: a data set for localization with exact masks and boxes."""
    from edgecam.commands.data import composite
    from edgecam_training.composite.make import Order

    composite(
        out,
        classes=classes,
        order=Order(
            per_class=per_class,
            val_per_class=val_per_class,
            test_per_class=test_per_class,
            size=size,
            seed=seed,
        ),
        cutouts=cutouts,
        backgrounds=backgrounds,
        json=json,
    )


@data.command()
def augment(
    data: Annotated[Path, typer.Argument(help="DATA/CLASS/*.jpg, or DATA/train. Only read.")],
    out: Annotated[Path, typer.Option(help="Folder for the new photos; new, empty, or made by this.")],
    per_class: Annotated[int, typer.Option(min=1, help="New photos a class.")],
    teacher: Annotated[Path, typer.Option(help="A bundle or a run that knows the classes.")],
    agree: Annotated[
        float, typer.Option(min=0, max=1, help="Least probability of the class that it gives a new photo.")
    ] = 0.5,
    with_originals: Annotated[
        bool, typer.Option("--with-originals", help="Also link DATA's photos, so that OUT can be trained on.")
    ] = False,
    backgrounds: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(help="Photos of none of the classes; otherwise those of the other classes."),
    ] = None,
    fill: Annotated[Filler, typer.Option(help="What paints where a thing was taken out.")] = Filler.blur,
    model: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(help="Of --fill diffusers: an inpainting pipeline's folder, safetensors only."),
    ] = None,
    prompt: Annotated[str, typer.Option(help="Of --fill diffusers.")] = "a photo",
    size: Annotated[int, typer.Option(min=64, max=1280, help="Pixels of the longer side.")] = 320,
    seed: Annotated[int, typer.Option(min=0, help="Of the split, as in train, and of every draw.")] = 0,
    threads: Threads = 1,
    json: Json = False,
) -> None:
    """Put the things of photos on other grounds, where a teacher still names them."""
    from edgecam.commands.augment import augment
    from edgecam_training.recompose.fill import Brush
    from edgecam_training.recompose.order import Order

    augment(
        data,
        out,
        teacher,
        Order(per_class, agree=agree, size=size, seed=seed, with_originals=with_originals),
        Brush(fill.value, model, prompt),
        backgrounds=backgrounds,
        threads=threads,
        json=json,
    )


@data.command()
def shards(
    data: Annotated[Path, typer.Argument(help="DATA/CLASS/*.jpg, or DATA/train and DATA/val.")],
    out: Annotated[Path, typer.Option(help="Folder for the shards; without any yet.")],
    per_shard: Annotated[int, typer.Option(min=1, help="Photos a shard.")] = 1000,
    seed: Annotated[int, typer.Option(help="Of the order of the photos.")] = 0,
    json: Json = False,
) -> None:
    """Pack a folder of photos into WebDataset shards, for sets larger than folders bear."""
    from edgecam.commands.shards import shards

    shards(data, out, per_shard=per_shard, seed=seed, json=json)


@app.command()
def teach(
    bundle: Bundle,
    data: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Argument(help="PHOTOS/CLASS/*.jpg. With neither this nor --camera: fit again what was taught."),
    ] = None,
    camera: Annotated[Optional[str], typer.Option(help="Take shots of what this camera shows.")] = None,  # noqa: UP045
    label: Annotated[Optional[str], typer.Option(help="What it shows.")] = None,  # noqa: UP045
    shots: Annotated[int, typer.Option(min=1, help="How many.")] = 10,
    head: Annotated[str, typer.Option(help="Name of the head that is taught.")] = "taught",
    method: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(help="auto, logistic, ridge, ncm or cache; otherwise as before, at first auto."),
    ] = None,
    alone: Annotated[
        Optional[bool],  # noqa: UP045
        typer.Option("--alone/--beside", help="Without the bundle's own classes, or beside them."),
    ] = None,
    false_reject: Annotated[
        Optional[float],  # noqa: UP045
        typer.Option(min=0.001, max=0.5, help="Share of known things that may be taken for unknown."),
    ] = None,
    undo: Annotated[bool, typer.Option("--undo", help="Go back to the version before.")] = False,
    show: Annotated[bool, typer.Option("--list", help="Say what was taught.")] = False,
    remove_class: Annotated[Optional[str], typer.Option(help="Take its photos out.")] = None,  # noqa: UP045
    export_to: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option("--export", help="Write the photos to this folder, to train on, and do nothing else."),
    ] = None,
    no_photos: Annotated[
        bool, typer.Option("--no-photos", help="Keep features alone: another engine then needs new photos.")
    ] = False,
    quota_mb: Annotated[float, typer.Option(min=1, help="Disk for the photos of this head.")] = 500.0,
    report: Annotated[Optional[Path], typer.Option(help="The page; otherwise beside the head.")] = None,  # noqa: UP045
    skip_check: SkipCheck = False,
    backend: BackendName = None,
    threads: Threads = 1,
    json: Json = False,
) -> None:
    """Teach a finished engine new classes from a few photos, in seconds; a running camera takes them over."""
    from edgecam.commands import teach as commands

    if (camera is None) != (label is None):
        raise typer.BadParameter("--camera and --label go together.")
    if show:
        commands.listed(bundle, json=json)
    elif undo:
        commands.undo(bundle, head, json=json)
    else:
        order = commands.Order(
            head,
            data=data,
            camera=camera,
            label=label,
            shots=shots,
            remove_class=remove_class,
            export=export_to,
            method=method,
            alone=alone,
            max_false_reject=false_reject,
            keep_photos=not no_photos,
            quota_mb=quota_mb,
            report=report,
            skip_check=skip_check,
        )
        commands.teach(bundle, order, json=json, backend=backend and backend.value, threads=threads)


def main() -> None:
    """The console script."""
    guarded(app)
