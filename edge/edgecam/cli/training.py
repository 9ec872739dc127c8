"""`edgecam train`: every option of training."""

from pathlib import Path
from typing import Annotated, Optional

import typer

from edgecam.cli.shared import Json, typed_in
from edgecam_training.options import Options

DEFAULT = Options()


def train(
    ctx: typer.Context,
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
    pretrained_share: Annotated[
        float,
        typer.Option(help="Share of the pretrained weights in those kept. 0 for what resembles no photo."),
    ] = DEFAULT.pretrained_share,
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
        str,
        typer.Option(help="Go on from a finished run, in its settings; with --tune a bundle will do."),
    ] = "",
    tune: Annotated[
        str,
        typer.Option(
            help="What of --init learns the photos: head, bias, last-stage or all. Classes may be new."
        ),
    ] = "",
    rehearse: Annotated[
        int, typer.Option(help="With --tune: so many photos of each old class are shown again.")
    ] = DEFAULT.rehearse,
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
        pretrained_share=pretrained_share,
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
        rehearse=rehearse,
    )
    typed = typed_in(ctx) | ({"input_height", "input_width"} if "size" in typed_in(ctx) else set())
    settings = continued(options, init, tune, typed)
    train(data, out, settings, val=val, resume=resume, explain_mix=explain_mix, json=json)
