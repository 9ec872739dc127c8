"""`edgecam train`: photos in, a run folder out."""

import re
from dataclasses import fields, replace
from importlib.util import find_spec
from pathlib import Path

from edgecam_engines.console import emit
from edgecam_engines.errors import TrainingError
from edgecam_training.options import Options, load_options


def train(
    data: Path,
    out: Path,
    options: Options,
    *,
    val: Path | None,
    resume: bool,
    json: bool,
    explain_mix: bool = False,
) -> None:
    """Train, and with `json` print what came of it. Raises DataError, TrainingError, OutputError."""
    need_torch()
    from edgecam_training.distributed import is_leader
    from edgecam_training.train import train as run

    judged = run(data, out, options, val=val, resume=resume)
    if explain_mix and is_leader():
        from edgecam_training.mixing.explain import explain_run

        explain_run(out)
    if json and is_leader():
        scores = judged.report
        emit(
            {
                "run": str(out),
                "val": {
                    "n": scores.n,
                    "top1": scores.top1,
                    "top1_ci95": scores.top1_ci95,
                    "macro_f1": scores.macro_f1,
                },
            }
        )


def continued(options: Options, init: str) -> Options:
    """With `init`, its settings where `options` has the default, and as many epochs as `qat` says."""
    if not init:
        return options
    if not options.qat:
        raise TrainingError(f"--init {init} goes on from a finished run with --qat alone. Add --qat 1.")
    default, other = Options(), load_options(Path(init) / "options.json")
    given = {
        field.name: getattr(options, field.name)
        for field in fields(Options)
        if getattr(options, field.name) != getattr(default, field.name)
    }
    return replace(other, **given, init=str(Path(init).resolve()), epochs=options.qat)


def need_torch() -> None:
    """Training alone needs torch; say so before anything else happens."""
    missing = [
        name for name in ("torch", "torchvision", "onnxscript", "matplotlib") if find_spec(name) is None
    ]
    if missing:
        raise TrainingError(
            f"Training needs {', '.join(missing)}, which the lean installation leaves out.\n"
            f"    pip install 'edgecam[train]'"
        )


def parse_shares(text: str) -> dict[str, float]:
    """ "defective=0.1,functional=0.9" as shares by class; "" as none."""
    shares = {}
    for part in filter(None, text.split(",")):
        name, _, share = part.rpartition("=")
        try:
            shares[name.strip()] = float(share)
        except ValueError:
            raise TrainingError(
                f"--expect {text} is not a list of shares. Give one for each class, such as "
                f"--expect defective=0.1,functional=0.9"
            ) from None
    return shares


def parse_size(size: str) -> tuple[int, int]:
    """ "224" or "192x320" (height x width) as pixels."""
    match = re.fullmatch(r"(\d+)(?:x(\d+))?", size)
    if match is None:
        raise TrainingError(f"--size {size} is not a size. Give 224, or HEIGHTxWIDTH such as 192x320.")
    height = int(match[1])
    return height, int(match[2] or height)
