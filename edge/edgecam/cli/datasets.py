"""`edgecam data ...`: making data sets."""

from enum import Enum
from pathlib import Path
from typing import Annotated, Optional

import typer

from edgecam.cli.shared import Json, Threads


class Filler(str, Enum):
    blur = "blur"
    telea = "telea"
    diffusers = "diffusers"


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
