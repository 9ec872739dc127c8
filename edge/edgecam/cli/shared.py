"""Options that several commands have."""

from enum import Enum
from pathlib import Path
from typing import Annotated, Optional

import typer

Bundle = Annotated[Path, typer.Argument(help="A bundle from `edgecam build-engine`.")]
Json = Annotated[bool, typer.Option("--json", help="One JSON document on stdout, logs on stderr.")]
Threads = Annotated[int, typer.Option(min=1, help="CPU threads of the engine.")]


class Backend(str, Enum):
    onnxruntime = "onnxruntime"
    onnxruntime_cuda = "onnxruntime-cuda"
    onnxruntime_tensorrt = "onnxruntime-tensorrt"
    onnxruntime_openvino = "onnxruntime-openvino"
    tensorrt = "tensorrt"
    tensorrt_dla0 = "tensorrt-dla0"
    tensorrt_dla1 = "tensorrt-dla1"
    fixed = "fixed"


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


def typed_in(ctx: typer.Context) -> frozenset[str]:
    """The names of what stood on the command line; the rest has its default."""
    sources = {name: ctx.get_parameter_source(name) for name in ctx.params}
    return frozenset(
        n for n, source in sources.items() if source is not None and source.name == "COMMANDLINE"
    )
