"""`edgecam teach`: new classes for a finished engine."""

from pathlib import Path
from typing import Annotated, Optional

import typer

from edgecam.cli.shared import BackendName, Bundle, Json, SkipCheck, Threads


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
