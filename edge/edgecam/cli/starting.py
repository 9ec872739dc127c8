"""`edgecam doctor` and `demo`: what one types first."""

from pathlib import Path
from typing import Annotated, Optional

import typer

from edgecam.cli.shared import Json


def doctor(
    bundle: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(help="Also: will this bundle run here, and how fast should it be."),
    ] = None,
    json: Json = False,
) -> None:
    """Say what this machine has, what it lacks, and what to do about it."""
    from edgecam.commands.doctor import doctor

    if not doctor(json=json, bundle=bundle):
        raise typer.Exit(1)


def demo(
    out: Annotated[Path, typer.Option(help="Folder for everything the demo makes.")] = Path("demo-out"),
    epochs: Annotated[int, typer.Option(min=1, help="Length of the demo's training.")] = 14,
    json: Json = False,
) -> None:
    """The whole road on real photos: train, build, measure, and a video with overlay."""
    from edgecam.commands.demo import demo

    demo(out, epochs=epochs, json=json)
